"""What a folder is, it says itself: a manifest that names its kind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet.errors import LenetError
from lenet.system.facts import read_object
from lenet.system.files import PARTIAL
from lenet.system.locks import LOCK, hold_folder

MANIFEST = "manifest.json"

Manifest = dict[str, Any]
"""Its `kind` says what the folder is, the rest belongs to the kind."""


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder says of itself; None where it says nothing, or nothing that can be read.

    Raises:
        OSError: if it cannot be looked into.
    """
    try:
        return read_object(folder / MANIFEST)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of folder: its `name`, and what is surely in one whose manifest is damaged."""

    name: str
    signs: frozenset[str]


@contextmanager
def hold_kind(folder: Path, kind: Kind, error: type[LenetError], held: str) -> Iterator[None]:
    """Make the folder if need be, and hold it for this process while the block runs.

    Nothing is written into a folder that has something in it and does not say it is of this `kind`.

    Raises:
        error: if it is no such folder, cannot be written, or (saying `held`) another process
            holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_kind(folder, kind, error)
    except FileExistsError as reason:
        raise error(f"{folder}: a file is there, and no folder; choose another --out") from reason
    except OSError as reason:
        raise error(f"{folder}: cannot write in it: {reason.strerror}") from reason
    with hold_folder(folder, error, held):
        yield


def describe_refusal(folder: Path, refused: OSError) -> str:
    """What the system refused while a folder was worked in that is held so, in one line."""
    if not folder.exists():
        return f"{folder}: this folder was removed meanwhile; run the command again"
    return (
        f"{folder}: cannot write in it: {refused.strerror or refused}; what is done is kept, and "
        "the same command goes on with it"
    )


def _check_kind(folder: Path, kind: Kind, error: type[LenetError]) -> None:
    names = {path.name for path in folder.iterdir() if not _is_of_nobody(path)}
    if not names:
        return
    manifest = read_manifest(folder)
    if manifest is not None and manifest.get("kind") == kind.name:
        return
    if manifest is None and kind.signs | {MANIFEST} <= names:
        warnings.warn(f"{folder / MANIFEST} is damaged; it is made again", stacklevel=4)
        return
    raise error(
        f"{folder}: already there, and not a folder of {kind.name}: no {MANIFEST} says so; choose "
        "another --out"
    )


def _is_of_nobody(path: Path) -> bool:
    """A lock, or what a killed process left half-written."""
    return path.name == LOCK or (
        path.name.startswith(".") and path.name.endswith(PARTIAL) and path.is_file()
    )
