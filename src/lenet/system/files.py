"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"
"""The end of the name of a file that is not whole yet; kill -9 can leave one behind."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Write aside, flush to the disk, rename over `path`, flush the folder.

    A reader, or a machine that loses power at any moment, sees the old file or the new one.

    Raises:
        OSError: as the operating system says; nothing is left aside.

    """
    with open_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write in pieces; it becomes `path` when the block ends without an error.

    Raises:
        OSError: as the operating system says; nothing is left aside.

    """
    aside = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def clear_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder` and in the folders in it.

    Only whoever holds the folder's lock may do that.
    """
    for path in (*folder.glob(f".*{PARTIAL}"), *folder.glob(f"*/.*{PARTIAL}")):
        if path.is_file():  # predictions that go on with a file have a folder of such a name
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
