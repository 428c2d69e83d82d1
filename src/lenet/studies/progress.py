"""How far a study is, while it runs: a bar in a terminal, else a line for each run."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from lenet.studies.folder import StudyFolder
from lenet.studies.measurement import Result
from lenet.studies.study import Study, Task

if TYPE_CHECKING:
    from rich.progress import Progress


class StudyProgress:
    """Watches a study; on stderr, with the time left."""

    def __init__(self, study: Study, folder: StudyFolder, quiet: bool = False) -> None:
        self._total = sum(1 for _ in study.tasks())
        self._done = self._total - len(folder.missing(study))
        self._measure = study.measure
        self._quiet = quiet
        self._bar: Progress | None = None

    def __enter__(self) -> StudyProgress:
        if sys.stderr.isatty() and not self._quiet:
            self._bar = _bar()
            self._bar.add_task("runs", total=self._total, completed=self._done)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, task: Task, result: Result) -> None:
        """One more run has ended."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done)
            self._bar.console.print(self._line(task, result), markup=False, highlight=False)
        elif not self._quiet:
            print(self._line(task, result), file=sys.stderr, flush=True)

    def _line(self, task: Task, result: Result) -> str:
        divergence = result["divergence"]
        ended = (
            f"test {self._measure} {result[f'test_{self._measure}']:.4f}"
            if divergence is None
            else f"diverged after {divergence['updates']} updates ({divergence['kind']})"
        )
        return f"{self._done}/{self._total} {task.describe()}: {ended}"


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
