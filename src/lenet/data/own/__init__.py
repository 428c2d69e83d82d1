"""The user's own data: folders of pictures and files of images, as data sets.

Kept here: what is collected from a place, how it is split, and what was found in it.  It may know
`files`, `pictures` and what all data sets have in common; it knows nothing of published ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Dataset, Split
from lenet.data.files import arrays_at_hand, is_array_file, label_indices, label_positions
from lenet.data.own.collection import Collection, Shape, Target, short_name
from lenet.data.own.division import Indices, absent_classes, digest, divide, survey
from lenet.data.own.folder import read_folder
from lenet.data.own.layout import holds_classes, holds_pictures
from lenet.data.own.list_columns import may_be_list
from lenet.data.own.listing import are_splits, contradicts, find_lists, read_lists
from lenet.data.own.table import array_files, read_files, read_images
from lenet.data.pictures.convention import Convention
from lenet.data.progress import Progress
from lenet.data.reading import SIDE, Origin, Reading
from lenet.errors import DataError, DataNotFoundError

__all__ = ["looks_like_path", "read_arrays", "read_arrays_like", "read_like", "read_own"]


def looks_like_path(name: str) -> bool:
    """Whether `name` means own data: it is there, or is written as a path or a file of images."""
    path = Path(name).expanduser()
    return "/" in name or "\\" in name or is_array_file(path) or path.exists()


def read_own(
    path: str | Path, reading: Reading | None = None, *, progress: Progress | None = None
) -> Dataset:
    """Own data as a data set to train on; `reading` says how it is read.

    Raises:
        DataError: if it is not there, holds nothing that can be used, or has no two classes.
    """
    reading = reading or Reading()
    place = Path(path).expanduser().absolute()
    collection = _collect(place, _target(reading), progress)
    return _to_train_on(collection, reading, place, Origin(str(place), reading))


def read_arrays(images: Any, labels: Any, reading: Reading | None = None) -> Dataset:
    """Images and labels at hand as a data set to train on, read and split as a file of them is.

    Raises:
        DataError: as `read_own`.
    """
    reading, given = reading or Reading(), arrays_at_hand(images, labels)
    collection = read_images([given], given.path, _target(reading), None)
    return _to_train_on(collection, reading, given.path, None)


def read_arrays_like(
    images: Any,
    labels: Any,
    shape: Shape,
    convention: Convention,
    class_names: tuple[str, ...],
    *,
    by_position: bool = False,
) -> Dataset:
    """The same for a network that was trained on other data; see `read_like`.

    Raises:
        DataError: as `read_like`.
    """
    given = arrays_at_hand(images, labels)
    collection = read_images([given], given.path, lambda _: (shape, convention, False), None)
    return _to_score(collection, class_names, given.path, None, by_position)


def _target(reading: Reading) -> Target:
    def target(stored: Shape) -> tuple[Shape, Convention, bool]:
        shape = (
            reading.channels or stored[0],
            reading.size or stored[1],
            reading.size or stored[2],
        )
        return shape, reading.convention(min(shape[1:])), reading.resize == "ink"

    return target


def _to_train_on(
    collection: Collection, reading: Reading, place: Path, origin: Origin | None
) -> Dataset:
    labels = label_indices(collection.labels, collection.class_names, str(place))
    splits, words = divide(collection, labels, reading.split_seed, str(place))
    remarks = absent_classes(collection, labels, splits)
    return _dataset(collection, labels, splits, words, place, origin, remarks)


def read_like(
    path: str | Path,
    shape: Shape,
    convention: Convention,
    class_names: tuple[str, ...],
    *,
    progress: Progress | None = None,
    by_position: bool = False,
) -> Dataset:
    """Own data for a network that was trained on other data: in its shape, with its classes.

    Where the data has no test split, all of it is one.  It may have some of the classes only.
    With `by_position` its classes, in their order, are the network's whatever they are called;
    fewer whole numbers count the network's from 0.

    Raises:
        DataError: as `read_own`, or if a class is none of `class_names`.
    """
    place = Path(path).expanduser().absolute()
    collection = _collect(place, lambda _: (shape, convention, False), progress)
    origin = Origin(str(place), Reading())
    return _to_score(collection, class_names, place, origin, by_position)


def _to_score(
    collection: Collection,
    class_names: tuple[str, ...],
    place: Path,
    origin: Origin | None,
    by_position: bool,
) -> Dataset:
    names = collection.class_names
    if by_position:
        labels = label_positions(collection.labels, names, class_names, str(place))
    else:
        labels = label_indices(collection.labels, class_names, str(place))
    everything = np.arange(len(labels), dtype=np.int64)
    known = replace(collection, class_names=class_names)
    splits: dict[str, Indices] = {"train": everything[:0], "test": everything}
    words = "all of it is the test split"
    if collection.splits is not None and (collection.splits == "test").any():
        splits, words = divide(known, labels, 0, str(place))
    return _dataset(known, labels, splits, words, place, origin)


def _collect(place: Path, target: Target, progress: Progress | None) -> Collection:
    if not place.exists():
        raise DataNotFoundError(f"{place}: no such file or folder")
    if place.is_dir():
        return _collect_folder(place, target, progress)
    if not is_array_file(place):
        raise DataError(
            f"{place}: own data is a folder with one folder of pictures a class, or a file of "
            "images (.npz, .npy, .csv, .parquet, IDX), or a list of pictures (.csv); this is "
            "none of them"
        )
    if may_be_list(place):
        shape, convention, _ = target((1, SIDE, SIDE))
        return read_lists([place], place, shape, convention, progress)
    return read_files([place], place, target, progress)


def _collect_folder(place: Path, target: Target, progress: Progress | None) -> Collection:
    """What its lists name, its files of images, or the pictures in its folders of classes."""
    shape, convention, _ = target((1, SIDE, SIDE))
    classes = holds_classes(place)
    lists = find_lists(place, below=not classes)
    if lists and (not classes or are_splits(lists, place)):
        return read_lists(lists, place, shape, convention, progress)
    files = [] if classes or holds_pictures(place) else array_files(place)
    if files:
        return read_files(files, place, target, progress)
    for path in lists:
        if contradicts(path, place):
            raise DataError(
                f"{place}: its folders hold pictures, as those of classes do, and {path.name} says "
                "other classes of them; name the list, or move it away"
            )
    collection = read_folder(place, shape, convention, progress)
    said = (f"list {path.name} is not read: the folders are the classes" for path in lists)
    return replace(collection, remarks=(*collection.remarks, *said))


def _dataset(
    collection: Collection,
    labels: NDArray[np.int64],
    splits: dict[str, Indices],
    division: str,
    place: Path,
    origin: Origin | None,
    remarks: tuple[str, ...] = (),
) -> Dataset:
    cut = {
        name: Split(collection.images[indices], labels[indices]) for name, indices in splits.items()
    }
    names = collection.class_names
    return Dataset(
        short_name(place),
        cut["train"],
        cut["test"],
        names,
        {name: digest(split, names) for name, split in cut.items()},
        collection.convention,
        validation=cut.get("validation"),
        origin=origin,
        survey=survey(collection, labels, splits, division, remarks),
    )
