"""A study's folder: one file for each finished run, and what was made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lenet.errors import StudyError
from lenet.studies.measurement import Result, is_result_of
from lenet.studies.study import Study, Task, parse
from lenet.system.files import write_whole
from lenet.system.kinds import MANIFEST, Kind, hold_kind, read_manifest

KIND = Kind("lenet studies", frozenset({"study.toml", "runs"}))


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """`manifest.json`, `study.toml`, `runs/<key>.json`, `failures.json`, `receipt.json`, a report.

    A run's file appears whole, after its training ended, and depends on the task alone: a study
    that was stopped at any moment, or ran elsewhere, ends with the same files.  Times are in the
    receipt.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def begin(self, study: Study) -> None:
        """Keep the study, instead of an earlier version of it; whoever calls holds the lock.

        Raises:
            StudyError: if another study ran here, with another question and without a run of this.
        """
        self._refuse_another(study)
        manifest = {"kind": KIND.name}
        if read_manifest(self.path) != manifest:
            write_whole(self.path / MANIFEST, json.dumps(manifest) + "\n")
        (self.path / "runs").mkdir(exist_ok=True)
        write_whole(self.path / "study.toml", study.source)

    def _refuse_another(self, study: Study) -> None:
        try:
            earlier = self.study()
        except StudyError:  # there is none that could be lost
            return
        shared = {task.key for task in earlier.tasks()} & {task.key for task in study.tasks()}
        if earlier.question != study.question and not shared and self.results(earlier):
            raise StudyError(
                f"{self.path}: another study ran here, {earlier.title!r}, which has no run in "
                "common with this one; choose another --out"
            )

    def study(self) -> Study:
        """The study that ran here.

        Raises:
            StudyError: if none did.
        """
        place = self.path / "study.toml"
        try:
            text = place.read_text(encoding="utf-8")
        except OSError as error:
            raise StudyError(
                f"{self.path}: no study ran here; start it: lenet study run"
            ) from error
        except UnicodeDecodeError as error:
            raise StudyError(
                f"{place}: damaged: {error}; start the study again: lenet study run"
            ) from error
        return parse(text, self.path.name, str(place))

    def result(self, task: Task) -> Result | None:
        """What the run gave, or None if it is not done, or its file is not whole any more."""
        try:
            result: Result = json.loads(self._place(task).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return result if is_result_of(task, result) else None

    def results(self, study: Study) -> dict[str, Result]:
        """Every finished run of the study, by key."""
        found = {task.key: self.result(task) for task in study.tasks()}
        return {key: result for key, result in found.items() if result is not None}

    def missing(self, study: Study) -> list[Task]:
        """Every task that is not done."""
        return [task for task in study.tasks() if self.result(task) is None]

    def damaged(self, study: Study) -> list[Task]:
        """Those of them that have a file."""
        return [task for task in self.missing(study) if self._place(task).exists()]

    def write(self, task: Task, result: Result) -> None:
        write_whole(self._place(task), json.dumps(result, indent=1) + "\n")

    def write_failures(self, failures: Iterable[tuple[Task, str]]) -> None:
        """Replace the list of runs that failed in the last session."""
        rows = [{"key": task.key, "error": error} for task, error in failures]
        write_whole(self.path / "failures.json", json.dumps(rows, indent=1) + "\n")

    def failures(self) -> dict[str, str]:
        """Key -> error of the last session's failed runs."""
        try:
            rows = json.loads((self.path / "failures.json").read_text(encoding="utf-8"))
            return {row["key"]: row["error"] for row in rows}
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return {}  # they are tried again, whatever they were

    def lock(self) -> AbstractContextManager[None]:
        """Make the folder if need be, and hold it for this process while a `with` block runs.

        Raises:
            StudyError: if another process runs a study in it, it cannot be written, or something
                else is in it.
        """
        return hold_kind(self.path, KIND, StudyError, "another process runs a study here")

    def _place(self, task: Task) -> Path:
        return self.path / "runs" / f"{task.key}.json"
