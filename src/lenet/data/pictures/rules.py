"""Straight thin lines that go on and on: of ruled paper, of boxes, of forms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.reading import Pixels

LEAST_SIDE = 64
"""Pixels, the shorter way, of a picture in which a stroke and a rule can be told apart."""

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


def find_rules(ink: Pixels, faint: int) -> tuple[int, Mask]:
    """How many rules there are in `ink` (rows, columns), and which pixels are theirs alone.

    A pixel counts as ink where it is over `faint`.  Where a stroke crosses a rule, it stays.
    """
    if min(ink.shape) < LEAST_SIDE:
        return 0, np.zeros(ink.shape, bool)
    along, gone_along = _along_rows(ink, faint)
    down, gone_down = _along_rows(ink.T, faint)
    return along + down, gone_along | gone_down.T


def _along_rows(ink: Pixels, faint: int) -> tuple[int, Mask]:
    """The same for rules that go along the rows, or that rise or fall by a fifth at most."""
    rows, columns = ink.shape
    thickness = max(3, min(rows, columns) // 40)
    heights = _run_heights(ink > faint)
    thin = (heights > 0) & (heights <= thickness)
    places = np.arange(0, columns, max(1, columns // 200))
    wanted = len(places) * 11 // 20
    gone = np.zeros(ink.shape, bool)
    free = thin[:, places]
    found = 0
    for start, rise in _lines(free, places, columns, wanted):
        if _pixels_on(free, start + _rises(rise, places, columns)) < wanted:
            continue
        found += 1
        middle = start + _rises(rise, np.arange(columns), columns)
        gone |= _near(middle, thickness, rows) & (heights > 0) & (heights <= thickness + 1)
        free = thin[:, places] & ~gone[:, places]
    return found, gone


def _run_heights(mask: Mask) -> Numbers:
    """How high the run of True is, up and down, that each pixel is in; 0 where it is False."""
    rows = len(mask)
    row = np.arange(rows)[:, None]
    above = np.maximum.accumulate(np.where(mask, -1, row), axis=0)
    below = np.minimum.accumulate(np.where(mask, rows, row)[::-1], axis=0)[::-1]
    return np.where(mask, below - above - 1, 0)


def _rises(rise: int, places: Numbers, columns: int) -> Numbers:
    """How far a line has risen at each place, of `rise` over all columns; cut towards 0."""
    risen = abs(rise) * places // columns
    return risen if rise >= 0 else -risen


def _lines(thin: Mask, places: Numbers, columns: int, wanted: int) -> list[tuple[int, int]]:
    """Lines (start, rise) with at least `wanted` pixels of `thin`, those with the most first."""
    row, place = np.nonzero(thin)
    if len(row) < wanted:
        return []
    most = columns // 5
    lines = []
    for rise in range(-most, most + 1):
        counts = np.bincount(row - _rises(rise, places, columns)[place] + most)
        lines += [
            (int(counts[at]), int(at) - most, rise) for at in np.flatnonzero(counts >= wanted)
        ]
    lines.sort(key=lambda line: -line[0])
    return [(start, rise) for _, start, rise in lines]


def _pixels_on(free: Mask, course: Numbers) -> int:
    """How many pixels of `free` (rows, places) a line meets, whose row is known at each place."""
    there = (course >= 0) & (course < len(free))
    return int(np.count_nonzero(free[course[there], np.flatnonzero(there)]))


def _near(middle: Numbers, thickness: int, rows: int) -> Mask:
    """(rows, columns): within `thickness` above or below a line's `middle` row."""
    return np.asarray(np.abs(np.arange(rows)[:, None] - middle) <= thickness)
