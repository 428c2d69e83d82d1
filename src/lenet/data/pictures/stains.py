"""What lies under strokes: shadows, stains, folds, writing that shows through; parted from them.

The pressure of a pen changes little by little.  Where ink becomes much fainter within the width of
an edge, another thing begins.
"""

from __future__ import annotations

import numpy as np

from lenet.data.pictures.pieces import label_pieces
from lenet.data.pictures.reading import Pixels
from lenet.data.pictures.strokes import Mask, Numbers, Pieces, measure, sums
from lenet.data.pictures.windows import maximum

STRONG = 70
"""Per cent of a piece's strongest ink: what is as strong is of its strokes."""

STEP = 60
"""Per cent of the strongest ink nearby: what is fainter is beyond a step."""


def part_fainter(ink: Pixels, faint: int) -> Pixels:
    """`ink` (rows, columns), erased between strokes and what is fainter and begins with a step.

    A pixel counts as ink where it is over `faint`.  What is fainter becomes a piece of its own.
    """
    rough = measure(ink > faint, ink)
    there, edge = rough.numbers > 0, max(2, min(ink.shape) // 160)
    strong = there & (ink.astype(np.int64) * 100 >= STRONG * _strongest(rough, ink)[rough.numbers])
    near = _grown(strong, edge)
    parts, count = label_pieces(there & ~near)
    if not count:
        return ink
    peak = maximum(np.where(there, ink, 0).astype(np.uint8), 4 * edge + 3).astype(np.int64)
    is_step = ink.astype(np.int64) * 100 < STEP * peak
    begins = _mostly(is_step, parts, _beside(near & there), count)
    goes_on = np.zeros(count + 1, bool)
    goes_on[parts[~_grown(near, 2 * edge)]] = True
    apart = begins & goes_on
    apart[0] = False
    between = _grown(apart[parts], edge + 1) & near & ~strong & is_step
    return np.where(between, 0, ink).astype(np.uint8)


def _strongest(pieces: Pieces, ink: Pixels) -> Numbers:
    """Of each piece the mean of what is at least as strong as its level, (pieces,)."""
    most = (pieces.numbers > 0) & (ink >= pieces.level[pieces.numbers])
    number, count = pieces.numbers[most], len(pieces)
    total = sums(number, ink[most].astype(np.int64), count)
    return total // np.maximum(np.bincount(number, minlength=count), 1)


def _grown(mask: Mask, by: int) -> Mask:
    return np.asarray(maximum(mask.astype(np.uint8), 2 * by + 1) > 0)


def _beside(mask: Mask) -> Mask:
    """What is below, above, right or left of a pixel that is True."""
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]


def _mostly(is_step: Mask, parts: Numbers, at: Mask, count: int) -> Mask:
    """(count + 1,): whether most pixels of a part that are in `at` are steps."""
    contacts = np.bincount(parts[at], minlength=count + 1)
    steps = np.bincount(parts[at & is_step], minlength=count + 1)
    return np.asarray(2 * steps > contacts)
