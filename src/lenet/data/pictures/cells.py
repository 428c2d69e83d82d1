"""Windows and boxes in a row, each with a character in it: as meters and forms have them.

A cell is a rectangle of one ground, dark or light, that is met nowhere else along its edges, with
ink inside; a row of cells has at least two, of like height, side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.pieces import Numbers, label_pieces
from lenet.data.pictures.reading import Box, Pixels
from lenet.data.pictures.windows import LOGARITHMS, closed

LONGEST_LOOK = 1024
"""Pixels of a side at which cells are looked for; lines between them may be one pixel wide."""

LEAST_CELL = 10
"""Pixels of a cell's height or width, below which nothing in it could be read."""

EDGE = 0.9
"""Share of each of its four edges that is a cell's own ground, or as straight as that."""

STRAIGHT = 1 / 80
"""Of a cell's height or width: how far an edge may be off its line, a pixel in any case."""

LEAST_LEAN, MOST_LEAN, CROOKED = 0.006, 0.15, 0.04
"""Slopes of the edges of a cell in a picture at an angle, and how much they may differ."""

WIDEST_LINE = 1 / 8
"""Of a picture's smaller side; what is darker and narrower than that is no ground."""

LEAST_INK, MOST_INK = 0.01, 0.6
"""Share of a cell that is not its ground where a character is in it."""

FULL, WIDE = 0.85, 0.45
"""What fills so much of its own box and of the cell's width is the hole of a printed 0."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Cell:
    """A rectangle of one ground, what lies inside of its edges, and whether a character does."""

    box: Box
    inside: Box
    has_character: bool


def find_cells(picture: Pixels) -> list[Box]:
    """The insides of the largest row of cells of `picture` (rows, columns), left to right.

    Most pictures have none.
    """
    step = -(-max(picture.shape) // LONGEST_LOOK)
    small = np.ascontiguousarray(picture[::step, ::step])
    rows = [
        _largest_row(_cells_of(mask), small.shape[1])
        for light in _parted(small)
        for mask in (light, ~light)
    ]
    row = max(rows, key=_area)
    return [Box(*(step * side for side in cell.inside)) for cell in row]


def _parted(picture: Pixels) -> Iterator[Mask]:
    """Where a picture is light, each time by another measure of it.

    By its greys; by their logarithms, of which shade takes the same everywhere, so that dark
    windows in a light frame are parted in any light; and by their share of the ground's, for dark
    lines on a sheet.
    """
    shares = picture.astype(np.int64) * 255 // np.maximum(_without_lines(picture), 1)
    for levels in (picture, LOGARITHMS[picture], shares.astype(np.uint8)):
        yield levels > _threshold(levels)


def _without_lines(picture: Pixels) -> Pixels:
    window = round(min(picture.shape) * WIDEST_LINE) | 1
    return closed(picture, window) if window > 1 else picture


def _threshold(picture: Pixels) -> int:
    """The grey that parts two classes best: Otsu 1979."""
    counts = np.bincount(picture.ravel(), minlength=256).astype(np.float64)
    below, levels = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = levels / below - (levels[-1] - levels) / above
        between = np.nan_to_num(below * above * apart**2)
    return int(between.argmax())


def _cells_of(mask: Mask) -> list[_Cell]:
    """The rectangles of one ground in `mask`."""
    numbers, count = label_pieces(mask)
    found = []
    for number, box in _large_boxes(numbers, count):
        ground = numbers[box.top : box.bottom, box.left : box.right] == number
        free = (box.left > 0, box.right < mask.shape[1], box.top > 0, box.bottom < mask.shape[0])
        border = _border(ground, free)
        if border is None:
            continue
        down, across = border
        within = ground[down : len(ground) - down, across : ground.shape[1] - across]
        if min(within.shape) >= LEAST_CELL:
            inside = Box(box.top + down, box.left + across, box.bottom - down, box.right - across)
            found.append(_Cell(box, inside, _has_character(within)))
    return found


def _large_boxes(numbers: Numbers, count: int) -> Iterator[tuple[int, Box]]:
    """The pieces of `numbers` (rows, columns) that may be cells, each with its box."""
    row, column = np.nonzero(numbers)
    piece = numbers[row, column]
    top, left = (np.full(count + 1, length) for length in numbers.shape)
    bottom, right = np.zeros((2, count + 1), np.int64)
    np.minimum.at(top, piece, row)
    np.minimum.at(left, piece, column)
    np.maximum.at(bottom, piece, row + 1)
    np.maximum.at(right, piece, column + 1)
    for number in np.flatnonzero(np.minimum(bottom - top, right - left) >= LEAST_CELL):
        yield int(number), Box(*(int(end[number]) for end in (top, left, bottom, right)))


def _border(ground: Mask, free: tuple[bool, ...]) -> tuple[int, int] | None:
    """How many lines to leave out, above and below and at both sides, for a rectangle; if it is.

    `free` says which of its sides (left, right, upper, lower) the edge of the picture does not cut.
    """
    if ground.mean() < 1 - MOST_INK - 2 * MOST_LEAN:
        return None
    edges = (ground[1], ground[-2], ground[:, 1], ground[:, -2])
    if all(edge.mean() >= EDGE for edge in edges):
        return 0, 0
    slope = _slope_of_rectangle(ground, free)
    if slope is None:
        return None
    height, width = ground.shape
    return math.ceil(slope * width), math.ceil(slope * height)


def _slope_of_rectangle(ground: Mask, free: tuple[bool, ...]) -> float | None:
    """How far a rectangle at an angle leans, up or down, in its width; None if it is another shape.

    Printed letters have edges that are round, or upright, or do not lean together.
    """
    edges = (
        ground.argmax(axis=1), ground[:, ::-1].argmax(axis=1),
        ground.argmax(axis=0), ground[::-1].argmax(axis=0),
    )  # fmt: skip
    # Turned clockwise the left edge runs from its side, the right one to it, and so on.
    leans = []
    for edge, sign in compress(zip(edges, (1, -1, -1, 1), strict=True), free):
        line = _line_of(edge)
        if line is None or abs(line) < LEAST_LEAN:
            return None
        leans.append(sign * line)
    together = len(leans) >= 3 and len(set(np.sign(leans))) == 1
    sizes = [abs(lean) for lean in leans]
    is_turned = together and max(sizes) <= MOST_LEAN and max(sizes) - min(sizes) <= CROOKED
    return max(sizes) if is_turned else None


def _line_of(edge: NDArray[np.intp]) -> float | None:
    """The slope of an edge, its distances from one side of the box, if it is a straight line."""
    length = len(edge)
    skipped = math.ceil(MOST_LEAN * length / 2)
    place = np.arange(skipped, length - skipped)
    inner, third = edge[place], max(1, len(place) // 3)
    rise = float(np.median(inner[-third:]) - np.median(inner[:third]))
    level = inner - rise / max(1, len(place) - third) * place
    near = np.abs(level - np.median(level)) <= max(1.0, STRAIGHT * length)
    if near.mean() < EDGE or near.sum() < 2:
        return None
    return float(np.polyfit(place[near], inner[near], 1)[0])


def _has_character(ground: Mask) -> bool:
    ink = ~ground[1:-1, 1:-1]
    if not LEAST_INK <= ink.mean() <= MOST_INK:
        return False
    down, across = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    height, width = int(np.ptp(down)) + 1, int(np.ptp(across)) + 1
    is_hole = ink.sum() >= FULL * height * width and width >= WIDE * ink.shape[1]
    return not is_hole


def _largest_row(cells: list[_Cell], columns: int) -> list[_Cell]:
    """Of all rows the one that covers most; a row has two characters at least."""
    best: list[_Cell] = []
    for like in cells:
        row = sorted(
            (cell for cell in cells if _are_alike(cell.box, like.box)),
            key=lambda cell: cell.box.left,
        )
        apart = all(one.inside.right <= next_.inside.left for one, next_ in pairwise(row))
        if apart and sum(cell.has_character for cell in row) >= 2 and _area(row) > _area(best):
            best = row
    return best if all(cell.box.width < columns for cell in best) else []


def _are_alike(box: Box, other: Box) -> bool:
    """Of one size and in one line, which may lean as much as a cell may."""
    lean = MOST_LEAN * abs(box.left - other.left)
    return (
        abs(box.height - other.height) * 100 <= 15 * other.height
        and abs(box.top - other.top) <= 0.2 * other.height + lean
        and box.width * 10 <= 16 * other.width
        and other.width * 10 <= 16 * box.width
    )


def _area(row: list[_Cell]) -> int:
    return sum(cell.box.height * cell.box.width for cell in row)
