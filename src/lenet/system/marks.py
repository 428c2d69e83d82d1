"""What may be written over: a file that the same command wrote before, which a mark in it says."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lenet.errors import UsageError

MOST_READ = 1 << 26
"""Bytes of a file in which its mark is looked for; no figure and no page has so many."""


def has_mark(path: Path, mark: str) -> bool:
    """Whether `mark` is in the file; not, where it cannot be read."""
    with suppress(OSError), open(path, "rb") as file:
        return mark.encode() in file.read(MOST_READ)
    return False


def check_mark(path: Path, mark: str, made_by: str, source: str | Path | None = None) -> None:
    """Refuse to write over a file without `mark`, or over `source`, the picture that was given.

    A device or a pipe loses nothing.  `made_by` is said of the file: "drawn by lenet explain".

    Raises:
        UsageError: saying which.
    """
    with suppress(OSError, ValueError):  # one of the two is not there, or is no file's name
        if source is not None and path.samefile(source):
            raise UsageError(f"{path}: it is the picture itself; choose another place")
    if path.is_file() and not has_mark(path, mark):
        raise UsageError(
            f"{path}: already there, and not {made_by}; choose another place, or move it away"
        )
