"""Light characters in a line on a dark strip, as counters and displays have them, in any light."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from lenet.data.pictures.reading import Box, Pixels, Reading
from lenet.data.pictures.reference import LEAST_LINE
from lenet.data.pictures.windows import LOGARITHMS
from lenet.errors import FormatError

BLUR = 3
"""Pixels; dark ground has more noise in its logarithms than in its greys."""

MARGIN = 0.15
"""Of a character's longer side: how much of its ground is looked at with it."""


def find_strip(picture: Pixels, found: Reading, read: Callable[[Pixels], Reading]) -> list[Box]:
    """Each character of a strip in `picture` (rows, columns), with some ground, left to right.

    `found` is what `read` found in the picture as it is.  Where that is all, or another thing than
    a strip, there are none.  Shade takes the same part of light characters and of their ground, so
    that those in it seem faint beside the others, and are not in the logarithms of their levels.
    """
    from PIL import Image, ImageFilter

    smooth = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(BLUR))
    try:
        line = read(LOGARITHMS[np.asarray(smooth)])
    except FormatError:
        return []
    boxes = sorted((character.box for character in line.characters), key=lambda box: box.left)
    if line.dark or not _is_more(boxes, found):
        return []
    return _with_ground(boxes, picture.shape)


def _is_more(line: list[Box], found: Reading) -> bool:
    """Whether a line is what was found of it and more, or is on what was taken for a character."""
    if not found.dark:
        return len(line) > max(1, len(found.characters))
    strip = found.characters[0].box
    on_it = all(strip.encloses(box) for box in line)
    return len(found.characters) == 1 and len(line) >= LEAST_LINE and on_it


def _with_ground(line: list[Box], shape: tuple[int, ...]) -> list[Box]:
    """Boxes with a margin, which ends half way to the next one."""
    middles = [(one.right + other.left) // 2 for one, other in pairwise(line)]
    lefts, rights = [0, *middles], [*middles, shape[1]]
    wide = []
    for box, left, right in zip(line, lefts, rights, strict=True):
        margin = round(MARGIN * box.side)
        wide.append(
            Box(
                max(0, box.top - margin),
                max(left, box.left - margin),
                min(shape[0], box.bottom + margin),
                min(right, box.right + margin),
            )
        )
    return wide
