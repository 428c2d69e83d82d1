"""Where a data set's files are on this machine, and whether they are what they should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lenet.data.catalog import DataFile, Entry, find
from lenet.data.digest import cache_folder, payload_digest, remembered_digest
from lenet.errors import DataError, DataNotFoundError, DigestError

SYSTEM_FOLDER = Path("/usr/share/datasets")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""


@dataclass(frozen=True, slots=True)
class Location:
    """The folder that holds a data set, and the path of each of its files."""

    folder: Path
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What one file hashes to, and what was published; `expected` is None where nothing was."""

    path: Path
    sha256: str
    expected: str | None


def places(data_dir: Path | None = None) -> list[Path]:
    """Folders that may hold data sets, in the order in which they are searched."""
    named = [data_dir, os.environ.get("LENET_DATA_DIR") or None]
    return [*(Path(place) for place in named if place), cache_folder(), SYSTEM_FOLDER]


def locate(name: str, data_dir: Path | None = None) -> Location | None:
    """The first place that has every file of the data set, or None.

    A place holds it in the sub-folder NAME, or itself if the published digests say so (several
    sets use the same file names).
    """
    entry = find(name)
    for place in places(data_dir):
        for location in _candidates(entry, place):
            return location
    return None


def _candidates(entry: Entry, place: Path) -> Iterator[Location]:
    inside = _in_folder(entry, place / entry.name)
    if inside is not None:
        yield inside
    direct = _in_folder(entry, place)
    if direct is not None and _fits(entry, direct):
        yield direct


def _in_folder(entry: Entry, folder: Path) -> Location | None:
    paths = []
    for file in entry.files:
        found = [
            path for path in (folder / file.name, folder / f"{file.name}.gz") if path.is_file()
        ]
        if not found:
            return None
        paths.append(found[0])
    return Location(folder, tuple(paths)) if paths else None


def _fits(entry: Entry, location: Location) -> bool:
    try:
        check_digests(entry, location)
    except DataError:
        return False
    return True


def check_digests(entry: Entry, location: Location) -> dict[str, str]:
    """SHA-256 by file name, compared with what was published.

    Raises:
        DigestError: if a file is not the published one.
        FormatError: if a file is damaged.
    """
    digests = {}
    for file, path in zip(entry.files, location.paths, strict=True):
        digests[file.name] = remembered_digest(path, file.size)
        _compare(entry, file, path, digests[file.name])
    return digests


def _compare(entry: Entry, file: DataFile, path: Path, digest: str) -> None:
    if file.sha256 not in (None, digest):
        raise DigestError(
            f"{path}: its SHA-256 is {digest}, but the one of {entry.name} is {file.sha256}: the "
            f"file is damaged or another one; fetch it again with: lenet data get {entry.name} "
            "--force"
        )


def verify(name: str, data_dir: Path | None = None) -> list[Verification]:
    """Hash every file of a data set again, whatever is remembered.

    Raises:
        DataNotFoundError: if no place holds the data set.
        DigestError: if a file is not the published one.
        FormatError: if a file is damaged.
    """
    entry = find(name)
    if entry.is_bundled:
        return []
    location = locate(name, data_dir)
    if location is None:
        searched = ", ".join(str(place) for place in places(data_dir))
        raise DataNotFoundError(f"{name}: not in {searched}; fetch it with: lenet data get {name}")
    rows = []
    for file, path in zip(entry.files, location.paths, strict=True):
        digest = payload_digest(path, file.size)
        _compare(entry, file, path, digest)
        rows.append(Verification(path, digest, file.sha256))
    return rows
