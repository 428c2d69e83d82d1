"""Pixels that hang together."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from lenet.data.pictures.pieces import label_pieces


def flood(mask):
    """The plain way: one pixel after the other."""
    numbers, count = np.zeros(mask.shape, np.int64), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if numbers[start]:
            continue
        count += 1
        waiting = [start]
        numbers[start] = count
        while waiting:
            row, column = waiting.pop()
            for y in range(max(row - 1, 0), min(row + 2, mask.shape[0])):
                for x in range(max(column - 1, 0), min(column + 2, mask.shape[1])):
                    if mask[y, x] and not numbers[y, x]:
                        numbers[y, x] = count
                        waiting.append((y, x))
    return numbers, count


@settings(max_examples=300, deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_pieces_are_those_of_a_flood(mask):
    numbers, count = label_pieces(mask)
    expected, expected_count = flood(mask)
    assert count == expected_count
    np.testing.assert_array_equal(numbers, expected)


def spiral(side):
    """One piece whose ends are far apart."""
    mask = np.zeros((side, side), bool)
    y = x = 0
    dy, dx, length = 0, 1, side - 1
    mask[0, 0] = True
    while length > 0:
        for _ in range(2):
            for _ in range(length):
                y, x = y + dy, x + dx
                mask[y, x] = True
            dy, dx = dx, -dy
        length -= 2
    return mask


def test_a_long_spiral_is_one_piece():
    assert label_pieces(spiral(301))[1] == 1
