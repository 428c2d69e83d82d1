"""Files of pictures whose classes are known: decoded on all cores, and collected."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.own.collection import (
    Collection,
    Shape,
    check_classes,
    describe_shape,
    digest_pixels,
    sort_classes,
)
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import no_warnings, read_picture
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError, FormatError
from lenet.system import machine

WINDOW = 256
"""Pictures that are handed to the threads at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a class: its path, and how it is called below the place that was given."""

    path: Path
    name: str
    label: str
    split: str | None


def collect(
    files: Sequence[Found],
    place: Path,
    shape: Shape,
    convention: Convention,
    left_out: list[LeftOut],
    remarks: list[str],
    progress: Progress | None,
) -> Collection:
    """The pictures as the network gets them, in their order; all have a split, or none has.

    Files that cannot be read are added to `left_out`.

    Raises:
        DataError: if fewer than two classes are left.
    """
    images, used, keys = _decode(files, shape, convention, left_out, place.name, progress)
    labels = np.array([file.label for file in used], np.str_)
    names = sort_classes(labels.tolist())
    for lost in sorted({file.label for file in files} - set(names)):
        remarks.append(f"class {lost!r} has no picture that can be read, and is left out")
    check_classes(names, str(place))
    has_splits = any(file.split for file in used)
    splits = np.array([file.split for file in used], np.str_) if has_splits else None
    return Collection(
        images,
        labels,
        keys,
        names,
        splits,
        convention,
        f"{convention.describe()}; {describe_shape(shape)}",
        tuple(left_out),
        tuple(remarks),
    )


def _decode(
    files: Sequence[Found],
    shape: Shape,
    convention: Convention,
    left_out: list[LeftOut],
    title: str,
    progress: Progress | None,
) -> tuple[NDArray[np.uint8], list[Found], list[bytes]]:
    """The images of the files that can be read, on all cores; those files; their keys."""
    try:
        images = np.empty((len(files), *shape), np.uint8)
    except MemoryError as error:
        raise DataError(f"{len(files)} pictures of {shape} do not fit into the memory") from error
    used: list[Found] = []
    keys: list[bytes] = []
    sizes = [file.path.stat().st_size for file in files]
    total, done = sum(sizes), 0

    def read(file: Found) -> tuple[NDArray[np.uint8], bytes] | str:
        try:
            picture = read_picture(file.path, shape, convention, file.name)
            return picture.image, digest_pixels(picture.given)
        except FormatError as error:
            return str(error).removeprefix(f"{file.name}: ")

    with no_warnings, ThreadPoolExecutor(machine.cores()) as pool:
        for first in range(0, len(files), WINDOW):
            window = files[first : first + WINDOW]
            for file, found in zip(window, pool.map(read, window), strict=True):
                if isinstance(found, str):
                    left_out.append(LeftOut(file.name, found))
                    continue
                images[len(used)], key = found
                used.append(file)
                keys.append(key)
            done += sum(sizes[first : first + WINDOW])
            if progress is not None:
                progress(f"reading {title}", done, total)
    return images[: len(used)], used, keys
