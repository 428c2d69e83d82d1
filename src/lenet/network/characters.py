"""The printed characters of the 1998 paper, 7x12 pixels each: targets of radial basis units.

Data: `characters.json`, the pixels that the authors' PDF stores for figure 3.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 12, 7
PIXELS = ROWS * COLUMNS
COUNT = 95
"""Characters in the file: digits, capitals, small letters, then the others."""


@lru_cache(maxsize=1)
def pictures() -> dict[str, NDArray[np.float32]]:
    """By character its picture, +1 where it is black and -1 where not, float32 (12, 7)."""
    text = resources.files(__package__).joinpath("characters.json").read_text(encoding="utf-8")
    return {
        name: np.array([[1.0 if dot == "#" else -1.0 for dot in row] for row in rows], np.float32)
        for name, rows in json.loads(text)["characters"].items()
    }


def codes(count: int) -> NDArray[np.float32]:
    """The first `count` characters as centres, float32 (count, 84), row by row as a page is read.

    Ten classes get the ten digits; from the eleventh on capitals and small letters follow, which
    is the order of EMNIST's classes.
    """
    chosen = list(pictures().values())[:count]
    return np.stack(chosen).reshape(count, PIXELS)
