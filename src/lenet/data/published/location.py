"""Where a data set's files are on this machine, and whether they are what they should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lenet.data.published.catalog import DataFile, Entry, find
from lenet.data.published.digest import (
    cache_folder,
    check_container,
    payload_digest,
    recorded_digest,
    remembered_digest,
)
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
    """What a file's payload hashes to, and the digest that it was compared with.

    `expected` is `sha256:...` of the payload, or that of the container where only it is published.
    """

    path: Path
    sha256: str
    expected: str


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
        plain, packed = folder / file.name, folder / f"{file.name}.gz"
        tellable = file.sha256 or recorded_digest(folder, file.name)
        order = (plain, packed) if tellable else (packed, plain)
        found = [path for path in (*order, *_other_spellings(folder, file.name)) if path.is_file()]
        if not found:
            return None
        paths.append(found[0])
    return Location(folder, tuple(paths)) if paths else None


def _other_spellings(folder: Path, name: str) -> Iterator[Path]:
    """As Kaggle packs MNIST: with a dot in the name, and each file in a folder of its own name."""
    for each in dict.fromkeys((name, name.replace("-idx", ".idx"))):
        yield from (folder / each / each, folder / each, folder / f"{each}.gz")


def _fits(entry: Entry, location: Location) -> bool:
    """Whether loose files are those of `entry`; the smallest differs between any two sets."""
    rows = zip(entry.files, location.paths, strict=True)
    file, path = min(rows, key=lambda row: row[0].size)
    try:
        _check_file(entry, file, path, remembered_digest(path, file.size))
    except DataError:
        return False
    return True


def check_digests(entry: Entry, location: Location) -> dict[str, str]:
    """SHA-256 of the payloads by file name, compared with what was published.

    Raises:
        DigestError: if a file is not the published one, or nothing is known to tell.
        FormatError: if a file is damaged.
    """
    return {
        file.name: _check_file(entry, file, path, remembered_digest(path, file.size)).sha256
        for file, path in zip(entry.files, location.paths, strict=True)
    }


def _check_file(entry: Entry, file: DataFile, path: Path, digest: str) -> Verification:
    """Compare a payload's `digest` with the published or recorded one, or else the container."""
    again = f"fetch it again with: lenet data get {entry.name} --force"
    expected = file.sha256 or recorded_digest(path.parent, file.name)
    if expected is not None:
        if digest != expected:
            raise DigestError(
                f"{path}: its SHA-256 is {digest}, but the one of {entry.name} is {expected}: the "
                f"file is damaged or another one; {again}"
            )
        return Verification(path, digest, f"sha256:{expected}")
    if file.container is None or path.suffix != ".gz":
        published = entry.archive.name if entry.archive else f"{file.name}.gz"
        raise DigestError(
            f"{path}: no digest is published for this file, only for {published}, so it cannot be "
            f"told from another; {again}"
        )
    try:
        check_container(path, file.container)
    except DigestError as error:
        raise DigestError(f"{path}: {error}; {again}") from error
    return Verification(path, digest, file.container)


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
        rows.append(_check_file(entry, file, path, payload_digest(path, file.size)))
    return rows
