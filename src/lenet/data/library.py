"""Data sets by name, from wherever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lenet.data.catalog import Entry, find
from lenet.data.dataset import Dataset, Split
from lenet.data.digest import cache_folder
from lenet.data.digits import load_digits
from lenet.data.download import Limits, Progress, fetch
from lenet.data.idx import read_idx
from lenet.data.location import Location, check_digests, locate
from lenet.errors import FormatError


def get(
    name: str,
    data_dir: Path | None = None,
    *,
    progress: Progress | None = None,
    force: bool = False,
    limits: Limits | None = None,
) -> Location:
    """Where the data set is; fetched to the cache (or `data_dir`) if it is nowhere, or if `force`.

    Raises:
        UsageError: if no data set has that name.
        DownloadError: if no mirror delivers.
    """
    entry = find(name)
    if entry.is_bundled:
        return Location(Path("bundled"), ())
    location = locate(name, data_dir)
    if location is not None and not force:
        return location
    folder = (data_dir or cache_folder()) / name
    if force:
        for file in entry.files:
            (folder / file.name).unlink(missing_ok=True)
    fetch(entry, folder, progress, limits)
    return Location(folder, tuple(folder / file.name for file in entry.files))


def load(name: str, data_dir: Path | None = None, *, progress: Progress | None = None) -> Dataset:
    """The data set in memory, every file checked against its published digest.

    Raises:
        UsageError: if no data set has that name.
        DataError: if it cannot be found, fetched, verified or read.
    """
    entry = find(name)
    if entry.is_bundled:
        return load_digits(entry.class_names)
    location = get(name, data_dir, progress=progress)
    digests = check_digests(entry, location)
    splits = [
        _read_split(entry, location.paths[start], location.paths[start + 1]) for start in (0, 2)
    ]
    return Dataset(name, splits[0], splits[1], entry.class_names, digests)


def _read_split(entry: Entry, images_path: Path, labels_path: Path) -> Split:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise FormatError(f"{images_path}: holds {images.dtype} {images.shape}, not uint8 pictures")
    if labels.ndim == 2:
        labels = labels[:, 0]  # QMNIST: the class is the first of eight columns.
    labels = labels.astype(np.int64) - entry.first_label
    if labels.shape != images.shape[:1]:
        raise FormatError(f"{labels_path}: {labels.shape} labels for {len(images)} pictures")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(entry.class_names):
        raise FormatError(f"{labels_path}: a label is not one of {len(entry.class_names)} classes")
    if entry.transposed:
        images = images.transpose(0, 2, 1)
    return Split(np.ascontiguousarray(images[:, None]), labels)
