"""What a network does to an image before it scales the pixels, as the 1998 paper prepared its data.

The steps work on uint8 images (n, channels, height, width); the background is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lenet.errors import SpecError

Shape = tuple[int, ...]
Images = NDArray[np.uint8]

MARGIN = 2
"""Pixels of background around an image, by which 28x28 becomes the paper's 32x32."""

PART = 4096
"""Images at a time, so that what is computed in floats stays small."""


def frame(images: Images) -> Images:
    """Two pixels of background on every side: LeCun et al. 1998, section II-B."""
    sides = ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    return np.pad(images, sides)


def deslant(images: Images) -> Images:
    """Rows shifted until the ink's principal axis is vertical: LeCun et al. 1998, section III-A.

    Second moments count a pixel of ink as 1; rows are shifted by fractions of a pixel.
    """
    height, width = images.shape[2:]
    ink = (images.max(axis=1) > 0).astype(np.float64)
    rows, columns = np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64)
    total = np.maximum(ink.sum(axis=(1, 2)), 1.0)
    middle_row = ink.sum(axis=2) @ rows / total
    middle_column = ink.sum(axis=1) @ columns / total
    down = rows[None] - middle_row[:, None]
    across = columns[None] - middle_column[:, None]
    spread = np.einsum("nyx,ny->n", ink, down**2)
    lean = np.einsum("nyx,ny,nx->n", ink, down, across) / np.maximum(spread, 1e-9)
    return _shift_rows(images, lean[:, None] * down)


def shrink(images: Images) -> Images:
    """The image at four fifths of its size, in the middle of its frame.

    So the 20x20 box of MNIST's digits becomes LeNet-1's 16x16 (LeCun et al. 1998, section III).
    Each pixel is the mean of what it covers, to the nearest whole number, of two the larger.
    """
    down, across = (shrinking(side) for side in images.shape[2:])
    hundredths = down @ images.astype(np.float64) @ across.T
    return np.floor((hundredths + 50.0) / 100.0).astype(np.uint8)


def shrinking(side: int) -> NDArray[np.float64]:
    """(side, side): tenths of each pixel of the small image that lie in each of the large one.

    Whole numbers: an edge of the small image is a whole number of eighths of a large pixel from
    that of the large one, and a small pixel is ten such eighths long.
    """
    first = 10 * np.arange(side)[:, None] - side
    large = 8 * np.arange(side)
    covered = np.minimum(first + 10, large + 8) - np.maximum(first, large)
    return covered.clip(min=0).astype(np.float64)


STEPS: dict[str, Callable[[Images], Images]] = {
    "frame": frame,
    "deslant": deslant,
    "shrink": shrink,
}


def prepare(steps: Sequence[str], images: Images) -> Images:
    """`images` uint8 (n, channels, height, width) after these steps, in their order."""
    if not steps:
        return images
    parts = []
    for start in range(0, max(1, len(images)), PART):
        part = images[start : start + PART]
        for step in steps:
            part = STEPS[step](part)
        parts.append(part)
    return np.concatenate(parts)


def prepared_shape(steps: Sequence[str], shape: Shape) -> Shape:
    """The shape (channels, height, width) of an image of `shape` after these steps."""
    grow = 2 * MARGIN * sum(step == "frame" for step in steps)
    return (shape[0], shape[1] + grow, shape[2] + grow)


def check(steps: Sequence[str], place: str) -> None:
    """Refuse a step that nobody knows.

    Raises:
        SpecError: naming it.
    """
    for step in steps:
        if step not in STEPS:
            raise SpecError(f"{place}: preparation {step!r:.60} is not one of {', '.join(STEPS)}")


def _shift_rows(images: Images, shifts: NDArray[np.float64]) -> Images:
    """Each row's pixel x is what was at x + `shifts` (n, height), between two in proportion.

    Background comes in from outside.
    """
    width = images.shape[3]
    places = np.arange(width)[None, None] + shifts[:, :, None]
    left = np.floor(places).astype(np.int64)
    share = places - left
    padded = np.pad(images, ((0, 0), (0, 0), (0, 0), (1, 1))).astype(np.float64)

    def at(columns: NDArray[np.int64]) -> NDArray[np.float64]:
        inside = np.clip(columns + 1, 0, width + 1)[:, None]
        return np.take_along_axis(padded, np.broadcast_to(inside, images.shape), axis=3)

    mixed = at(left) * (1.0 - share[:, None]) + at(left + 1) * share[:, None]
    return np.rint(mixed).astype(np.uint8)
