"""Windows and boxes in a row, each with a character in it: as meters and forms have them.

A cell is a rectangle of one ground, dark or light, that is met nowhere else along its edges, with
ink inside; a row of cells has at least two, of like height, side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.pieces import Numbers, label_pieces
from lenet.data.pictures.reading import Box, Pixels

LONGEST_LOOK = 1024
"""Pixels of a side at which cells are looked for; lines between them may be one pixel wide."""

LEAST_CELL = 10
"""Pixels of a cell's height or width, below which nothing in it could be read."""

EDGE = 0.9
"""Share of each of its four edges that is a cell's own ground."""

LEAST_INK, MOST_INK = 0.01, 0.6
"""Share of a cell that is not its ground where a character is in it."""

FULL, WIDE = 0.85, 0.45
"""What fills so much of its own box and of the cell's width is the hole of a printed 0."""

Mask = NDArray[np.bool_]


def find_cells(picture: Pixels) -> list[Box]:
    """The cells of the largest row of `picture` (rows, columns), left to right; none is usual."""
    step = -(-max(picture.shape) // LONGEST_LOOK)
    small = picture[::step, ::step]
    light = small > _threshold(small)
    rows = [_largest_row(_cells_of(mask), small.shape[1]) for mask in (light, ~light)]
    row = max(rows, key=lambda row: sum(box.height * box.width for box in row))
    return [Box(*(step * side for side in box)) for box in row]


def _threshold(picture: Pixels) -> int:
    """The grey that parts two classes best: Otsu 1979."""
    counts = np.bincount(picture.ravel(), minlength=256).astype(np.float64)
    below, levels = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = levels / below - (levels[-1] - levels) / above
        between = np.nan_to_num(below * above * apart**2)
    return int(between.argmax())


def _cells_of(mask: Mask) -> list[tuple[Box, bool]]:
    """Rectangles of one ground in `mask`, and whether there is a character in each."""
    numbers, count = label_pieces(mask)
    found = []
    for number, box in _large_boxes(numbers, count):
        ground = numbers[box.top : box.bottom, box.left : box.right] == number
        if _is_rectangle(ground):
            found.append((box, _has_character(ground)))
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


def _is_rectangle(ground: Mask) -> bool:
    edges = (ground[1], ground[-2], ground[:, 1], ground[:, -2])
    return all(edge.mean() >= EDGE for edge in edges)


def _has_character(ground: Mask) -> bool:
    ink = ~ground[1:-1, 1:-1]
    if not LEAST_INK <= ink.mean() <= MOST_INK:
        return False
    down, across = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    height, width = int(np.ptp(down)) + 1, int(np.ptp(across)) + 1
    is_hole = ink.sum() >= FULL * height * width and width >= WIDE * ink.shape[1]
    return not is_hole


def _largest_row(cells: list[tuple[Box, bool]], columns: int) -> list[Box]:
    """Of all rows the one that covers most; a row has two characters at least."""
    best: list[Box] = []
    for like, _ in cells:
        row = sorted(
            (each for each in cells if _are_alike(each[0], like)), key=lambda each: each[0].left
        )
        boxes = [box for box, _ in row]
        apart = all(first.right <= second.left for first, second in pairwise(boxes))
        if apart and sum(inked for _, inked in row) >= 2 and _area(boxes) > _area(best):
            best = boxes
    return best if all(box.width < columns for box in best) else []


def _are_alike(box: Box, other: Box) -> bool:
    return (
        abs(box.height - other.height) * 100 <= 15 * other.height
        and abs(box.top - other.top) * 100 <= 20 * other.height
        and box.width * 10 <= 16 * other.width
        and other.width * 10 <= 16 * box.width
    )


def _area(boxes: list[Box]) -> int:
    return sum(box.height * box.width for box in boxes)
