"""A run's folder: one training, one seed, and everything that it leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from lenet.data.survey import LeftOut
from lenet.errors import CheckpointError, RunError
from lenet.runs import checkpoint as checkpoints
from lenet.runs.checkpoint import Checkpoint
from lenet.system.files import sync_folder, write_whole
from lenet.system.locks import hold_folder

KEPT_CHECKPOINTS = 2
LAST, BEST = "last", "best"

RUNS = Path("runs")
"""Where runs are made that nobody gave a folder."""

NEWEST = "last"
"""What stands for the newest run where a run is to be named."""

_SCORES = {"validation_accuracy", "test_accuracy"}

Row = dict[str, Any]
"""One line of `history.jsonl`: `epoch`, `step` and `progress` (epochs, a fraction) with the
metrics of the epoch so far; an epoch's last row also has the scores on whole splits."""


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
        write_whole(self.left_out_path, text.getvalue())

    def checkpoint_paths(self) -> list[Path]:
        """Numbered checkpoints, newest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"), reverse=True)

    def receipt(self) -> dict[str, Any]:
        """What `receipt.json` says."""
        path = self.path / "receipt.json"
        try:
            receipt: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot read this run's receipt: {error}") from error
        return receipt

    def write_receipt(self, receipt: dict[str, Any]) -> None:
        """Replace `receipt.json`."""
        write_whole(self.path / "receipt.json", json.dumps(receipt, indent=2) + "\n")

    def history(self) -> list[Row]:
        """The rows of `history.jsonl`; a line that a crash cut short is left out."""
        path = self.path / "history.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError as error:
            raise RunError(f"{path}: cannot read this run's history: {error.strerror}") from error
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def epochs(self) -> list[Row]:
        """The last row of each finished epoch."""
        return [row for row in self.history() if _SCORES & row.keys()]

    def append_history(self, row: Row) -> None:
        """Add one row and hand it to the operating system."""
        with open(self.path / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rewind_history(self, position: checkpoints.Position) -> None:
        """Drop the rows that a run wrote after the checkpoint at `position`."""
        reached = (position.epoch, position.step)
        kept = [row for row in self.history() if (row["epoch"], row["step"]) <= reached]
        write_whole(self.path / "history.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a numbered checkpoint and drop all but the two newest."""
        name = f"step-{checkpoint.position.updates:08d}.safetensors"
        checkpoints.write(self.path / "checkpoints" / name, checkpoint)
        for old in self.checkpoint_paths()[KEPT_CHECKPOINTS:]:
            old.unlink(missing_ok=True)

    def write_best(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of the best epoch."""
        checkpoints.write(self.best_path, checkpoint)

    def checkpoint(self, which: str | None = None) -> Checkpoint:
        """The `last` or the `best` checkpoint; by default the best where there is one.

        A damaged newest checkpoint is passed over, with a warning, for the one before it.

        Raises:
            CheckpointError: if the run has none that can be read.

        """
        if which == BEST or (which is None and self.best_path.exists()):
            return checkpoints.read(self.best_path)
        reasons = []
        for path in self.checkpoint_paths():
            try:
                return checkpoints.read(path)
            except CheckpointError as error:
                warnings.warn(f"{error}; falling back to the one before it", stacklevel=2)
                reasons.append(str(error))
        found = "; ".join(reasons) or "there is none"
        raise CheckpointError(f"{self.path}: no checkpoint that can be read: {found}")

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run for this process while a `with` block runs.

        Raises:
            RunError: if another process holds it, or it cannot be written.

        """
        held = "another process is training in this folder; wait for it or choose another --out"
        return hold_folder(self.path, RunError, held)


def open_run(path: str | Path) -> Run:
    """The run in folder `path`.

    Raises:
        RunError: if there is none.

    """
    path = Path(path)
    if not (path / "receipt.json").is_file():
        raise RunError(f"{path}: no run of lenet is here (no receipt.json); see the folder runs/")
    return Run(path)


def find_run(name: str | Path, folder: Path = RUNS) -> Run:
    """The run at the path `name`; `last` is the newest in `folder`, unless such a path is there.

    Raises:
        RunError: if there is none.
    """
    if str(name) != NEWEST or Path(name).exists():
        return open_run(name)
    runs = list_runs(folder)
    if not runs:
        raise RunError(f"{NEWEST}: no run is in {folder}/; train one, or name a run's folder")
    return runs[0]


def list_runs(folder: Path = RUNS) -> list[Run]:
    """The runs in `folder`, by when they were last worked on, newest first.

    Raises:
        RunError: if the folder cannot be looked into.
    """
    try:
        receipts = [(path.stat().st_mtime_ns, path) for path in folder.glob("*/receipt.json")]
    except OSError as error:
        raise RunError(f"{folder}: cannot look into this folder: {error.strerror}") from error
    return [Run(path.parent) for _, path in sorted(receipts, reverse=True)]


def default_folder(model: str, data: str, seed: int, now: datetime) -> Path:
    """`runs/<time>-<model>-<data>-s<seed>`, below the current folder."""
    return RUNS / f"{now:%Y%m%d-%H%M%S}-{model}-{data}-s{seed}"


def create_run(path: Path, first: Checkpoint, receipt: dict[str, Any]) -> Run:
    """Make a run's folder with its recipe, receipt and first checkpoint: whole, or not at all.

    Raises:
        RunError: if the folder is taken or cannot be written.

    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path}: already there; choose another --out, or --resume it")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        (aside / "checkpoints").mkdir(parents=True)
        _fill(Run(aside), first, receipt)
        os.replace(aside, path)
        sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"{path}: cannot make this folder: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Run(path)


def _fill(run: Run, first: Checkpoint, receipt: dict[str, Any]) -> None:
    write_whole(run.path / "recipe.toml", first.recipe.to_toml())
    write_whole(run.path / "history.jsonl", "")
    run.write_receipt(receipt)
    run.write_checkpoint(first)
