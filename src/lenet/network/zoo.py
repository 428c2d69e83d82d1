"""Named networks as rows of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lenet.errors import UsageError
from lenet.network.layers import Convolution, Dense, Layer, Pooling, RadialBasis, Subsampling
from lenet.network.spec import Spec
from lenet.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the zoo: what differs between the networks of LeNet-5's shape.

    `maps` are those of C1 and C3, `units` those of C5 and of F6, which a small network leaves out;
    the head is the last of them.  `pooling` may be "trained": subsampling with a coefficient and a
    bias a map, and `copies` of each map at S2.  `table` says which maps of S2 each map of C3 sees.
    `reads` of S4's outputs are seen by a unit of C5; 0 is all.  `targets` are what the network ends
    with behind its units: nothing (plain logits), the paper's "characters", or "place" behind an
    output a class.  A `preparation` comes before the pixels are scaled by `pixels` (scale, shift).
    `recipe` is how the network is trained, or the name of a recipe that derives it from the data.
    """

    title: str
    activation: str
    head_activation: str
    pooling: str
    maps: tuple[int, int] = (6, 16)
    units: tuple[int, ...] = (120, 84)
    copies: int = 1
    table: tuple[tuple[int, ...], ...] | None = None
    reads: int = 0
    targets: str = ""
    preparation: tuple[str, ...] = ()
    pixels: tuple[float, float] = (1.0 / 255.0, 0.0)
    recipe: Recipe | str = field(default_factory=Recipe)


TABLE_1 = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""LeCun et al. 1998, table I: the maps of S2 that each map of C3 sees."""

TABLE_OF_LENET_1 = (
    (0,), (0, 1), (0, 1), (1,), (0, 1), (0, 1), (2,), (2, 3), (2, 3), (3,), (2, 3), (2, 3),
)  # fmt: skip
"""LeCun et al. 1990 ("Handwritten digit recognition with a back-propagation network"), table 1."""

TABLE_OF_LENET_4 = (
    *(tuple(sorted((k + step) % 8 for step in range(4))) for k in range(8)),
    *(tuple(sorted((k + step) % 8 for step in (0, 1, 4, 5))) for k in range(4)),
    *(tuple(sorted((2 * k + step) % 8 for step in (0, 3, 5))) for k in range(4)),
)
"""Ours: nobody has published LeNet-4's; it has the 60 kernels that its published totals ask for."""

PIXELS_OF_1998 = (1.275 / 255.0, -0.1)
"""Background -0.1 and ink 1.175: LeCun et al. 1998, section II-B."""

RECIPE_OF_1998 = Recipe(
    epochs=20,
    batch_size=1,
    initialiser="lecun_1998_rates",
    optimizer="sdlm",
    learning_rate=5e-4,
    schedule="lecun_1998",
    order="constant",
    loss="map",
    rubbish_cost=50.0,
)
"""LeCun et al. 1998, section III-B and appendices A to C."""

LENET_4 = Model(
    "1998, LeNet-4: 37 hidden units, which meet the published totals",
    "scaled_tanh",
    "scaled_tanh",
    "trained",
    maps=(4, 16),
    units=(37,),
    copies=2,
    table=TABLE_OF_LENET_4,
    targets="place",
    preparation=("frame",),
    pixels=PIXELS_OF_1998,
    recipe=RECIPE_OF_1998,
)

ZOO: dict[str, Model] = {
    "lenet5": Model("the note's: LeakyReLU, Sigmoid head", "leaky_relu", "sigmoid", "average"),
    "lenet5-sigmoid": Model("the textbook's: Sigmoid throughout", "sigmoid", "sigmoid", "average"),
    "lenet5-relu": Model(
        "the usual modern one: ReLU, max pooling", "relu", "relu", "max", recipe="auto"
    ),
    "lenet5-average": Model(
        "ReLU, average pooling: what the recipe best trains on photos",
        "relu",
        "relu",
        "average",
        recipe="auto",
    ),
    "lenet5-modern": Model("SiLU, max pooling", "silu", "silu", "max", recipe="auto"),
    "lenet5-small": Model(
        "for microcontrollers: the note's with an eighth of the weights",
        "leaky_relu",
        "sigmoid",
        "average",
        maps=(6, 12),
        units=(18,),
    ),
    "lenet5-1998": replace(
        LENET_4,
        title="1998, LeNet-5 as printed: table I, trained subsampling, distances to characters",
        maps=(6, 16),
        units=(120, 84),
        copies=1,
        table=TABLE_1,
        targets="characters",
    ),
    "lenet1": replace(
        LENET_4,
        title="1990 and 1998, LeNet-1: digits of 16x16 in 28x28, no hidden layer",
        maps=(4, 12),
        units=(),
        copies=1,
        table=TABLE_OF_LENET_1,
        preparation=("shrink",),
    ),
    "lenet4": LENET_4,
    "lenet4-120": replace(
        LENET_4,
        title="1998, LeNet-4: 120 hidden units that see 117 inputs each, for the same totals",
        units=(120,),
        reads=117,
    ),
}

DEFAULT_MODEL = "lenet5"


def recipe_of(name: str) -> Recipe | str:
    """How the named network is trained where nobody says otherwise: numbers, or a recipe's name.

    Raises:
        UsageError: if the zoo has no such network.
    """
    return _row(name).recipe


def build(
    name: str = DEFAULT_MODEL,
    *,
    channels: int = 1,
    height: int = 28,
    width: int = 28,
    classes: int = 10,
    changes: Mapping[str, str] | None = None,
    squares: str = "half",
) -> Spec:
    """The named network for pictures of the given size, with `changes` to the row of the zoo.

    `squares` says how the distances are squared that it may end in.

    C1 pads a picture with a side under 32 by 2, as the note and the textbook do for 28x28; from
    32x32 on there is no padding, as in the 1998 paper.  Both lead to maps of 5x5 at S4.  The
    networks of 1998 never pad: where the paper says so they are given a frame of background.

    Raises:
        UsageError: if the zoo has no such network, or its rows have no such field.
        SpecError: if the picture is too small for it.

    """
    row = _changed(_row(name), changes or {})
    small = min(height, width) < 32
    padding = 2 if small and row.pooling != "trained" else 0
    preparation = tuple(step for step in row.preparation if small or step != "frame")
    hidden = [row.activation] * (len(row.units) - 1) + [row.head_activation]
    layers: tuple[Layer, ...] = (
        Convolution("C1", row.maps[0], kernel=5, padding=padding, activation=row.activation),
        _pooling("S2", row, row.copies),
        Convolution("C3", row.maps[1], 5, activation=row.activation, connections=row.table),
        _pooling("S4", row),
        *(
            Dense(layer, units, activation, row.reads if layer == "C5" else 0)
            for layer, units, activation in zip(("C5", "F6"), row.units, hidden, strict=False)
        ),
        *_outputs(row, classes, squares),
    )
    return Spec(name, channels, height, width, layers, *row.pixels, preparation)


def _row(name: str) -> Model:
    if name not in ZOO:
        raise UsageError(f"no network is called {name!r}; known are {', '.join(ZOO)}")
    return ZOO[name]


def _pooling(name: str, row: Model, copies: int = 1) -> Layer:
    if row.pooling == "trained":
        return Subsampling(name, activation=row.activation, copies=copies)
    return Pooling(name, row.pooling)


def _outputs(row: Model, classes: int, squares: str) -> tuple[Layer, ...]:
    if not row.targets:
        return (Dense("output", classes),)
    distances = RadialBasis("output", classes, row.targets, squares)
    if row.targets == "characters":
        return (distances,)
    return (Dense("units", classes, row.head_activation), distances)


CHANGES = ("activation", "head_activation", "pooling")
"""Fields of a row that `build` can change."""


def _changed(row: Model, changes: Mapping[str, str]) -> Model:
    unknown = sorted(set(changes) - set(CHANGES))
    if unknown:
        raise UsageError(f"a network has no {', '.join(unknown)}; change {', '.join(CHANGES)}")
    words: dict[str, Any] = dict(changes)
    return replace(row, **words)
