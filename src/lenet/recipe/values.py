"""Numbers that a user chose, held against their types and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lenet.errors import RecipeError
from lenet.system.facts import LARGEST, shown

Range = tuple[Any, str]
"""Whether a value is in it, and what it may be, in words."""


def one_of(names: tuple[str, ...]) -> Range:
    """The range of a choice."""
    return (lambda value: value in names), f"one of {', '.join(names)}"


# Comparisons with NaN are false, so every range below refuses it.
AT_LEAST_0: Range = (lambda value: 0 <= value < math.inf), "at least 0"
AT_LEAST_1: Range = (lambda value: value >= 1), "at least 1"
BELOW_1: Range = (lambda value: 0 <= value < 1), "at least 0 and below 1"
FRACTION: Range = (lambda value: 0 <= value <= 1), "from 0 to 1"
ABOVE_0: Range = (lambda value: 0 < value < math.inf), "above 0 and finite"


def check(values: Any, ranges: Mapping[str, Range]) -> None:
    """Hold the fields of `values` against their `ranges`.

    Raises:
        RecipeError: naming the first that is out of its range.
    """
    for name in ranges:
        check_one(name, getattr(values, name), ranges)


def check_one(name: str, value: Any, ranges: Mapping[str, Range]) -> None:
    """Hold one value against the range of its name, if it has one.

    Raises:
        RecipeError: if it is out of it.
    """
    fits, what = ranges.get(name, (lambda _: True, ""))
    if not fits(value):
        raise RecipeError(f"{name} = {value!r}: it must be {what}")


def typed(name: str, value: Any, kind: type[Any]) -> Any:
    """`value` as `kind`; an int may stand for a float, and NumPy's numbers are numbers.

    Raises:
        RecipeError: if it is of another type.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if kind is float and type(value) is int and -LARGEST <= value <= LARGEST:
        return float(value)
    if kind is str and isinstance(value, str):
        return str(value)
    if kind is int and type(value) is int and not -LARGEST <= value <= LARGEST:
        raise RecipeError(f"{name} = {shown(value)}: it must be below 2^63")
    if type(value) is not kind:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise RecipeError(f"{name} = {shown(value)}: it must be {words[kind]}")
    return value
