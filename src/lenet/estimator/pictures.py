"""Features as pictures: rows of numbers to squares, numbers of any range to 256 grey levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.kind import LOOKED_AT, kind_of
from lenet.data.pictures.convention import AS_GIVEN
from lenet.errors import InputError
from lenet.network import Shape
from lenet.recipe.library import TABLE, Subject

PICTURE_SIDE = 8
"""Rows that make a square of a smaller side are numbers, and no picture."""

SMALLEST_SIDE = 24
"""The layers need 12; but filters of 5x5 see too much at once of so few pixels, and learn less."""

MOST_COLOURS = 4
"""Channels of a picture, with transparency; so few in the last place are channels."""

BLOCK = 4096
"""Rows brought to grey levels at a time, so that float64 copies stay small."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a row of features becomes a picture; learned when fitting, repeated when predicting.

    `shape` is (channels, height, width) before a small picture is `enlarged`; `low` and `high` are
    the values that become grey level 0 and 255.
    """

    shape: Shape
    low: float
    high: float
    enlarged: bool = True

    @property
    def factor(self) -> int:
        """Each feature becomes a square of so many pixels a side."""
        if not self.enlarged:
            return 1
        return max(1, math.ceil(SMALLEST_SIDE / min(self.shape[1:])))

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of the pictures that the network reads."""
        channels, height, width = self.shape
        return (channels, height * self.factor, width * self.factor)

    def pictures(self, features: NDArray[Any]) -> NDArray[np.uint8]:
        """`features` (n, features) as uint8 (n, channels, height, width).

        Values are rounded to the nearest of 256 levels between `low` and `high`, and clipped.
        """
        levels = np.zeros((len(features), math.prod(self.shape)), np.uint8)
        for start in range(0, len(features), BLOCK):
            block = features[start : start + BLOCK].astype(np.float64)
            np.clip(block, self.low, self.high, out=block)
            block -= self.low
            block /= (self.high - self.low) or 1.0
            levels[start : start + BLOCK, : block.shape[1]] = np.rint(block * 255.0)
        squares = levels.reshape(-1, *self.shape)
        if self.factor == 1:
            return squares
        return squares.repeat(self.factor, axis=2).repeat(self.factor, axis=3)


def subject_of(form: Form, features: NDArray[Any], images: int, classes: int) -> Subject:
    """What a recipe may depend on, of `features` (n, features) that become so many images."""
    whole = features.shape[1] == math.prod(form.shape)
    if not whole or min(form.shape[1:]) < PICTURE_SIDE:
        return Subject(images, classes, TABLE)
    chosen = features[:: -(-len(features) // LOOKED_AT)]
    return Subject(images, classes, kind_of(form.pictures(chosen), AS_GIVEN))


def learn_form(
    features: NDArray[Any], shape: Shape | None, pixel_range: tuple[float, float] | None
) -> Form:
    """The form of `features` (n, features), whose pictures had `shape` if they came as such.

    Raises:
        InputError: if the range is empty, or too wide for its width to be a number.
    """
    if pixel_range is None:
        low, high = float(features.min()), float(features.max())
    else:
        low, high = _checked_range(pixel_range)
    if not math.isfinite(high - low):
        raise InputError(f"values from {low} to {high}: too wide a range; scale the data first")
    return Form(shape or square(features.shape[1]), low, high)


def square(features: int) -> Shape:
    """The smallest square that holds so many features, one channel."""
    side = math.isqrt(features - 1) + 1
    return (1, side, side)


def flatten(data: Any) -> tuple[Any, Shape | None]:
    """Pictures as rows, and one's shape: (n, height, width), or with channels first or last.

    Channels are last, as Keras has them, where the last size is that of colours and the second is
    not.  Anything else comes back as it is, without a shape: scikit-learn's own checks judge it.
    """
    shape: Shape = np.shape(data) if isinstance(data, list | tuple) else getattr(data, "shape", ())
    if len(shape) not in (3, 4) or 0 in shape:
        return data, None
    pictures = np.asarray(data)
    if len(shape) == 3:
        pictures = pictures[:, None]
    elif shape[3] <= MOST_COLOURS < shape[1]:
        pictures = np.moveaxis(pictures, -1, 1)
    count, channels, height, width = pictures.shape
    return pictures.reshape(count, -1), (channels, height, width)


def _checked_range(pixel_range: Any) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in pixel_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise InputError(
            f"pixel_range = {pixel_range!r}: it must be None or two rising numbers, as (0, 255)"
        )
    return low, high
