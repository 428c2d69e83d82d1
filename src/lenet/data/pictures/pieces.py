"""Pixels that hang together: pieces of ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def label_pieces(mask: NDArray[np.bool_]) -> tuple[Numbers, int]:
    """The number of each pixel's piece, from 1, or 0 where `mask` (rows, columns) is False.

    Pixels belong to one piece if they touch each other, at a corner too.  The second value counts
    the pieces.  Pixels are taken together in runs along the rows, and runs are joined as in the
    parallel algorithm of Shiloach and Vishkin 1982: each hangs itself below the smallest run that
    it touches, and paths are halved until nothing changes.
    """
    rows, columns = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    if not len(row):
        return np.zeros(mask.shape, np.int64), 0
    piece, count = _number(_join(*_touching(row, first, end, columns), len(row)))
    numbers = np.zeros(rows * columns, np.int64)
    numbers[mask.ravel()] = np.repeat(piece, end - first)
    return numbers.reshape(mask.shape), count


def _touching(row: Numbers, first: Numbers, end: Numbers, columns: int) -> tuple[Numbers, Numbers]:
    """Pairs of runs in neighbouring rows that touch: (upper, lower); runs are [first, end)."""
    stride = columns + 2
    starts, ends = row * stride + first, row * stride + end
    # Of the next row, the runs that end at or after this one's start and start by its end.
    low = np.searchsorted(ends, starts + stride, side="left")
    high = np.searchsorted(starts, ends + stride, side="right")
    counts = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(row)), counts)
    offset = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(low, counts) + offset


def _join(upper: Numbers, lower: Numbers, count: int) -> Numbers:
    """The smallest run of each run's piece."""
    parent = np.arange(count)
    while True:
        a, b = parent[upper], parent[lower]
        apart = a != b
        if not apart.any():
            return parent
        upper, lower = upper[apart], lower[apart]
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while True:
            above = parent[parent]
            if (above == parent).all():
                break
            parent = above


def _number(root: Numbers) -> tuple[Numbers, int]:
    """Pieces numbered from 1 in the order of their first runs, and how many there are."""
    is_root = root == np.arange(len(root))
    return np.cumsum(is_root)[root], int(is_root.sum())
