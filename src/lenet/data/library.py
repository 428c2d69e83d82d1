"""Data sets by name, from wherever they are.

Downloads and own data are imported where they are needed: most trainings start without them.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Dataset, Split
from lenet.data.files.idx import read_idx
from lenet.data.pictures.convention import Convention
from lenet.data.progress import Progress
from lenet.data.published.catalog import CATALOG, Entry, find
from lenet.data.published.digest import cache_folder
from lenet.data.published.digits import load_digits
from lenet.data.published.location import Location, check_digests, locate
from lenet.data.reading import Origin, Reading
from lenet.errors import DataNotFoundError, DigestError, FormatError, InputError, UsageError


def get(
    name: str,
    data_dir: Path | None = None,
    *,
    progress: Progress | None = None,
    force: bool = False,
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
    if location is not None and not force and not _is_spoilt(entry, location):
        return location
    from lenet.data.published.download import fetch

    folder = (data_dir or cache_folder()) / name
    fetch(entry, folder, progress, force=force)
    return Location(folder, tuple(folder / file.name for file in entry.files))


def _is_spoilt(entry: Entry, location: Location) -> bool:
    """Whether lenet's own download has been damaged since, so that it should be replaced.

    Files that somebody else put in their place are theirs to replace: `load` refuses them.
    """
    if location.folder != cache_folder() / entry.name:
        return False
    try:
        check_digests(entry, location)
    except (DigestError, FormatError) as error:
        warnings.warn(f"fetching {entry.name} again: {error}", stacklevel=3)
        return True
    return False


Source = str | Path | Dataset | tuple[Any, Any] | list[Any]
"""A name of the catalog, the path of own data, a data set at hand, or (images, labels)."""


def load(
    source: Source,
    data_dir: str | Path | None = None,
    *,
    progress: Progress | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """The data set in memory: one of the catalog, own data by its path, or arrays at hand.

    Every file of the catalog is checked against its published digest.  A name of the catalog is
    not taken for a folder of that name; `./NAME` is the folder.  Arrays are (images, labels):
    images uint8 or fractions, (n, height, width), (n, channels, height, width) or with the channels
    last; labels (n,) whole numbers or texts.  `reading` says how own data and arrays are read.

    Raises:
        UsageError: if no data set has that name, or `reading` is given for one of the catalog.
        DataError: if it cannot be found, fetched, verified or read.
    """
    if reading is not None and not isinstance(reading, Reading):
        raise InputError(
            f"reading is of type {type(reading).__name__}; it is a Reading, as "
            "lenet.Reading(resize='ink')"
        )
    if isinstance(source, Dataset):
        return source
    if isinstance(source, tuple | list):
        from lenet.data.own import read_arrays

        return _warned(read_arrays(*_pair(source), reading))
    if not isinstance(source, str | Path):
        raise InputError(
            f"data is of type {type(source).__name__}; it is a name, a path, a Dataset, or "
            "(images, labels)"
        )
    name = str(source)
    if is_own(name):
        from lenet.data.own import read_own

        return _warned(read_own(name, reading, progress=progress))
    entry = find(name)
    if reading not in (None, Reading()):
        raise UsageError(
            f"{name} comes with its own size and splits; size, channels, resize and split_seed are "
            "for own data"
        )
    if entry.is_bundled:
        return load_digits(entry.class_names)
    location = get(name, None if data_dir is None else Path(data_dir), progress=progress)
    digests = check_digests(entry, location)
    splits = [
        _read_split(entry, location.paths[start], location.paths[start + 1]) for start in (0, 2)
    ]
    return Dataset(
        name,
        splits[0],
        splits[1],
        entry.class_names,
        digests,
        entry.convention,
        flips=entry.flips,
    )


def is_own(name: str | Path) -> bool:
    """Whether a name means the user's own data.

    Raises:
        UsageError: if it is neither own data nor a name of the catalog.
    """
    name = str(name)
    if name in CATALOG:
        return False
    if not name:
        raise UsageError("data is an empty name; name a data set, or a folder or file (. is here)")
    from lenet.data.own import looks_like_path

    if looks_like_path(name):
        return True
    raise UsageError(
        f"no data set is called {name!r}; known are {', '.join(CATALOG)}; and no such file or "
        "folder is here"
    )


def load_again(
    origin: Origin, data_dir: str | Path | None = None, *, progress: Progress | None = None
) -> Dataset:
    """Own data as it was read before, from `data_dir` if it is there by now.

    Raises:
        DataNotFoundError: if it is gone.
        DataError: as `load`.
    """
    from lenet.data.own import read_own

    path = Path(origin.path)
    places = [path] if data_dir is None else [Path(data_dir) / path.name, Path(data_dir), path]
    for place in places:
        if place.exists():
            return _warned(read_own(place, origin.reading, progress=progress))
    raise DataNotFoundError(
        f"{path}: this data is not there any more; name the folder that holds it now with "
        "--data-dir (Python: data_dir=...)"
    )


def _pair(arrays: tuple[Any, ...] | list[Any]) -> tuple[Any, Any]:
    if len(arrays) != 2:
        raise UsageError(
            f"data is a {type(arrays).__name__} of {len(arrays)}; arrays are given as "
            "(images, labels)"
        )
    return arrays[0], arrays[1]


def load_like(
    source: str | Path | tuple[Any, Any] | list[Any],
    shape: tuple[int, int, int],
    convention: Convention,
    class_names: tuple[str, ...],
    *,
    progress: Progress | None = None,
    by_position: bool = False,
) -> Dataset:
    """Own data, or arrays, for a network that was trained on other data; see `read_like`."""
    from lenet.data.own import read_arrays_like, read_like

    if isinstance(source, tuple | list):
        return _warned(
            read_arrays_like(
                *_pair(source), shape, convention, class_names, by_position=by_position
            )
        )
    return _warned(
        read_like(
            source, shape, convention, class_names, progress=progress, by_position=by_position
        )
    )


def _warned(dataset: Dataset) -> Dataset:
    assert dataset.survey is not None
    for text in dataset.survey.warnings():
        text = text.removeprefix(f"{dataset.name}: ")  # a remark on arrays names them
        warnings.warn(f"{dataset.name}: {text}", stacklevel=3)
    return dataset


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
        _turn_upright(images)
    return Split(images[:, None], labels)


def _turn_upright(images: NDArray[np.uint8]) -> None:
    """Swap rows and columns of square images (n, side, side) in place.

    Part by part, since the largest set of EMNIST, 547 MB, should not be in memory twice.
    """
    for start in range(0, len(images), 4096):
        part = images[start : start + 4096]
        part[:] = part.transpose(0, 2, 1).copy()
