"""How far a prediction is: a bar in a terminal, else a line from time to time."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 2.0
"""Between two lines, where there is no terminal."""


class PredictionProgress:
    """Watches a prediction on stderr, with its speed and the time left; silent for one shard."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._before = 0
        self._started = self._said = time.perf_counter()

    def __enter__(self) -> PredictionProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, done: int, total: int, shards: int) -> None:
        """`done` of `total` images were done by earlier sessions; `shards` are left to do."""
        self._before = done
        self._quiet = self._quiet or shards <= 1
        self._started = self._said = time.perf_counter()
        if sys.stderr.isatty() and not self._quiet:
            self._bar = _bar()
            self._bar.add_task("images", total=total, completed=done, speed="")
            self._bar.start()

    def update(self, done: int, total: int) -> None:
        """`done` of `total` images are done."""
        if self._quiet:
            return
        now = time.perf_counter()
        speed = (done - self._before) / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, speed=f"{speed:,.0f} images/s")
        elif now - self._said >= LINE_SECONDS or done == total:
            self._said = now
            left = (total - done) / max(speed, 1e-9)
            print(
                f"{done:,}/{total:,} images, {speed:,.0f} images/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
    )
