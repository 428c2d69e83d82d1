"""Named networks as rows of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lenet.errors import UsageError
from lenet.network.layers import Convolution, Dense, Layer, Pooling
from lenet.network.spec import Spec


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the zoo: what differs between the networks of LeNet-5's shape.

    `maps` are those of C1 and C3, `units` those of C5 and of F6, which a small network leaves out;
    the head is the last of them.
    """

    title: str
    activation: str
    head_activation: str
    pooling: str
    maps: tuple[int, int] = (6, 16)
    units: tuple[int, ...] = (120, 84)


ZOO: dict[str, Model] = {
    "lenet5": Model("the note's: LeakyReLU, Sigmoid head", "leaky_relu", "sigmoid", "average"),
    "lenet5-sigmoid": Model("the textbook's: Sigmoid throughout", "sigmoid", "sigmoid", "average"),
    "lenet5-relu": Model("the usual modern one: ReLU, max pooling", "relu", "relu", "max"),
    "lenet5-modern": Model("the same with SiLU for ReLU; none in C", "silu", "silu", "max"),
    "lenet5-small": Model(
        "for microcontrollers: the note's with an eighth of the weights",
        "leaky_relu",
        "sigmoid",
        "average",
        maps=(6, 12),
        units=(18,),
    ),
}

DEFAULT_MODEL = "lenet5"


def build(
    name: str = DEFAULT_MODEL,
    *,
    channels: int = 1,
    height: int = 28,
    width: int = 28,
    classes: int = 10,
    changes: Mapping[str, str] | None = None,
) -> Spec:
    """The named network for pictures of the given size, with `changes` to the row of the zoo.

    C1 pads a picture with a side under 32 by 2, as the note and the textbook do for 28x28; from
    32x32 on there is no padding, as in the 1998 paper.  Both lead to maps of 5x5 at S4.

    Raises:
        UsageError: if the zoo has no such network, or its rows have no such field.
        SpecError: if the picture is too small for it.

    """
    if name not in ZOO:
        raise UsageError(f"no network is called {name!r}; known are {', '.join(ZOO)}")
    row = _changed(ZOO[name], changes or {})
    padding = 2 if min(height, width) < 32 else 0
    activations = [row.activation] * (len(row.units) - 1) + [row.head_activation]
    layers: tuple[Layer, ...] = (
        Convolution("C1", row.maps[0], kernel=5, padding=padding, activation=row.activation),
        Pooling("S2", row.pooling),
        Convolution("C3", row.maps[1], kernel=5, activation=row.activation),
        Pooling("S4", row.pooling),
        *map(Dense, ("C5", "F6"), row.units, activations),
        Dense("output", classes),
    )
    return Spec(name, channels, height, width, layers)


CHANGES = ("activation", "head_activation", "pooling")
"""Fields of a row that `build` can change."""


def _changed(row: Model, changes: Mapping[str, str]) -> Model:
    unknown = sorted(set(changes) - set(CHANGES))
    if unknown:
        raise UsageError(f"a network has no {', '.join(unknown)}; change {', '.join(CHANGES)}")
    words: dict[str, Any] = dict(changes)
    return replace(row, **words)
