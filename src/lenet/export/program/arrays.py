"""Constants of a C program: arrays of literals, in parts that every compiler takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.errors import SpecError

LARGEST_ARRAY = 32_767
"""Bytes of one array: the most that a compiler with an `int` of 16 bits takes."""

LINE = 100
"""Letters."""

TYPES = {"int8_t": 1, "uint8_t": 1, "uint16_t": 2, "int32_t": 4, "float": 4}
"""Of constants, with their bytes."""


@final
@dataclass(frozen=True, slots=True)
class Array:
    """A constant: its C type, its name, and its numbers (or literals), in order."""

    type: str
    name: str
    values: Sequence[Any]

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def bytes(self) -> int:
        return self.count * TYPES[self.type]

    @property
    def text(self) -> str:
        """The numbers in lines."""
        lines, line = [], "   "
        for value in self.values:
            word = f" {value},"
            if len(line) + len(word) > LINE:
                lines.append(line)
                line = "   "
            line += word
        return "\n".join([*lines, line])


@final
@dataclass(frozen=True, slots=True)
class Part:
    """An array with the weights of some outputs, from output `first` on."""

    name: str
    first: int


def pack(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """(outputs, products) of -8 to 7 as bytes: each plus 8, the first of two in the low half.

    An odd row ends with a weight of 0.
    """
    plus = weights + 8
    if plus.shape[1] % 2:
        plus = np.pad(plus, ((0, 0), (0, 1)), constant_values=8)
    return plus[:, ::2] + 16 * plus[:, 1::2]


def split_rows(
    kind: str, name: str, matrix: NDArray[Any], literal: Any
) -> tuple[list[Array], tuple[Part, ...]]:
    """Rows of weights as arrays that every compiler takes.

    Raises:
        SpecError: if one row is too long.
    """
    most = LARGEST_ARRAY // (TYPES[kind] * matrix.shape[1])
    if most == 0:
        raise SpecError(
            f"{name}: {matrix.shape[1]:,} weights an output; in C at most "
            f"{LARGEST_ARRAY // TYPES[kind]:,}: use a smaller picture"
        )
    arrays: list[Array] = []
    parts: list[Part] = []
    for first in range(0, len(matrix), most):
        end = f"_{len(parts) + 1}" if len(matrix) > most else ""
        values = [literal(value) for value in matrix[first : first + most].ravel().tolist()]
        arrays.append(Array(kind, name + end, values))
        parts.append(Part(name + end, first))
    return arrays, tuple(parts)


def whole_literal(value: float) -> str:
    """A whole number as C reads it."""
    return str(int(value))


def float_literal(value: float) -> str:
    """A float32 as C reads it back to the same bits."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
