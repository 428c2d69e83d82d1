"""Fetch a data set's files from its publisher's mirrors: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock

from lenet.data.catalog import Archive, DataFile, Entry
from lenet.data.digest import payload_digest
from lenet.data.idx import open_payload
from lenet.errors import DataError, DigestError, DownloadError, FormatError
from lenet.files import sync_folder

Progress = Callable[[str, int, int | None], None]
"""Takes a file's name, the bytes so far, and all its bytes where they are known."""

BLOCK = 1 << 16
REDIRECTS = 5
CONTAINER_SLACK = 1 << 20
"""Bytes by which a container may be larger than its payload."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a download is.

    `connect`, `read` (the next bytes), `overall` (one file from one mirror) and `pause` (before the
    second round, then doubling) are seconds; `rounds` counts the passes over the mirrors.
    """

    connect: float = 10.0
    read: float = 30.0
    overall: float = 900.0
    rounds: int = 2
    pause: float = 1.0


def fetch(
    entry: Entry, folder: Path, progress: Progress | None = None, limits: Limits | None = None
) -> None:
    """Bring every file of `entry` to `folder`, which then holds the payloads under their names.

    Each is written aside, checked, flushed and renamed.  A second process waits for the first and
    finds the files there.

    Raises:
        DownloadError: if no mirror delivered a file; it lists each mirror's reason.
        DataError: if `folder` cannot be written.
    """
    limits, progress = limits or Limits(), progress or _silent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            for file in entry.files:
                if not _is_there(folder / file.name, file):
                    _fetch_file(entry, file, folder, progress, limits)
    except OSError as error:
        raise DataError(f"{folder}: cannot write data here: {error}; name a --data-dir") from error


def _silent(name: str, done: int, total: int | None) -> None:
    pass


def _is_there(path: Path, file: DataFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return file.sha256 is None or payload_digest(path, file.size) == file.sha256


def _fetch_file(
    entry: Entry, file: DataFile, folder: Path, progress: Progress, limits: Limits
) -> None:
    if entry.archive is not None:
        archive = folder.parent / "emnist" / entry.archive.name
        _fetch_archive(entry, entry.archive, archive, progress, limits)
        _unpack(file, archive, entry.archive, folder)
        return

    def install(container: Path) -> None:
        if file.md5 is not None:
            _check_md5(container, file.md5)
        with open_payload(container) as stream:
            _install_payload(stream, file, folder, container.name)

    name = f"{file.name}.gz"
    _from_any_mirror(entry, name, folder, file.size + CONTAINER_SLACK, install, progress, limits)


def _fetch_archive(
    entry: Entry, archive: Archive, path: Path, progress: Progress, limits: Limits
) -> None:
    """Keep the archive: several data sets lie in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / ".lock"):
        if path.is_file():
            return

        def install(container: Path) -> None:
            _check_md5(container, archive.md5)
            _flush(container)
            os.replace(container, path)
            sync_folder(path.parent)

        _from_any_mirror(entry, archive.name, path.parent, archive.size, install, progress, limits)


def _unpack(file: DataFile, archive: Path, row: Archive, folder: Path) -> None:
    member = f"{row.folder}/{file.name}.gz"
    aside = folder / f".{file.name}.{os.getpid()}.gz"
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
    reasons = []
    for turn in range(limits.rounds):
        if turn:
            time.sleep(limits.pause * 2 ** (turn - 1))
        for mirror in entry.mirrors:
            aside = folder / f".{name}.{os.getpid()}.partial"
            try:
                _download(mirror + name, aside, limit, progress, limits)
                install(aside)
                return
            except (DataError, httpx.HTTPError, httpx.InvalidURL) as error:
                reasons.append(f"{mirror}: {error or type(error).__name__}")
            finally:
                aside.unlink(missing_ok=True)
    raise DownloadError(_explain(entry, name, reasons))


def _explain(entry: Entry, name: str, reasons: list[str]) -> str:
    lines = [f"{entry.name}: no mirror delivered {name}:"]
    lines += [f"  {reason}" for reason in dict.fromkeys(reasons)]
    if entry.name == "fashion-mnist":
        lines.append("on Debian and Ubuntu: apt install dataset-fashion-mnist")
    lines.append("behind a proxy: set HTTPS_PROXY; with the files at hand: name --data-dir")
    lines.append("without any download: --data digits")
    return "\n".join(lines)


def _download(url: str, path: Path, limit: int, progress: Progress, limits: Limits) -> None:
    """Write what `url` serves to `path`; proxies of the environment are used."""
    timeout = httpx.Timeout(limits.read, connect=limits.connect)
    end = time.monotonic() + limits.overall
    headers = {"Accept-Encoding": "identity"}
    with httpx.Client(timeout=timeout, headers=headers) as client:
        for _ in range(REDIRECTS + 1):
            _check_url(url)
            with client.stream("GET", url) as response:
                if not response.is_redirect:
                    _store(response, path, limit, end, progress)
                    return
                url = str(response.url.join(response.headers["location"]))
    raise DownloadError(f"more than {REDIRECTS} redirects")


def _check_url(url: str) -> None:
    """Only https; plain http only to this very machine, where nobody can listen in between."""
    parsed = httpx.URL(url)
    if parsed.scheme == "https" or (parsed.scheme == "http" and _is_loopback(parsed.host)):
        return
    raise DownloadError(f"{url} is not https: refused")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _store(
    response: httpx.Response, path: Path, limit: int, end: float, progress: Progress
) -> None:
    if response.status_code != 200:
        raise DownloadError(f"it answered {response.status_code} {response.reason_phrase}")
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    done, name = 0, path.name.split(".")[1]
    with open(path, "wb") as file:
        for block in response.iter_raw():
            done += len(block)
            if done > limit:
                raise DownloadError(f"it sent more than the {limit} bytes that the file can have")
            if time.monotonic() > end:
                raise DownloadError(f"too slow: {done} bytes when the time was over")
            file.write(block)
            progress(name, done, total)
    if total is not None and done != total:
        raise DownloadError(f"it sent {done} bytes of {total}")


def _check_md5(path: Path, expected: str) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise DigestError(f"its MD5 is {found}, but the published one is {expected}")


def _install_payload(stream: IO[bytes], file: DataFile, folder: Path, container: str) -> None:
    """Decompress aside, check size and digest, flush, rename."""
    aside = folder / f".{file.name}.{os.getpid()}.payload"
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
        _flush(aside)
        os.replace(aside, folder / file.name)
        sync_folder(folder)
    finally:
        aside.unlink(missing_ok=True)


def _read_block(stream: IO[bytes], container: str) -> bytes:
    try:
        return stream.read(BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{container} is not the gzip file it should be: {error}") from error


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
