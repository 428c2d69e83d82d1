"""Pixels and their neighbours in whole numbers: greys, maxima of windows, means, quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.reading import Pixels

Counts = NDArray[np.int64]


RED, GREEN, BLUE = 19595, 38470, 7471
"""Of 65,536: what each adds to grey, by ITU-R 601-2, as Pillow's mode L has it."""

LOGARITHMS = np.round(255 / 8 * np.log2(np.arange(256) + 1.0)).astype(np.uint8)
"""Of every grey, from 0 to 255."""


def to_grey(colours: Pixels) -> Pixels:
    """(rows, columns) of (rows, columns, 3) in red, green and blue."""
    total: Counts = colours @ np.array((RED, GREEN, BLUE))
    return ((total + 0x8000) >> 16).astype(np.uint8)


def maximum(pixels: Pixels, window: int) -> Pixels:
    """The lightest in a window of `window` x `window` around each pixel of (rows, columns).

    Of an even window, the longer half lies before the pixel.  Beyond the picture nothing counts.
    """
    return _maximum_of_columns(_maximum_of_columns(pixels.T, window).T, window)


def _maximum_of_columns(pixels: Pixels, window: int) -> Pixels:
    before = window // 2
    return lightest_below(np.pad(pixels, ((before, 0), (0, 0))), window)[: len(pixels)]


def lightest_below(pixels: Pixels, window: int) -> Pixels:
    """The lightest of each pixel and the `window` - 1 below it; beyond the picture nothing counts.

    A window is made of two that are half as high, or that overlap.
    """
    rows = len(pixels)
    found = np.pad(pixels, ((0, window - 1), (0, 0)))
    height = 1
    while height * 2 <= window:
        found = np.maximum(found[:-height], found[height:])
        height *= 2
    rest = window - height
    return np.maximum(found[:rows], found[rest : rest + rows])


def closed(pixels: Pixels, window: int) -> Pixels:
    """Everything dark that is narrower than `window`, an odd one, filled up.

    The edge goes on for ever.
    """
    by = window // 2
    wide = maximum(np.pad(pixels, by, "edge"), window)
    filled = 255 - maximum(255 - wide, window)
    return np.ascontiguousarray(filled[by:-by, by:-by])


def without_lone_pixels(pixels: Pixels) -> Pixels:
    """No pixel lighter than all of its eight neighbours, and none darker; three rows at least."""
    if min(pixels.shape) < 3:
        return pixels
    around = np.delete(_neighbourhoods(pixels, "reflect"), 4, axis=0)
    return np.clip(pixels, around.min(axis=0), around.max(axis=0))


def blurred(pixels: Pixels) -> Pixels:
    """The mean of each pixel and its eight neighbours."""
    total: Counts = _neighbourhoods(pixels, "edge").sum(axis=0, dtype=np.int64)
    return ((total + 4) // 9).astype(np.uint8)


def _neighbourhoods(pixels: Pixels, beyond: str) -> Pixels:
    """Each pixel and its eight neighbours, row by row: (9, rows, columns)."""
    rows, columns = pixels.shape
    wide = np.pad(pixels, 1, beyond)  # type: ignore[call-overload]
    return np.stack([wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)])


def histogram(pixels: NDArray[np.integer]) -> Counts:
    """How many there are of each level, (256,)."""
    return np.bincount(pixels.ravel(), minlength=256)


def quantile(counts: Counts, part: int) -> int:
    """The level below which `part` of a thousand lie."""
    reached = np.cumsum(counts)
    return min(int(np.searchsorted(reached, reached[-1] * part // 1000, side="right")), 255)


def roughness(pixels: Pixels) -> int:
    """How much neighbours differ: the median of |pixel - mean of the four around|."""
    if min(pixels.shape) < 3:
        return 0
    level = pixels.astype(np.int64)
    around = level[:-2, 1:-1] + level[2:, 1:-1] + level[1:-1, :-2] + level[1:-1, 2:]
    return quantile(histogram(np.abs(4 * level[1:-1, 1:-1] - around) // 4), 500)
