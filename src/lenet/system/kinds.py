"""What a folder is, it says itself: a manifest that names its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lenet.errors import LenetError
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
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def hold_kind(folder: Path, kind: str, error: type[LenetError], held: str) -> Iterator[None]:
    """Make the folder if need be, and hold it for this process while the block runs.

    Nothing is written into a folder that has something in it and does not say it is of this `kind`.

    Raises:
        error: if it is no such folder, cannot be written, or (saying `held`) another process
            holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_kind(folder, kind, error)
        with hold_folder(folder, error, held):
            _check_kind(folder, kind, error)  # it may have become another one meanwhile
            yield
    except NotADirectoryError as reason:
        raise error(f"{folder}: a file is there, and no folder; choose another --out") from reason


def _check_kind(folder: Path, kind: str, error: type[LenetError]) -> None:
    names = {path.name for path in folder.iterdir()} - {LOCK}
    if all(name.startswith(".") and name.endswith(PARTIAL) for name in names):
        return
    manifest = read_manifest(folder)
    if manifest is not None and manifest.get("kind") == kind:
        return
    if manifest is None and MANIFEST in names:
        raise error(
            f"{folder}: its {MANIFEST} is damaged, so nothing says what is in it; choose another "
            "--out, or remove this folder"
        )
    raise error(
        f"{folder}: already there, and not a folder of {kind} (no {MANIFEST} says so); choose "
        "another --out"
    )
