"""What every file of images offers, and how stored numbers become pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lenet.errors import FormatError

Pixels = NDArray[np.uint8]
Shape = tuple[int, ...]

SAMPLE = 256
"""Rows of a file by which the scale of its numbers is found."""

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "val": "validation", "valid": "validation",
    "validate": "validation", "dev": "validation", "development": "validation",
    "test": "test", "testing": "test", "t10k": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""How folders, files and arrays in them call their split -> what lenet calls it."""

MOST_VALUES = 50_000_000
"""Numbers in one image; a header that promises more is refused."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring rows: images uint8 (k, channels, height, width), and labels (k,) or None.

    Labels are as stored, whole numbers or texts (CSV: always texts); see `label_indices`.
    """

    images: Pixels
    labels: NDArray[Any] | None


class ImageFile(Protocol):
    """A file of images at hand.

    `splits` says which rows are `train`, `validation` and `test` where the file says so.
    `class_names` are those that the file gives to the labels 0, 1, 2 ..., or empty.  `encoded` says
    that it holds pictures, which were made as `open_images` was told.  `described` says which
    column is the label and why, `remarks` what a user may not expect, and `doubt` why the labels
    may be none; each may be empty.
    """

    @property
    def path(self) -> Path: ...

    @property
    def splits(self) -> Mapping[str, range]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def encoded(self) -> bool: ...

    @property
    def described(self) -> str: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    @property
    def doubt(self) -> str: ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """Rows `start` to `stop`, at most `size` at a time, in constant memory.

        Raises:
            FormatError: at the first row that is damaged, or whose pixels are out of range.
        """
        ...


def check_readable(path: Path) -> None:
    """Refuse what is not there, cannot be opened or is empty.

    Raises:
        FormatError: saying which.
    """
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise FormatError(f"{path}: cannot read this file: {error.strerror}") from error
    if empty:
        raise FormatError(f"{path}: this file is empty")


class Scale(Enum):
    """What stored numbers mean: `LEVELS` 0 to 255, `FRACTIONS` 0 to 1, `BITS` 0 or 1."""

    LEVELS = 255
    FRACTIONS = 1
    BITS = 2


def find_scale(values: NDArray[Any]) -> Scale | None:
    """The scale of a file whose first rows are `values`; None where only their type says it.

    Whole numbers of which none is above 1 are bits, and floating numbers that are whole, one of
    them above 1, are levels.  A pixel that is no number says nothing of the others.
    """
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.dtype.kind not in "iuf" or not values.size:
        return None
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        return Scale.LEVELS if high > 1 and _are_whole(values) else None
    return Scale.BITS if low == 0 and high == 1 else None


def scale_remarks(scale: Scale | None, place: str) -> tuple[str, ...]:
    """What to say of a scale that was found by looking at the numbers."""
    if scale is Scale.BITS:
        return (f"{place}: its pixels are 0 and 1, and taken for black and white (0 and 255)",)
    return ()


def to_pixels(values: NDArray[Any], place: str, scale: Scale | None = None) -> Pixels:
    """Stored numbers as pixels from 0 to 255: the one rule for every format.

    Whole numbers from 0 to 255 stay as they are.  Fractions from 0 to 1 are scaled, False and
    True are 0 and 255.  `scale` is that of the whole file, see `find_scale`: guessing it from a
    part could differ from part to part.  Anything else is refused.

    Raises:
        FormatError: with the range that was found, and the cure.
    """
    kind = values.dtype.kind
    if not values.size:
        return values.astype(np.uint8)
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise FormatError(f"{place}: its pixels are of type {values.dtype}, which are no numbers")
    scale = scale or (Scale.FRACTIONS if kind == "f" else Scale.LEVELS)
    if values.dtype == np.uint8 and scale is Scale.LEVELS:
        return values
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise FormatError(f"{place}: a pixel is not a finite number")
    if scale is Scale.BITS and high > 1:
        raise FormatError(
            f"{place}: a pixel is {high:g}, and the first rows have only 0 and 1: say what they "
            "mean by scaling them to 0 to 255 (NumPy: uint8)"
        )
    if low < 0 or high > (255 if scale is Scale.LEVELS else 1):
        raise FormatError(
            f"{place}: its pixels go from {digits(low)} to {digits(high)}; lenet takes whole "
            "numbers from 0 to 255 (NumPy: uint8) and fractions from 0 to 1: scale or convert them "
            "first"
        )
    if scale is Scale.FRACTIONS:
        return np.rint(values.astype(np.float64) * 255.0).astype(np.uint8)
    if kind == "f" and not _are_whole(values):
        raise FormatError(
            f"{place}: its pixels are whole numbers up to 255 in the first rows, and not here: "
            "give whole numbers from 0 to 255 (NumPy: uint8), or fractions from 0 to 1"
        )
    pixels = values.astype(np.uint8)
    return pixels * np.uint8(255) if scale is Scale.BITS else pixels


def digits(value: Any) -> str:
    """Six digits of a level, or all where they would say 1 or 255 of what is not."""
    short = f"{value:g}"
    return str(value) if short in ("1", "255") and value != int(short) else short


def _are_whole(values: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool((values == np.floor(values)).all())


def image_shape(stored: Shape, place: str) -> Shape:
    """(channels, height, width) of images that are stored as rows of shape `stored`.

    Raises:
        FormatError: if that is no shape of an image.
    """
    if len(stored) == 1:
        side = math.isqrt(stored[0]) if stored[0] > 0 else 0
        shape: Shape = (1, side, side)
        fits = side > 0 and side * side == stored[0]
    elif len(stored) == 2:
        shape, fits = (1, *stored), True
    elif len(stored) == 3:
        shape = (stored[2], *stored[:2]) if _channels_last(stored) else stored
        fits = shape[0] in (1, 3)
    else:
        shape, fits = stored, False
    if not fits or min(shape) < 1 or math.prod(shape) > MOST_VALUES:
        alone = "; one image alone is (1, height, width)" if len(stored) == 1 else ""
        raise FormatError(
            f"{place}: its rows have the shape {stored}, which is none of an image; lenet reads "
            "(n, height, width), (n, channels, height, width) with 1 or 3 channels, and "
            f"(n, height * width) for square images{alone}"
        )
    return shape


def to_images(rows: NDArray[Any], place: str, scale: Scale | None = None) -> Pixels:
    """Rows as stored, (k, ...), as images uint8 (k, channels, height, width)."""
    shape = image_shape(rows.shape[1:], place)
    if rows.ndim == 4 and _channels_last(rows.shape[1:]):
        rows = np.moveaxis(rows, -1, 1)
    return np.ascontiguousarray(to_pixels(rows, place, scale).reshape(len(rows), *shape))


def _channels_last(stored: Shape) -> bool:
    """Keras puts the channels last."""
    return len(stored) == 3 and stored[2] in (1, 3) and stored[0] not in (1, 3)


def to_labels(values: NDArray[Any], count: int, place: str) -> NDArray[Any]:
    """Labels (count,), whole numbers or texts; a column (count, 1) is made flat.

    Raises:
        FormatError: if they are neither, or not as many as the images.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (count,):
        raise FormatError(f"{place}: labels of shape {values.shape} for {count} images")
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        values = values.astype(np.str_)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iubU":
        raise FormatError(
            f"{place}: its labels are {values.dtype}, not whole numbers or texts"
            f"{_first_odd(values)}"
        )
    return values


def _first_odd(values: NDArray[Any]) -> str:
    """Which label is neither, as one that is missing among others."""
    for index, value in enumerate(values.tolist()):
        if not isinstance(value, str | int) and not (isinstance(value, float) and value % 1 == 0):
            return f": the first that is neither is label {index}, {value!r}"
    return ""


def label_indices(
    labels: NDArray[Any], class_names: Sequence[str], place: str
) -> NDArray[np.int64]:
    """Texts as the numbers of the classes that are called so; whole numbers count classes from 0.

    Raises:
        FormatError: if a label is no class's name, or none's number, with both lists.
    """
    texts = labels.dtype.kind == "U"
    names = class_names if texts else [str(index) for index in range(len(class_names))]
    known = {name: index for index, name in enumerate(names)}
    return _numbered(labels, known, class_names, place)


def label_positions(
    labels: NDArray[Any], names: Sequence[str], class_names: Sequence[str], place: str
) -> NDArray[np.int64]:
    """Labels, which are called `names` in their order, as the numbers of other classes.

    As many as there are classes are counted in their order; fewer are counted only if they are
    whole numbers, from 0.

    Raises:
        FormatError: if they can be counted in neither way, with both lists.
    """
    if len(names) == len(class_names):
        known = {name: index for index, name in enumerate(names)}
    else:
        known = {str(index): index for index in range(len(class_names))}
    if not set(names) <= set(known):
        raise FormatError(
            f"{place}: its {len(names)} labels ({listed(names)}) cannot be counted as the "
            f"{len(class_names)} classes ({listed(class_names)}): there are fewer or more, and "
            f"they are no numbers from 0 to {len(class_names) - 1}"
        )
    return _numbered(labels, known, class_names, place)


def listed(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _numbered(
    labels: NDArray[Any], known: Mapping[str, int], class_names: Sequence[str], place: str
) -> NDArray[np.int64]:
    distinct, places = np.unique(labels, return_inverse=True)
    words = [str(label) for label in distinct.tolist()]
    for word in words:
        if word not in known:
            raise FormatError(
                f"{place}: the label {word!r} is none of the {len(class_names)} classes "
                f"({listed(class_names)}); its labels are {listed(words)}; to count them by their "
                "position instead, score with --by-position (Python: by_position=True)"
            )
    indices = np.array([known[word] for word in words], np.int64)
    return indices[places.reshape(labels.shape)]
