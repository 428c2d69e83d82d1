"""Where answers may go: never over an input, nor over what this command did not write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lenet.data.files import open_arrow
from lenet.data.pictures.picture import SUFFIXES
from lenet.errors import UsageError
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.folder import PredictionFolder
from lenet.prediction.bulk.inputs import Piece
from lenet.system.files import PARTIAL

NO_FOLDERS = frozenset({*SUFFIXES, ".json", ".tsv", ".txt", ".xlsx", ".gz"})
"""Who names an --out like this wants a file, which would be a folder."""

PROBLEMS = ("path", "reason")
"""The columns of a file of problems."""


@dataclass(frozen=True, slots=True)
class Target:
    """A file of answers with a file of problems beside it, or a folder."""

    path: Path
    kind: str
    is_file: bool

    @property
    def folder(self) -> PredictionFolder:
        """Where the shards are: of a file, in a hidden folder beside it until all are done."""
        hidden = self.path.with_name(f".{self.path.name}{PARTIAL}")
        return PredictionFolder(hidden if self.is_file else self.path)

    @property
    def errors_path(self) -> Path:
        """Where the problems are listed in the end."""
        if self.is_file:
            return self.path.with_name(f"{self.path.name}.errors.csv")
        return self.folder.errors_path

    def check(self) -> None:
        """Refuse what would be lost.

        Raises:
            UsageError: if a file is there that is not one of answers, or not one of problems.
        """
        if not self.is_file:
            return
        if self.path.is_dir():
            raise UsageError(f"{self.path}: a folder with the name of a file; choose another --out")
        for path, is_ours in (
            (self.path, formats.are_answers(self.path, self.kind)),
            (self.errors_path, formats.has_heading(self.errors_path, PROBLEMS)),
        ):
            if os.path.lexists(path) and not is_ours:
                raise UsageError(
                    f"{path}: already there, and not written by lenet predict; choose another "
                    "--out, or move it away"
                )

    def check_inputs(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces, none of which is about to be written over.

        Raises:
            UsageError: if one is.
        """
        places = (self.path, self.errors_path) if self.is_file else ()
        there = {found: path for path in places if (found := _identity(path)) is not None}
        for piece in pieces:
            if there and (found := _identity(Path(piece.name))) in there:
                raise UsageError(
                    f"{there[found]}: it is one of the inputs ({piece.name}), which the answers "
                    "would replace; choose another --out"
                )
            yield piece


def choose_target(out: str | Path, kind: str | None) -> Target:
    """What a name means: one that ends in .csv, .jsonl or .parquet, in any case, is a file.

    Raises:
        UsageError: if no answers can go there, or not in this format.
    """
    if str(out) == "-":
        raise UsageError("--out -: to print the answers, leave out --out and name --format csv")
    path = Path(out)
    suffix = path.suffix[1:].lower()
    is_file = suffix in formats.FORMATS
    chosen = kind or (suffix if is_file else formats.FORMATS[0])
    if chosen not in formats.FORMATS:
        known = ", ".join(formats.FORMATS)
        raise UsageError(f"--format {chosen}: into files lenet writes {known}")
    if is_file and chosen != suffix:
        raise UsageError(f"--format {chosen} and --out {path} do not agree; leave out --format")
    if path.suffix.lower() in NO_FOLDERS and not path.is_dir():
        raise UsageError(f"--out {path}: lenet writes .csv, .jsonl and .parquet files, and folders")
    if chosen == "parquet":
        open_arrow()
    target = Target(path, chosen, is_file)
    target.check()
    return target


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for all names of a file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
