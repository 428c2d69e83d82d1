"""Arrays that come in a network's shape: what can be told of them, for training and predicting."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import Convention

FAINT = 16
"""If no pixel of all is lighter than this, their scale is hardly 0 to 255."""

FEWEST_TOLD, MARGIN, INK = 50, 1.1, 64
"""Of at least so many images of characters, with ink of that level, the share that is wider than
high stays below 1/2 + `MARGIN` / sqrt(n).  Of MNIST's test images it is 9 %, and of any 50 of them,
drawn 2,000 times, at most 24 %; of Fashion-MNIST's 35 %, and at most 62 % of 50.  With rows and
columns swapped it is 81 % of MNIST's, and at least 62 % of 500 that follow each other."""

LIGHT_GROUND = "a light ground, turned around"
BITS = "pixels of 0 and 1, taken for black and white"
TRANSPOSED = (
    "the ink of most images is wider than high: if they are characters, they are transposed, as "
    "EMNIST's files are; swap rows and columns"
)

Pixels = NDArray[np.uint8]


def settle(images: Pixels, convention: Convention) -> tuple[Pixels, NDArray[np.bool_]]:
    """Images uint8 (n, channels, height, width) as a network of `convention` expects their ground.

    Dark ink on a light ground is turned around, as it is in a picture; (n,) says where that was.
    """
    if not convention.light_ink or images.shape[1] != 1 or not len(images):
        return images, np.zeros(len(images), bool)
    light = _edge_levels(images) > 127.5
    if not light.any():
        return images, light
    return np.where(light[:, None, None, None], 255 - images, images), light


def settle_one(image: Pixels, convention: Convention) -> tuple[Pixels, tuple[str, ...]]:
    """The same of one image (channels, height, width), with notes on what was found and done."""
    settled, light = settle(image[None], convention)
    notes = [LIGHT_GROUND] if light[0] else []
    lightest = int(image.max())
    if 0 < lightest <= FAINT:
        notes.append(f"faint: its lightest pixel is {lightest} of 255")
    return settled[0], tuple(notes)


def look_transposed(images: Pixels) -> bool:
    """Whether images (n, 1, height, width), taken for characters, have rows and columns swapped.

    It cannot be told of few, nor where the ground is not dark.
    """
    if images.shape[1] != 1 or len(images) < FEWEST_TOLD:
        return False
    ink = images[:, 0] > INK
    ink = ink[ink.any(axis=(1, 2))]
    if len(ink) < FEWEST_TOLD or np.median(_edge_levels(images)) > INK:
        return False
    heights = _extent(np.asarray(ink.any(axis=2)))
    widths = _extent(np.asarray(ink.any(axis=1)))
    return bool((widths > heights).mean() > 0.5 + MARGIN / math.sqrt(len(ink)))


def _edge_levels(images: Pixels) -> NDArray[np.float64]:
    """The median of the edge of each image's first channel, (n,)."""
    grey = images[:, 0]
    edges = [grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]]
    ranked = np.sort(np.concatenate(edges, axis=1), axis=1).astype(np.float64)
    count = ranked.shape[1]
    levels: NDArray[np.float64] = (ranked[:, (count - 1) // 2] + ranked[:, count // 2]) / 2
    return levels


def _extent(filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first True to the last of each row (n, places)."""
    last = filled.shape[1] - filled[:, ::-1].argmax(axis=1)
    return np.asarray(last - filled.argmax(axis=1), np.int64)
