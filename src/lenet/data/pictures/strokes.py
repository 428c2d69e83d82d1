"""Pieces of ink measured, and cleaned of what is much fainter or thinner than the rest of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.pieces import label_pieces
from lenet.data.pictures.reading import Box, Pixels
from lenet.data.pictures.windows import lightest_below, maximum

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of ink.  `width` is that of its strokes, in hundredths of a pixel.

    `edge` counts the pixels of its edge.  `steps` counts the ways over it to another pixel, and
    `real` those at which the picture changes too, so that the edge is not the ground's doing.
    """

    number: int
    box: Box
    area: int
    edge: int
    level: int
    width: int
    steps: int
    real: int


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """All pieces of a mask: `numbers` (rows, columns) from 1, and one value a piece, from 0.

    `level` is how strong the ink of a piece is: its mean, weighted by itself.  The piece 0 is none.
    """

    numbers: Numbers
    boxes: Numbers  # (pieces, 4): top, left, bottom, right
    area: Numbers
    edge: Numbers
    level: Numbers
    width: Numbers = field(init=False)
    side: Numbers = field(init=False)

    def __post_init__(self) -> None:
        top, left, bottom, right = self.boxes.T
        object.__setattr__(self, "width", stroke_width(self.area, self.edge))
        object.__setattr__(self, "side", np.maximum(bottom - top, right - left))

    def __len__(self) -> int:
        return len(self.area)

    def box(self, number: int) -> Box:
        return Box(*map(int, self.boxes[number]))

    def among(self, chosen: list[int]) -> Mask:
        """(pieces,): whether each is chosen; indexed with `numbers` it is a mask of pixels."""
        table = np.zeros(len(self), bool)
        table[chosen] = True
        return table


def stroke_width(area: Numbers, edge: Numbers) -> Numbers:
    """Hundredths of a pixel: a stroke has two edges."""
    return 200 * area // np.maximum(edge, 1)


def measure(mask: Mask, ink: Pixels) -> Pieces:
    """The pieces of `mask` (rows, columns), with the ink that is there."""
    numbers, count = label_pieces(mask)
    row, column = np.nonzero(mask)
    number, strength = numbers[mask], ink[mask].astype(np.int64)
    total, squares = (sums(number, values, count + 1) for values in (strength, strength**2))
    edge = mask & ~_within(mask)
    return Pieces(
        numbers,
        _boxes(number, row, column, count + 1),
        np.bincount(number, minlength=count + 1),
        np.bincount(numbers[edge], minlength=count + 1),
        squares // np.maximum(total, 1),
    )


def sums(number: Numbers, values: Numbers, count: int) -> Numbers:
    """The sum of `values` for each `number` below `count`; exact, up to 2^53."""
    return np.bincount(number, weights=values, minlength=count).astype(np.int64)


def _boxes(number: Numbers, row: Numbers, column: Numbers, count: int) -> Numbers:
    boxes = np.zeros((count, 4), np.int64)
    boxes[1:, :2] = np.iinfo(np.int64).max
    np.minimum.at(boxes[:, 0], number, row)
    np.minimum.at(boxes[:, 1], number, column)
    np.maximum.at(boxes[:, 2], number, row + 1)
    np.maximum.at(boxes[:, 3], number, column + 1)
    return boxes


def _within(mask: Mask) -> Mask:
    """True where the pixels above, below, left and right are True too."""
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]


def find_strokes(ink: Pixels, faint: int) -> Pieces:
    """The pieces of what is over `faint`, each without what is faint or thin beside the rest."""
    return measure(_trimmed(measure(_refined(measure(ink > faint, ink), ink, faint), ink)), ink)


def _refined(rough: Pieces, ink: Pixels, faint: int) -> Mask:
    """What is sure in each piece, and what is fainter and hangs together with it."""
    numbers = rough.numbers
    there, strength = numbers > 0, ink.astype(np.int64)
    sure = np.maximum(faint, rough.level * 45 // 100)
    mask = there & (strength >= _weakest(rough, strength, faint)[numbers])
    finer, count = label_pieces(mask)
    has_sure = np.zeros(count + 1, bool)
    has_sure[finer[mask & (strength >= sure[numbers])]] = True
    return has_sure[finer]


def _weakest(rough: Pieces, strength: Numbers, faint: int) -> Numbers:
    """How strong the ink of each piece is at least.

    Where most of a piece is much fainter than the rest, that is a shadow or a stain, no stroke.
    """
    there = rough.numbers > 0
    number = rough.numbers[there]
    part, level = 100 * strength[there], rough.level[number]
    fainter = np.bincount(number[(part >= 20 * level) & (part < 60 * level)], minlength=len(rough))
    darker = np.bincount(number[part >= 60 * level], minlength=len(rough))
    percent = np.where(fainter * 2 > darker * 3, 60, 20)
    return np.maximum(faint, rough.level * percent // 100)


def _trimmed(pieces: Pieces) -> Mask:
    """Without what is much thinner than the rest of its piece: a hair, a fold, a crooked line."""
    mask = pieces.numbers > 0
    window = pieces.width // 300
    for number in np.flatnonzero((window >= 2) & (pieces.side >= 16)):
        top, left, bottom, right = pieces.boxes[number]
        inside = pieces.numbers[top:bottom, left:right] == number
        mask[top:bottom, left:right] &= ~inside | _opened(inside, int(window[number]))
    return mask


def _opened(inside: Mask, window: int) -> Mask:
    """What is left when the ground grows and shrinks again; then a rim comes back."""
    by = window + 1
    ground = np.pad(np.where(inside, 0, 255).astype(np.uint8), by, constant_values=255)
    shrunk = 255 - maximum(255 - maximum(ground, window), 2 * window + 1)
    return np.asarray(shrunk[by:-by, by:-by] == 0)


def _reach(side: int) -> int:
    """Pixels across an edge: it is that wide where a small picture was made large."""
    return max(1, side // 50, min(side // 16, 9))


def count_steps(pieces: Pieces, ground: Pixels, smooth: Pixels) -> tuple[Numbers, Numbers]:
    """Of each piece's edge, the steps across it, and those at which the picture changes too.

    Elsewhere the window ended in which the ground was looked for.  A step goes up, down, left or
    right, inside the picture; `smooth` is the picture, and each result is (pieces,).
    """
    count, far = len(pieces), _reach(min(smooth.shape))
    half = _half_heights(pieces, ground, smooth)[pieces.numbers]
    steps, real = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for quarter in range(4):
        number, is_real = _steps_up(
            np.rot90(pieces.numbers, quarter),
            np.rot90(smooth, quarter),
            np.rot90(half, quarter),
            np.rot90(ground, quarter),
            far,
        )
        steps += np.bincount(number, minlength=count)
        real += np.bincount(number[is_real], minlength=count)
    return steps, real


def _half_heights(pieces: Pieces, ground: Pixels, smooth: Pixels) -> Numbers:
    """Half of how far each piece is from its ground, (pieces,)."""
    there = pieces.numbers > 0
    number = pieces.numbers[there]
    height = ground[there].astype(np.int64) - smooth[there]
    total, squares = (sums(number, values, len(pieces)) for values in (height, height**2))
    return np.where(total > 0, squares // np.maximum(2 * total, 1), 0)


def _steps_up(
    number: Numbers, level: Pixels, half: Numbers, ground: Pixels, far: int
) -> tuple[Numbers, Mask]:
    """The piece of each pixel below one that is not of its piece, and which of them are real."""
    step = np.nonzero((number[1:] > 0) & (number[1:] != number[:-1]))
    lightest = lightest_below(np.pad(level, ((far, 0), (0, 0))), far)[1 : len(level)][step]
    darkest = 255 - lightest_below(255 - level, far + 1)[1:][step].astype(np.int64)
    depth = half[1:][step]
    is_real = (lightest + depth >= ground[1:][step]) & (10 * (lightest - darkest) >= 8 * depth)
    return number[1:][step], is_real
