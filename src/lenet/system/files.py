"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"
"""The end of the name of a file that is not whole yet; kill -9 can leave one behind."""

LONGEST_NAME = 255
"""Bytes that a file's name may have on most file systems."""

_numbers = itertools.count()


def write_whole(path: Path, content: bytes | str) -> None:
    """Write aside, flush to the disk, rename over `path`, flush the folder.

    A reader, or a machine that loses power at any moment, sees the old file or the new one.

    Raises:
        OSError: as the operating system says; nothing is left aside.

    """
    with open_whole(path) as file:
        if isinstance(content, str):  # a name in it may be no UTF-8
            content = content.encode("utf-8", "backslashreplace")
        file.write(content)


def one_name(text: str) -> str:
    """A text as the name of one file: none that leads into a folder."""
    return text.replace("/", "-").replace("\0", "-")


def name_aside(path: Path) -> Path:
    """Where `path` is made before it is whole: beside it, and nobody else's."""
    end = f".{os.getpid()}-{next(_numbers)}{PARTIAL}"
    name = f".{path.name}{end}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{end}"
    return path.parent / name


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write in pieces; it becomes `path` when the block ends without an error.

    A link stays one, and what it leads to is replaced.  A device or a pipe is written as it is.

    Raises:
        OSError: as the operating system says; nothing is left aside.

    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with open(path, "wb") as file:
            yield file
        return
    aside = name_aside(path)
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to hear of
            aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def clear_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder` and in the folders in it.

    Only whoever holds the folder's lock may do that.
    """
    for path in (*folder.glob(f".*{PARTIAL}"), *folder.glob(f"*/.*{PARTIAL}")):
        if path.is_file():  # predictions that go on with a file have a folder of such a name
            path.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flush what others have written to a file to the disk.

    Raises:
        OSError: as the operating system says.
    """
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
