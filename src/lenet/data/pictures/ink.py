"""Ink on its ground: found, cropped, fitted and centred, as MNIST's digits were.

LeCun et al. 1998, section III-A: a digit is brought to 20x20 pixels with its proportions and with
anti-aliasing, and then put into 28x28 with its centre of mass in the middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import Convention
from lenet.data.pictures.pieces import label_pieces, thicken
from lenet.errors import FormatError

LEAST_CONTRAST = 16
"""Grey levels between ground and ink below which a picture counts as blank."""

LEAST_SIDE = 4
"""Pixels of ink, the longer way, below which nobody could tell what it is."""

EVEN = 8.0
"""Grey levels by which an evenly lit ground may differ from place to place."""

RIM, FAINT, CERTAIN = 0.01, 0.15, 0.45
"""Parts of the darkest ink.  What is fainter than `FAINT` is ground, but for the rim of a stroke,
which may be as faint as `RIM`; a speck whose darkest pixel is fainter than `CERTAIN` is dirt."""

FEW_ROUNDS = 8
"""Pixels that ink is followed along faint parts of a stroke, before the pieces are labelled: that
takes five times as long for a small picture, and a stroke is hardly ever so faint for so long."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ink:
    """The stages, each uint8 (height, width), the ink light; `inverted` if it was dark."""

    light: Pixels
    cropped: Pixels
    fitted: Pixels
    image: Pixels
    inverted: bool


def find_ink(grey: Pixels, convention: Convention, height: int, width: int) -> Ink:
    """Find the ink of `grey` (rows, columns), and make it (height, width) as `convention` says.

    Raises:
        FormatError: if nothing stands out from the ground, or what does is too small to be read.
    """
    light, inverted = lighten(grey)
    cropped = crop(light)
    fitted = fit(cropped, min(convention.ink_side, height, width))
    image = place(fitted, height, width, convention.centre)
    return Ink(light, cropped, fitted, image, inverted)


def lighten(grey: Pixels) -> tuple[Pixels, bool]:
    """Light ink on a ground of 0, its lightest at 255; and whether it was dark on light.

    The ground is what most of the edge is, taken as a plane so that light from one side does
    not count as ink.  Ink is the side of the ground on which the picture reaches farther.
    """
    values = grey.astype(np.float32)
    above = values - _ground_plane(values)
    # A few wild pixels should not decide.
    few = above.size // 500
    ranked = np.partition(above, (few, above.size - 1 - few), axis=None)
    low, high = float(ranked[few]), float(ranked[-1 - few])
    inverted = -low > high
    ink = -above if inverted else above
    reach = float(max(-low, high))
    if reach < LEAST_CONTRAST:
        raise FormatError("blank: nothing stands out from the ground")
    ink = np.clip(ink * (255.0 / reach), 0.0, 255.0)
    return ink.round().astype(np.uint8), bool(inverted)


def _ground_plane(values: NDArray[np.float32]) -> NDArray[np.float32] | float:
    """What the edge's pixels lie on, ink that touches it left out: a level, or a plane."""
    edge = _edge_of(values)
    level = median(edge)
    if np.ptp(edge) <= EVEN:
        return level
    y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]].astype(np.float32)
    at = np.stack([np.ones(len(edge), np.float32), _edge_of(y), _edge_of(x)], axis=1)
    guess = np.full(edge.shape, level, np.float32)
    for _ in range(3):
        off = np.abs(edge - guess)
        near = off <= max(EVEN, 2.0 * median(off))
        plane, *_ = np.linalg.lstsq(at[near], edge[near], rcond=None)
        guess = at @ plane
    fitted: NDArray[np.float32] = plane[0] + plane[1] * y + plane[2] * x
    return fitted


def median(values: NDArray[Any]) -> float:
    """As `np.median`, which takes longer to look at a few numbers than to sort them."""
    ranked = np.sort(values)
    return (float(ranked[(len(ranked) - 1) // 2]) + float(ranked[len(ranked) // 2])) / 2


def _edge_of(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])


def crop(light: Pixels) -> Pixels:
    """The box of the ink.

    Raises:
        FormatError: if it is too small to be read.
    """
    # The faint rim of a stroke belongs to it.
    mask = thicken(_ink(light)) & (light > int(255 * RIM))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = light[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if max(box.shape) < LEAST_SIDE:
        raise FormatError(
            f"too small: its ink is {box.shape[1]}x{box.shape[0]} pixels; give at least "
            f"{LEAST_SIDE} the longer way"
        )
    kept = np.where(mask, light, 0)
    return kept[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _ink(light: Pixels) -> NDArray[np.bool_]:
    """What is darker than faint, and hangs together with something that is certainly ink."""
    # Whole levels, or every byte would first become a float.
    there, reached = light > int(255 * FAINT), light >= 255 * CERTAIN
    for _ in range(FEW_ROUNDS):
        further = thicken(reached) & there
        if (further == reached).all():
            return reached
        reached = further
    pieces, count = label_pieces(there)
    is_ink = np.zeros(count + 1, bool)
    is_ink[pieces[reached]] = True
    return is_ink[pieces]


def fit(cropped: Pixels, side: int) -> Pixels:
    """With its proportions in `side` x `side`, anti-aliased; the lightest stays as light."""
    from PIL import Image

    rows, columns = cropped.shape
    scale = side / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    resized = Image.fromarray(cropped).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8)


def place(fitted: Pixels, height: int, width: int, centre: str) -> Pixels:
    """In the middle of (height, width): by its centre of mass, or by its box.

    The middle of MNIST's digits, measured on all of its train images, is the pixel of index 14 and
    not the corner between 13 and 14: their centres of mass lie evenly between 13.5 and 14.5.
    """
    rows, columns = fitted.shape
    top, left = (height - rows) / 2, (width - columns) / 2
    if centre == "mass":
        mass = fitted.astype(np.float64)
        total = mass.sum()
        top = height / 2 - float((mass.sum(axis=1) @ np.arange(rows)) / total)
        left = width / 2 - float((mass.sum(axis=0) @ np.arange(columns)) / total)
    row = min(max(math.floor(top + 0.5), 0), height - rows)
    column = min(max(math.floor(left + 0.5), 0), width - columns)
    image = np.zeros((height, width), np.uint8)
    image[row : row + rows, column : column + columns] = fitted
    return image
