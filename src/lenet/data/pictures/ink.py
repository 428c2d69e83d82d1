"""Ink on its ground: found, cropped, fitted and centred, as MNIST's digits were.

LeCun et al. 1998, section III-A: a digit is brought to 20x20 pixels with its proportions and with
anti-aliasing, and then put into 28x28 with its centre of mass in the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from lenet.data.pictures import reference
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.reading import Box, Character, Pixels, Reading
from lenet.errors import FormatError


def find_ink(picture: Pixels, convention: Convention, height: int, width: int) -> Reading:
    """Find the characters of `picture`, each (height, width) as `convention` says.

    It is (rows, columns) of greys, or (rows, columns, 3) of red, green and blue.

    Raises:
        FormatError: if nothing that could be a character stands out from the ground.
    """
    by_mass = convention.centre == "mass"
    found = _reader()(np.ascontiguousarray(picture), height, width, convention.ink_side, by_mass)
    if not found.characters:
        raise FormatError("blank: nothing stands out from the ground that could be a character")
    return found


@cache
def _reader() -> Callable[[Pixels, int, int, int, bool], Reading]:
    """The compiled part, or where it is missing its reference, which gives the same bytes."""
    try:
        compiled = import_module("lenet.data.pictures._picture").read_characters
    except ImportError:
        return reference.read_characters

    def read(*arguments: Any) -> Reading:
        dark, rules, ground, ink, kept, characters = compiled(*arguments)
        made = tuple(Character(Box(*row[:4]), *row[4:]) for row in characters)
        return Reading(dark, rules, ground, ink, kept, made)

    return read
