"""A run's folder: one training, one seed, and everything that it leaves behind."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import itertools
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from lenet.data.survey import LeftOut
from lenet.errors import CheckpointError, InputError, RunError, TakenError, UsageError
from lenet.runs import checkpoint as checkpoints
from lenet.runs.checkpoint import Checkpoint
from lenet.system.facts import LARGEST, read_json, read_object, shown
from lenet.system.files import name_aside, one_name, sync_file, sync_folder, write_whole
from lenet.system.kinds import read_manifest
from lenet.system.locks import hold_folder

KEPT_CHECKPOINTS = 2
LAST, BEST = "last", "best"

RUNS = Path("runs")
"""Where runs are made that nobody gave a folder."""

RECEIPT = "receipt.json"
"""The file by which a folder is a run."""

NEWEST = "last"
"""What stands for the newest run where a run is to be named."""

_SCORES = {"validation_accuracy", "test_accuracy"}


Row = dict[str, Any]
"""One line of `history.jsonl`: `epoch`, `step` and `progress` (epochs, a fraction) with the
metrics of the epoch so far; an epoch's last row also has the scores on whole splits."""

_IN_EVERY_ROW = ("progress", "learning_rate", "train_loss", "train_accuracy")

_SESSION = {
    "command": str, "started": str, "versions": dict, "machine": dict, "from": dict, "engine": str,
    "engine_detail": str, "device": str, "threads": int, "training_seconds": float,
    "training_images": int,
}  # fmt: skip
_TEACHER = {"run": str, "sha256": str}
_RECEIPT = {"model": str, "data": dict, "seed": int, "parameters": int, "sessions": list}
_DATA = {"name": str, "sha256": dict}
_SURVEY = {"counts": dict, "prepared": str, "left_out": int}
"""What a receipt and its parts hold at least, by the types of it."""

Planned = Callable[[int], bool]
"""Whether an undisturbed training writes a checkpoint after so many updates."""


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A run on disk.

    The folder holds `recipe.toml`, `receipt.json`, `history.jsonl`, `curves.png` and
    `checkpoints/`, and `unreadable.csv` where files of own data could not be used.  `recipe.toml`,
    `history.jsonl` and the checkpoints are the same bytes for the same training; what differs from
    time to time (clock, speed) is in the receipt alone.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def curves_path(self) -> Path:
        return self.path / "curves.png"

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def best_path(self) -> Path:
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def left_out_path(self) -> Path:
        """Where the files of own data are listed that cannot be used."""
        return self.path / "unreadable.csv"

    def write_left_out(self, rows: Sequence[LeftOut]) -> None:
        """List them, if there are any."""
        if not rows:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([row.path, row.reason] for row in rows)
        with _writing(self.left_out_path):
            write_whole(self.left_out_path, text.getvalue())

    def checkpoint_paths(self) -> list[Path]:
        """Numbered checkpoints, newest first."""
        found = (self.path / "checkpoints").glob("step-*.safetensors")
        return sorted(found, key=_updates, reverse=True)

    def receipt(self) -> dict[str, Any]:
        """What `receipt.json` says.

        Raises:
            RunError: if it cannot be read, or is no receipt of a run.
        """
        path = self.path / RECEIPT
        try:
            receipt = read_object(path)
            _check_receipt(receipt)
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot read this run's receipt: {error}") from error
        return receipt

    def receipt_digest(self) -> str:
        """SHA-256 of `receipt.json`; raises `RunError` if it cannot be read."""
        path = self.path / RECEIPT
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise RunError(f"{path}: cannot read this run's receipt: {error.strerror}") from error

    def write_receipt(self, receipt: dict[str, Any]) -> None:
        """Replace `receipt.json`; raises `RunError` if it cannot be written."""
        path = self.path / RECEIPT
        with _writing(path):
            write_whole(path, json.dumps(receipt, indent=2) + "\n")

    @property
    def history_path(self) -> Path:
        return self.path / "history.jsonl"

    def history(self) -> list[Row]:
        """The rows of `history.jsonl`; a line that a crash cut short is left out.

        Raises:
            RunError: if it cannot be read, naming the first line that is no row.
        """
        lines = self._lines()
        return [self._row(number, line) for number, line in enumerate(lines, 1)]

    def _lines(self) -> list[bytes]:
        """The lines of the history that were written to their ends, without these."""
        try:
            return self.history_path.read_bytes().split(b"\n")[:-1]
        except OSError as error:
            raise RunError(
                f"{self.history_path}: cannot read this run's history: {error.strerror}"
            ) from error

    def _row(self, number: int, line: bytes) -> Row:
        try:
            row: Row = read_json(line)
            _check_row(row)
        except ValueError as error:
            raise RunError(
                f"{self.history_path}: line {number} is no row of a history: {error}"
            ) from error
        return row

    def holds(self, points: Sequence[tuple[int, int]]) -> bool:
        """Whether the history begins with one row for each (epoch, step) of `points`.

        What comes after those is not looked at.
        """
        try:
            lines = self._lines()[: len(points)]
            rows = [self._row(number, line) for number, line in enumerate(lines, 1)]
        except RunError:
            return False
        return [(row["epoch"], row["step"]) for row in rows] == list(points)

    def epochs(self) -> list[Row]:
        """The last row of each finished epoch."""
        return [row for row in self.history() if _SCORES & row.keys()]

    def append_history(self, row: Row) -> None:
        """Add one row and hand it to the operating system.

        Raises:
            RunError: if it cannot be written.
        """
        with _writing(self.history_path), open(self.history_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rewind_history(self, points: Sequence[tuple[int, int]]) -> None:
        """Drop what a run wrote after the rows at `points`, each (epoch, step).

        Raises:
            RunError: if those are not what it begins with, or it cannot be written.
        """
        if not self.holds(points):
            raise RunError(
                f"{self.history_path}: rows are missing or damaged up to the checkpoint to go on "
                "from; put the whole file back, or train again with its recipe.toml"
            )
        kept = b"".join(line + b"\n" for line in self._lines()[: len(points)])
        with _writing(self.history_path):
            write_whole(self.history_path, kept)

    def write_checkpoint(self, checkpoint: Checkpoint, planned: Planned = lambda _: True) -> None:
        """Write a numbered checkpoint, and drop those that are not needed any more.

        What it relies on is on the disk before it is: a checkpoint never knows more epochs than the
        history, also where the power fails.

        Raises:
            CheckpointError, RunError: if it cannot be written.
        """
        with _writing(self.history_path):
            sync_file(self.history_path)
        name = f"step-{checkpoint.position.updates:08d}.safetensors"
        checkpoints.write(self.path / "checkpoints" / name, checkpoint)
        self.drop_checkpoints(planned)

    def drop_checkpoints(self, planned: Planned, after: int | None = None) -> None:
        """Keep the two newest checkpoints that are `planned`, and what is newer than those.

        Those with more updates than `after`, which nobody can go on from, go too.
        """
        kept = 0
        for path in self.checkpoint_paths():
            updates = _updates(path)
            lost = after is not None and updates > after
            if lost or kept >= KEPT_CHECKPOINTS or (kept and not planned(updates)):
                with suppress(OSError):  # one too many does no harm; the next save tries again
                    path.unlink()
            elif planned(updates):
                kept += 1

    def write_best(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of the best epoch."""
        checkpoints.write(self.best_path, checkpoint)

    def checkpoint(self, which: str | None = None, *, fall_back: bool = True) -> Checkpoint:
        """The `last` or the `best` checkpoint; by default the best where there is one.

        With `fall_back` a damaged newest one is passed over, with a warning, for the one before it.

        Raises:
            UsageError: if `which` is none of these.
            CheckpointError: if the run has none that can be read.

        """
        if which not in (None, LAST, BEST):
            raise UsageError(f"which = {which!r}: a run has the checkpoints {LAST!r} and {BEST!r}")
        if which == BEST or (which is None and self.best_path.exists()):
            try:
                return checkpoints.read(self.best_path)
            except CheckpointError as error:
                raise CheckpointError(
                    f"{error}; the newest one can be had with --checkpoint {LAST} "
                    f"(Python: which={LAST!r})"
                ) from error
        return next(self.checkpoints(fall_back=fall_back))

    def checkpoints(self, *, fall_back: bool = True) -> Iterator[Checkpoint]:
        """The numbered checkpoints, newest first; a warning instead of each that is damaged.

        Raises:
            CheckpointError: if there is none that can be read; without `fall_back` at the first
                that cannot be.
        """
        reasons, some = [], False
        for path in self.checkpoint_paths():
            try:
                yield checkpoints.read(path)
            except CheckpointError as error:
                if not fall_back:
                    raise
                warnings.warn(f"{error}; falling back to the one before it", stacklevel=2)
                reasons.append(str(error))
            else:
                some = True
        if some:
            return
        found = "; ".join(reasons) or "there is none"
        raise CheckpointError(f"{self.path}: no checkpoint that can be read: {found}")

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run for this process while a `with` block runs.

        Raises:
            RunError: if another process holds it, or it cannot be written.

        """
        held = "another process is training in this folder; wait for it or choose another place"
        return hold_folder(self.path, RunError, held)


def path_of(given: Any) -> Path:
    """The path that was given for a run.

    Raises:
        InputError: if it is none, as the run itself.
    """
    try:
        return Path(given)
    except TypeError as error:
        raise InputError(
            f"a {type(given).__name__} is no path of a run: name its folder, as model.run.path"
        ) from error


def open_run(path: str | Path) -> Run:
    """The run in folder `path`.

    Raises:
        InputError: if it is no path.
        RunError: if there is none.

    """
    path = path_of(path)
    if not (path / RECEIPT).is_file():
        raise RunError(
            f"{path}: no run of lenet is here (no {RECEIPT}); `lenet runs` lists those of {RUNS}/"
        )
    return Run(path)


def find_run(name: str | Path) -> Run:
    """The run at the path `name`; `last` is the newest in `RUNS`, unless such a path is there.

    Raises:
        RunError: if there is none.
    """
    if str(name) != NEWEST or Path(name).exists():
        return open_run(name)
    runs = list_runs()
    if not runs:
        raise RunError(f"{NEWEST}: no run is in {RUNS}/; train one, or name a run's folder")
    return runs[0]


def list_runs(folder: Path = RUNS) -> list[Run]:
    """The runs in `folder`, by when they were last worked on, newest first.

    Raises:
        RunError: if the folder cannot be looked into.
    """
    try:
        receipts = [
            (path.stat().st_mtime_ns, path)
            for path in folder.glob(f"*/{RECEIPT}")
            if read_manifest(path.parent) is None  # a study has a receipt too
        ]
    except OSError as error:
        raise RunError(f"{folder}: cannot look into this folder: {error.strerror}") from error
    return [Run(path.parent) for _, path in sorted(receipts, reverse=True)]


def default_folder(model: str, data: str, seed: int, now: datetime) -> Path:
    """`runs/<time>-<model>-<data>-s<seed>`, below the current folder."""
    return RUNS / one_name(f"{now:%Y%m%d-%H%M%S}-{model}-{data}-s{seed}")


def create_run(path: Path, first: Checkpoint, receipt: dict[str, Any]) -> Run:
    """Make a run's folder with its recipe, receipt and first checkpoint: whole, or not at all.

    Raises:
        RunError: if the folder is taken or cannot be written.

    """
    there = path.is_dir()
    # Into a folder that is there already, which may be somebody's current one, or a mount.
    aside = name_aside(path.absolute() / "run" if there else path)
    try:
        if os.path.lexists(path) and (not there or any(path.iterdir())):
            raise _taken(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        (aside / "checkpoints").mkdir(parents=True)
        _fill(Run(aside), first, receipt)
        _put(aside, path, there)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.is_dir():
            raise _taken(path) from error
        raise RunError(f"{path}: cannot make this folder: {error.strerror}") from error
    except CheckpointError as error:
        reason = str(error).replace(str(aside), str(path))
        raise RunError(f"{path}: cannot make this folder: {reason}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Run(path)


def create_unused(folder: Path, first: Checkpoint, receipt: dict[str, Any]) -> Run:
    """As `create_run`, in the first of `folder`, `folder-2`, `folder-3`, ... that nobody takes.

    Raises:
        RunError: if none can be written.
    """
    for count in itertools.count(1):
        path = folder if count == 1 else folder.with_name(f"{folder.name}-{count}")
        try:
            return create_run(path, first, receipt)
        except TakenError:
            continue
    raise AssertionError("counting ends never")


def _taken(path: Path) -> TakenError:
    return TakenError(f"{path}: already there; choose another place, or resume it")


def _put(aside: Path, path: Path, there: bool) -> None:
    """Make `aside` the folder `path`, or move what is in it there: its receipt last."""
    if there:
        for entry in sorted(aside.iterdir(), key=lambda entry: entry.name == RECEIPT):
            os.replace(entry, path / entry.name)
        sync_folder(path)
    else:
        sync_folder(aside)
        os.replace(aside, path)
        sync_folder(path.parent)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the operating system refuses is an error of the run."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot write this file: {error.strerror}") from error


def _updates(path: Path) -> int:
    """The number in the name of a checkpoint; 0 where a stranger has none."""
    digits = path.stem.removeprefix("step-")
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else 0


def _check_row(row: Any) -> None:
    """Raises `ValueError` if it is no `Row`."""
    if not isinstance(row, dict):
        raise ValueError(f"it is {shown(row)}")
    for name in ("epoch", "step"):
        if type(row.get(name)) is not int or not 0 < row[name] <= LARGEST:
            raise ValueError(f"its {name} is {shown(row.get(name))}")
    for name in {*_IN_EVERY_ROW, *row}:
        if type(row.get(name)) not in (int, float):
            raise ValueError(f"its {name} is {shown(row.get(name))}")
    if not 0 <= row["progress"] <= LARGEST or not math.isfinite(row["train_loss"]):
        raise ValueError("its numbers are out of range")


def _check_receipt(receipt: dict[str, Any]) -> None:
    """Raises `ValueError` if it is no receipt of a run."""
    check_part(receipt, _RECEIPT, "it")
    check_part(receipt["data"], _DATA, "its data")
    for session in receipt["sessions"]:
        check_part(session, _SESSION, "a session")
    teachers = receipt.get("teachers", [])
    if not isinstance(teachers, list):
        raise ValueError(f"its teachers are {shown(teachers)}, and no list")
    for teacher in teachers:
        check_part(teacher, _TEACHER, "a teacher")
    if "survey" in receipt["data"]:
        survey = receipt["data"]["survey"]
        check_part(survey, _SURVEY, "its survey")
        for counts in survey["counts"].values():
            if not isinstance(counts, list) or not all(type(count) is int for count in counts):
                raise ValueError("its survey has counts that are none")


def check_part(part: Any, types: Mapping[str, type], place: str) -> None:
    """Raises `ValueError` if it is no object that holds at least these `types` by name."""
    if not isinstance(part, dict):
        raise ValueError(f"{place} is {shown(part)}, and no object")
    for name, kind in types.items():
        value = part.get(name)
        number = kind is float and type(value) is int and abs(value) <= LARGEST
        if type(value) is not kind and not number:
            raise ValueError(f"{place} has {name} = {shown(value)}")


def _fill(run: Run, first: Checkpoint, receipt: dict[str, Any]) -> None:
    write_whole(run.recipe_path, first.recipe.to_toml())
    write_whole(run.path / "history.jsonl", "")
    run.write_receipt(receipt)
    run.write_checkpoint(first)
