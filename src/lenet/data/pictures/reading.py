"""What is read from a picture of characters: its ink, its ground, and each character, prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Box(NamedTuple):
    """Rows from `top` to before `bottom`, columns from `left` to before `right`."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def side(self) -> int:
        """The longer way."""
        return max(self.height, self.width)

    def encloses(self, other: Box) -> bool:
        """Whether no part of the other is outside."""
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )

    def moved(self, down: int, right: int) -> Box:
        """The same box so much further."""
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)


@dataclass(frozen=True, slots=True, eq=False)
class Character:
    """One character: where it is, how strong its ink is (0 to 255), and its stages, light on 0.

    `cropped` (rows, columns) is its ink alone, `fitted` the same in the size that a network's
    training had, and `image` that in the middle of the network's input; all are uint8.
    """

    box: Box
    level: int
    cropped: Pixels
    fitted: Pixels
    image: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The characters of a picture, the most prominent first; none where it is blank.

    `dark`: the ink is darker than its ground.  `rules`: how many lines were taken away.  The rest
    is uint8 (rows, columns) as the picture, or None where it is blank: `ground` is what the ink
    lies on, `ink` how far a pixel stands out from it, in 255 parts of the ground's light, and
    `kept` is 255 where ink was taken, 128 where a line was taken away, 64 where ink was left out.
    """

    dark: bool
    rules: int
    ground: Pixels | None
    ink: Pixels | None
    kept: Pixels | None
    characters: tuple[Character, ...]
