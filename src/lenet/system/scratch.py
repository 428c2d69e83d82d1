"""Temporary folders that are gone with their process, or with the next one after a kill."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lenet.system.locks import LOCK

PREFIX = "lenet-"

CLAIM_SECONDS = 3600.0
"""A folder without a lock that is younger may be one that its process is about to hold."""


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A new folder `lenet-<purpose>-...` among the system's temporary ones, for this block alone.

    Those of the same purpose that no process holds any more are removed first.

    Raises:
        OSError: if there can be none.
    """
    prefix = f"{PREFIX}{purpose}-"
    _clear(prefix)
    path = Path(tempfile.mkdtemp(prefix=prefix))
    lock = FileLock(path / LOCK)
    try:
        with lock:
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _clear(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if path.is_dir() and not path.is_symlink() and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_left(path: Path) -> bool:
    try:
        if not _is_ours(path) or (path / LOCK).is_symlink():
            return False
        if not (path / LOCK).exists():
            return time.time() - path.stat().st_mtime > CLAIM_SECONDS
        with FileLock(path / LOCK, timeout=0):
            return True
    except (OSError, Timeout):  # a process holds it
        return False


def _is_ours(path: Path) -> bool:
    """Another user's is left alone: to open its lock may empty what that is a link to."""
    return not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
