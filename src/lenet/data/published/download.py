"""Fetch a data set's files from its publisher's mirrors: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.request import getproxies

from filelock import FileLock

from lenet.data.files.idx import open_payload
from lenet.data.progress import Progress
from lenet.data.published.catalog import Archive, DataFile, Entry
from lenet.data.published.digest import (
    check_container,
    container_fits,
    payload_digest,
    record_digest,
    recorded_digest,
)
from lenet.data.published.limits import Limits
from lenet.data.published.transfer import transfer
from lenet.errors import DataError, DigestError, DownloadError, FormatError, SlowMirrorError
from lenet.system.files import PARTIAL, clear_partials, sync_file, sync_folder
from lenet.system.locks import LOCK

BLOCK = 1 << 16
CONTAINER_SLACK = 1 << 20
"""Bytes by which a container may be larger than its payload."""


def fetch(
    entry: Entry,
    folder: Path,
    progress: Progress | None = None,
    limits: Limits | None = None,
    *,
    force: bool = False,
) -> None:
    """Bring every file of `entry` to `folder`, which then holds the payloads under their names.

    Each is written aside, checked, flushed and renamed, so that what was there before is replaced
    by the whole new file or stays.  Files that are there and right are fetched only if `force`.
    A second process waits for the first and finds the files there.

    Raises:
        DownloadError: if no mirror delivered a file; it lists each mirror's reason.
        DataError: if `folder` cannot be written.
    """
    limits, progress = limits or Limits(), progress or _silent
    try:
        with _alone_in(folder):
            missing = [file for file in entry.files if force or not _is_there(folder, file)]
            if entry.archive is None:
                for file in missing:
                    _fetch_file(entry, file, folder, progress, limits)
            elif missing:
                archive = folder.parent / "emnist" / entry.archive.name
                _fetch_archive(entry, entry.archive, archive, progress, limits)
                for file in missing:
                    _unpack(file, archive, entry.archive, folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot write data here: {error}; name another folder with --data-dir "
            "(Python: data_dir=...)"
        ) from error


def _silent(name: str, done: int, total: int | None) -> None:
    pass


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Be the only process that writes to `folder`, and clear away what a killed one left."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        clear_partials(folder)
        yield


def _is_there(folder: Path, file: DataFile) -> bool:
    path, expected = folder / file.name, file.sha256 or recorded_digest(folder, file.name)
    try:
        return expected is not None and payload_digest(path, file.size) == expected
    except FormatError:
        return False


def _fetch_file(
    entry: Entry, file: DataFile, folder: Path, progress: Progress, limits: Limits
) -> None:
    def install(container: Path) -> None:
        if file.container is not None:
            check_container(container, file.container)
        with open_payload(container) as stream:
            _install_payload(stream, file, folder, container.name)

    name = f"{file.name}.gz"
    _from_any_mirror(entry, name, folder, file.size + CONTAINER_SLACK, install, progress, limits)


def _fetch_archive(
    entry: Entry, archive: Archive, path: Path, progress: Progress, limits: Limits
) -> None:
    """Keep the archive: several data sets lie in it."""
    with _alone_in(path.parent):
        if path.is_file() and container_fits(path, archive.digest):
            return

        def install(container: Path) -> None:
            check_container(container, archive.digest)
            sync_file(container)
            os.replace(container, path)
            sync_folder(path.parent)

        _from_any_mirror(entry, archive.name, path.parent, archive.size, install, progress, limits)


def _unpack(file: DataFile, archive: Path, row: Archive, folder: Path) -> None:
    member = f"{row.folder}/{file.name}.gz"
    aside = folder / f".{file.name}.gz{PARTIAL}"
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as source:
            aside.write_bytes(source.read(file.size + CONTAINER_SLACK))
        with open_payload(aside) as stream:
            _install_payload(stream, file, folder, member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise FormatError(f"{archive}: {member} cannot be taken out of it: {error}") from error
    finally:
        aside.unlink(missing_ok=True)


def _from_any_mirror(
    entry: Entry,
    name: str,
    folder: Path,
    limit: int,
    install: Callable[[Path], None],
    progress: Progress,
    limits: Limits,
) -> None:
    """Try mirror after mirror, round after round, until one delivers what `install` accepts."""
    reasons: list[str] = []
    end = time.monotonic() + limits.whole + limit / limits.slowest
    mirrors = list(entry.mirrors)
    for turn in range(limits.rounds):
        if turn and mirrors:
            time.sleep(limits.pause * 2 ** (turn - 1))
        for mirror in tuple(mirrors):
            left = end - time.monotonic()
            if left <= 0:
                break
            aside = folder / f".{name}{PARTIAL}"
            try:
                transfer(mirror + name, aside, name, limit, progress, limits, left)
                install(aside)
                return
            except SlowMirrorError as error:
                reasons.append(f"{mirror}: {error}")
                mirrors.remove(mirror)
                if mirrors:
                    warnings.warn(f"{mirror}: {name}: {error}; trying the next one", stacklevel=5)
            except DataError as error:
                reasons.append(f"{mirror}: {error}")
            finally:
                aside.unlink(missing_ok=True)
    raise DownloadError(_explain(entry, name, reasons))


def _explain(entry: Entry, name: str, reasons: list[str]) -> str:
    lines = [f"{entry.name}: no mirror delivered {name}:"]
    lines += [f"  {reason}" for reason in dict.fromkeys(reasons)]
    if entry.name == "fashion-mnist":
        lines.append("on Debian and Ubuntu: apt install dataset-fashion-mnist")
    proxy = getproxies().get("https")
    lines.append(f"behind a proxy: set HTTPS_PROXY=http://HOST:PORT (now {proxy or 'not set'})")
    if proxy and proxy.startswith("https:"):
        lines.append(f"  most proxies are spoken to without TLS: try http{proxy[5:]}")
    lines.append(
        f"with the files at hand: put them in FOLDER/{entry.name} and name "
        "--data-dir FOLDER (Python: data_dir=FOLDER)"
    )
    lines.append("without any download: --data digits (Python: data='digits')")
    return "\n".join(lines)


def _install_payload(stream: IO[bytes], file: DataFile, folder: Path, container: str) -> None:
    """Decompress aside, check size and digest, flush, rename."""
    aside = folder / f".{file.name}{PARTIAL}"
    digest, size = hashlib.sha256(), 0
    try:
        with open(aside, "wb") as target:
            while block := _read_block(stream, container):
                size += len(block)
                if size > file.size:
                    raise FormatError(f"it unpacks to more than the {file.size} bytes expected")
                digest.update(block)
                target.write(block)
        if size != file.size:
            raise FormatError(f"it unpacks to {size} bytes; expected are {file.size}")
        if file.sha256 not in (None, digest.hexdigest()):
            raise DigestError(f"its SHA-256 is {digest.hexdigest()}; published is {file.sha256}")
        if file.sha256 is None:
            record_digest(folder, file.name, digest.hexdigest())
        sync_file(aside)
        os.replace(aside, folder / file.name)
        sync_folder(folder)
    finally:
        aside.unlink(missing_ok=True)


def _read_block(stream: IO[bytes], container: str) -> bytes:
    try:
        return stream.read(BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{container} is not the gzip file it should be: {error}") from error
