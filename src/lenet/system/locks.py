"""Folders that one process works in at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lenet.errors import LenetError
from lenet.system.files import clear_partials

LOCK = ".lock"
"""The name of the file by which a folder is held."""


@contextmanager
def hold_folder(folder: Path, error: type[LenetError], held: str) -> Iterator[None]:
    """Hold a folder for this process while the block runs, rid of what killed ones left in it.

    Raises:
        error: saying `held` if another process holds the folder, or that it cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as reason:
        raise error(f"{folder}: {held}") from reason
    except OSError as reason:
        raise error(f"{folder}: cannot write in it: {reason.strerror}") from reason
    try:
        _clear(folder, error)
        yield
    finally:
        with suppress(OSError):  # the system takes the lock back at the latest when we end
            lock.release()


def _clear(folder: Path, error: type[LenetError]) -> None:
    try:
        clear_partials(folder)
    except OSError as reason:
        raise error(f"{folder}: cannot write in it: {reason.strerror}") from reason
