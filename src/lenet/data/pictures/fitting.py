"""The ink of a group as an image: even in strength, fitted with its proportions, and centred.

LeCun et al. 1998, section III-A: a digit is brought to 20x20 pixels with its proportions and with
anti-aliasing, and then put into 28x28 with its centre of mass in the middle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lenet.data.pictures.groups import Group
from lenet.data.pictures.reading import Box, Character, Pixels
from lenet.data.pictures.strokes import Numbers, Pieces, stroke_width
from lenet.data.pictures.windows import histogram, maximum, quantile

FULL = 850
"""Of the ink of a character, in thousandths: what is as strong as that is as light as can be."""

LEAST_EVENED, FAINTEST = 64, 4
"""Pixels, the longer way, of a character with its rim: in a smaller one an edge is as wide as a
stroke.  What has a fourth of the strength of the rest or more is made as strong."""

THINNEST, THICKENED = 750, 1050
"""Parts in 10,000 of a character's longer side: a stroke that is thinner than the first would fade
away when it is fitted, and is made as wide as the second."""

VISIBLE, DULL = 2, 230
"""Ink is cropped to what is lighter than the first; fitted, its lightest is as light as the second
at least, or is made 255."""


class Wish(NamedTuple):
    """An image of (rows, columns), and the longer side of the ink in it.

    What is put in its middle is the ink's centre of mass, or its box.
    """

    rows: int
    columns: int
    ink_side: int
    by_mass: bool


def make_character(ink: Pixels, pieces: Pieces, group: Group, wish: Wish) -> Character:
    """The character of a group: `ink` is that of the whole picture, (rows, columns)."""
    cropped = _crop(_thickened(_strengthened(ink, pieces, group), pieces, group))
    fitted = fit(cropped, min(wish.ink_side, wish.rows, wish.columns))
    return Character(group.box, group.level, cropped, fitted, place(fitted, wish))


def _strengthened(ink: Pixels, pieces: Pieces, group: Group) -> Pixels:
    """The ink of the group and of a rim around it, most of it light."""
    rim = 1 + group.box.side // 40
    at = _widened(group.box, rim)
    numbers, values = pieces.numbers[at], ink[at].astype(np.int64)
    own = pieces.among(group.numbers)[numbers]
    full = max(1, quantile(histogram(values[own]), FULL))
    near = maximum(np.where(own, 255, 0).astype(np.uint8), 2 * rim + 1) > 0
    kept = near & (own | (numbers == 0))
    strength = _strength_around(np.where(own, values, 0).astype(np.uint8), pieces, group, full)
    return np.where(kept, np.minimum(255, values * 255 // strength), 0).astype(np.uint8)


def _strength_around(values: Pixels, pieces: Pieces, group: Group, full: int) -> Numbers:
    """How strong the ink of a pen that is pressed now more, now less is around each pixel."""
    if max(values.shape) < LEAST_EVENED:
        return np.full(values.shape, full)
    area, edge = _area_and_edge(pieces, group)
    by = int(3 * area // (2 * np.maximum(edge, 1)))
    strongest = maximum(values, 2 * by + 1).astype(np.int64)
    return np.clip(strongest, max(1, full // FAINTEST), full)


def _area_and_edge(pieces: Pieces, group: Group) -> tuple[Numbers, Numbers]:
    """How many pixels the group has in all, and how many of its edge."""
    return pieces.area[group.numbers].sum(), pieces.edge[group.numbers].sum()


def _widened(box: Box, by: int) -> tuple[slice, slice]:
    rows = slice(max(0, box.top - by), box.bottom + by)
    return rows, slice(max(0, box.left - by), box.right + by)


def _thickened(values: Pixels, pieces: Pieces, group: Group) -> Pixels:
    length, width = group.box.side, int(stroke_width(*_area_and_edge(pieces, group)))
    if width * 100 >= length * THINNEST:
        return values
    window = (length * THICKENED // 100 - width) // 100 + 1
    return maximum(np.pad(values, window // 2 + 1), window)


def _crop(values: Pixels) -> Pixels:
    visible = values > VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def fit(cropped: Pixels, side: int) -> Pixels:
    """With its proportions in `side` x `side`, anti-aliased; a dull one is made as light as can be.

    The resizing is Pillow's, and the compiled part's is the same.  First across and then down: left
    to itself, Pillow takes the other way for some shapes, which gives other bytes.
    """
    from PIL import Image

    longer = max(cropped.shape)
    rows, columns = (max(1, (2 * n * side + longer) // (2 * longer)) for n in cropped.shape)
    picture = Image.fromarray(cropped)
    for size in ((columns, picture.height), (columns, rows)):
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    fitted = np.asarray(picture, np.uint8)
    lightest = int(fitted.max())
    if not 0 < lightest < DULL:
        return fitted
    return (fitted.astype(np.int64) * 255 // lightest).astype(np.uint8)


def place(fitted: Pixels, wish: Wish) -> Pixels:
    """In the middle of an image: by its centre of mass, or by its box.

    The middle of MNIST's digits, measured on all of its train images, is the pixel of index 14 and
    not the corner between 13 and 14: their centres of mass lie evenly between 13.5 and 14.5.
    """
    mass = fitted.astype(np.int64)
    top = _start(mass.sum(axis=1), wish.rows, wish.by_mass)
    left = _start(mass.sum(axis=0), wish.columns, wish.by_mass)
    image = np.zeros((wish.rows, wish.columns), np.uint8)
    image[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return image


def _start(mass: np.ndarray[tuple[int], np.dtype[np.int64]], length: int, by_mass: bool) -> int:
    """Where the first of `mass` comes in an image that is so long."""
    total, room = int(mass.sum()), length - len(mass)
    if not (by_mass and total):
        return (room + 1) // 2
    start = (total * (length + 1) - 2 * int(mass @ np.arange(len(mass)))) // (2 * total)
    return min(max(start, 0), room)
