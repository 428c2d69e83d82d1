"""Distorted copies of images, as LeCun et al. 1998 made 540,000 of their 60,000.

Section III-C names the kinds (translation, scaling, squeezing, horizontal shear) and no ranges.
Those here were measured from the hundred pictures of the paper's figure 7, whose originals are
items of MNIST.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.system import rng

Images = NDArray[np.uint8]
Numbers = NDArray[np.float32]

SMALLEST, LARGEST = 0.71, 1.30
"""Magnification, uniform in its logarithm."""

SQUEEZE = 1.10
"""Width over height changes by up to its square either way, uniform in its logarithm."""

SHEAR = 0.14
"""Pixels across for a pixel down."""

SHIFT = 2.0
"""Pixels of a frame of 32 rows, across and down."""

FOOT, WAIST = 26.1 / 32.0, 18.7 / 32.0
"""The rows that scaling and shear leave in place, as parts of the height; in the paper's frame of
32 rows the first is the foot of a digit's box."""

PART = 2048
"""Images at a time."""


def draw(count: int, seed: int, version: int) -> Numbers:
    """How to distort `count` images the `version`-th time, float32 (count, 5).

    1 / width, 1 / height, shear, and shifts across and down in pixels of a frame of 32 rows.
    """
    unit = rng.uniform((count, 5), 1.0, seed, "distortion", version).astype(np.float64)
    middle = (math.log(LARGEST) + math.log(SMALLEST)) / 2
    half = (math.log(LARGEST) - math.log(SMALLEST)) / 2
    scale = np.exp(middle + half * unit[:, 0])
    squeeze = np.exp(math.log(SQUEEZE) * unit[:, 1])
    columns = [1 / (scale * squeeze), squeeze / scale, SHEAR * unit[:, 2]]
    return np.stack([*columns, SHIFT * unit[:, 3], SHIFT * unit[:, 4]], axis=1).astype(np.float32)


def distort(images: Images, numbers: Numbers) -> Images:
    """`images` uint8 (n, channels, height, width), each distorted by its row of `numbers` (n, 5).

    Each pixel is looked up where it came from, between four pixels in proportion; outside is
    background, 0.
    """
    compiled = _compiled()
    if compiled is not None:
        made: Images = compiled(np.ascontiguousarray(images), np.ascontiguousarray(numbers))
        return made
    return distort_plainly(images, numbers)


@lru_cache(maxsize=1)
def _compiled() -> Any:
    """The same in native/distortion.hpp, or None where nothing is compiled."""
    try:
        return import_module("lenet.data.pictures._picture").distort
    except ImportError:
        return None


def distort_plainly(images: Images, numbers: Numbers) -> Images:
    """`distort` in NumPy: the reference, whose bytes the compiled one must give."""
    parts = [
        _distort(images[start : start + PART], numbers[start : start + PART])
        for start in range(0, len(images), PART)
    ]
    return np.concatenate(parts) if parts else images


def _distort(images: Images, numbers: Numbers) -> Images:
    count, channels, height, width = images.shape
    across, down, shear, right, below = (column[:, None] for column in numbers.T)
    unit, middle = np.float32(height / 32.0), np.float32((width - 1) / 2)
    foot, waist = np.float32(FOOT * height), np.float32(WAIST * height)
    x = np.arange(width, dtype=np.float32)[None] - middle
    y = np.arange(height, dtype=np.float32)[None]
    source_y = foot + (y - foot) * down + below * unit
    lean = shear * down * (y - waist) + right * unit + middle
    source_x = lean[:, :, None] + (x * across)[:, None]
    # A border of background, so that what is outside is looked up there.
    place_x = np.clip(source_x, -1.0, width) + np.float32(1.0)
    place_y = np.clip(source_y, -1.0, height) + np.float32(1.0)
    left, top = place_x.astype(np.int32), place_y.astype(np.int32)
    part_x = place_x - left.astype(np.float32)
    part_y = (place_y - top.astype(np.float32))[:, :, None]
    stride = width + 3
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    first = np.arange(count, dtype=np.int32)[:, None, None] * np.int32(
        channels * (height + 3) * stride
    )
    corner = first + top[:, :, None] * np.int32(stride) + left
    flat, results = padded.ravel(), []
    for channel in range(channels):
        at = corner + np.int32(channel * (height + 3) * stride)
        upper = _between(flat, at, part_x)
        lower = _between(flat, at + np.int32(stride), part_x)
        results.append(np.rint(upper + (lower - upper) * part_y).astype(np.uint8))
    return np.stack(results, axis=1)


def _between(flat: Images, at: NDArray[np.int32], part: NDArray[np.float32]) -> NDArray[np.float32]:
    left = flat[at].astype(np.float32)
    mixed: NDArray[np.float32] = left + (flat[at + 1].astype(np.float32) - left) * part
    return mixed
