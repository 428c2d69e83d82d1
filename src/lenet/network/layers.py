"""The layers of a network, as data; each answers for its own shapes and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, final

import numpy as np
from numpy.typing import NDArray

from lenet.errors import RecipeError, SpecError
from lenet.network import characters
from lenet.recipe.recipe import SQUARES
from lenet.recipe.values import typed
from lenet.system.facts import build, field_types

ACTIVATIONS = ("identity", "relu", "leaky_relu", "sigmoid", "tanh", "scaled_tanh", "silu")
POOLINGS = ("average", "max")

LEAKY_RELU_SLOPE = 0.01
"""Slope for negative inputs: the default of `torch.nn.LeakyReLU`, which the note uses."""

SCALED_TANH = (1.7159, 2.0 / 3.0)
"""(A, S) of A tanh(S a): LeCun et al. 1998, section II-B, equation 6."""

CODES = ("characters", "place")
"""The centres of radial basis units: printed characters, or +1 in a class's place and -1 else."""

FLAT = ("dense", "radial_basis")
"""Operations of layers that read their inputs as one row of numbers."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerCounts:
    """What one layer of a network measures.

    `connections` counts every input of every output unit, the bias included (the paper's word);
    `multiply_adds` counts the products of one forward pass of one image.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    connections: int
    multiply_adds: int


class Layer(Protocol):
    """One layer: every question that a network, an engine or a figure asks of it.

    Shapes are (channels, rows, columns).  `type` names the class in JSON; `operation` says what it
    computes, which is the key by which engines find their code for it.  `outputs`, `window` and
    `padding` are 0 where a layer has none.
    """

    type: ClassVar[str]

    @property
    def name(self) -> str: ...

    @property
    def operation(self) -> str: ...

    @property
    def activation(self) -> str: ...

    @property
    def outputs(self) -> int: ...

    @property
    def window(self) -> int: ...

    @property
    def padding(self) -> int: ...

    @property
    def connections(self) -> tuple[tuple[int, ...], ...] | None: ...

    def check(self, shape: Shape) -> None:
        """Raise `SpecError` if it cannot work on an input of `shape`, whatever comes out."""
        ...

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of what it makes of an input of `shape`."""
        ...

    def counts(self, shape: Shape) -> LayerCounts:
        """What it measures behind an input of `shape`."""
        ...

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """`weight` and `bias`, or whatever it learns, by name; empty if nothing."""
        ...

    def mask(self, shape: Shape) -> NDArray[np.float32] | None:
        """1 where `weight` has a connection and 0 where none is; None where all are there."""
        ...

    def describe(self, output: Shape) -> str:
        """In a few words, for a table or a drawing."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Convolution:
    """A square convolution of stride 1 with a bias per output map, then an activation.

    `connections[o]` lists the input maps that output map `o` sees (LeCun et al. 1998, table I);
    None connects every output map to every input map.
    """

    type: ClassVar[str] = "convolution"
    operation: ClassVar[str] = "convolution"

    name: str
    outputs: int
    kernel: int
    padding: int = 0
    activation: str = "identity"
    connections: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        settle(self, f"layer {self.name}")

    @property
    def window(self) -> int:
        return self.kernel

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        _check_units(self)
        place = f"layer {self.name}"
        if self.kernel < 1 or self.padding < 0 or self.padding >= self.kernel:
            raise SpecError(
                f"{place}: kernel {self.kernel} must be at least 1, and padding {self.padding} "
                "between 0 and kernel - 1"
            )
        if self.connections is None:
            return
        known = set(range(shape[0]))
        rows_fit = all(
            row and set(row) <= known and len(set(row)) == len(row) for row in self.connections
        )
        if len(self.connections) != self.outputs or not rows_fit:
            raise SpecError(
                f"{place}: the connection table needs {self.outputs} rows, each a list of "
                f"different input maps from 0 to {shape[0] - 1}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        grow = 2 * self.padding - self.kernel + 1
        return (self.outputs, shape[1] + grow, shape[2] + grow)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`."""
        pairs = shape[0] * self.outputs
        if self.connections is not None:
            pairs = sum(len(row) for row in self.connections)
        return _count_units(self, shape, pairs * self.kernel**2)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """`weight` (outputs, inputs, rows, columns) and `bias` (outputs,)."""
        weight = (self.outputs, shape[0], self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.outputs,)}

    def mask(self, shape: Shape) -> NDArray[np.float32] | None:
        """See `Layer.mask`."""
        if self.connections is None:
            return None
        return _mask(self.weight_shapes(shape)["weight"], self.connections)

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"{self.kernel}x{self.kernel} convolution, {self.activation}"


@final
@dataclass(frozen=True, slots=True)
class Pooling:
    """Average or maximum over squares that do not overlap; a remainder at the border is dropped."""

    type: ClassVar[str] = "pooling"
    activation: ClassVar[str] = "identity"
    outputs: ClassVar[int] = 0
    padding: ClassVar[int] = 0
    connections: ClassVar[None] = None

    name: str
    kind: str
    size: int = 2

    def __post_init__(self) -> None:
        settle(self, f"layer {self.name}")

    @property
    def operation(self) -> str:
        return self.kind

    @property
    def window(self) -> int:
        return self.size

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        place = f"layer {self.name}"
        if self.kind not in POOLINGS:
            raise SpecError(f"{place}: pooling {self.kind!r} is not one of {', '.join(POOLINGS)}")
        if self.size < 1:
            raise SpecError(f"{place}: pooling size {self.size} must be at least 1")

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return (shape[0], shape[1] // self.size, shape[2] // self.size)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`."""
        after = self.output_shape(shape)
        connections = math.prod(after) * self.size**2
        return LayerCounts(self.name, self.type, shape, after, 0, connections, 0)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Nothing is learned."""
        return {}

    def mask(self, shape: Shape) -> None:
        """See `Layer.mask`."""
        return

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"{self.size}x{self.size} {self.kind} pooling"


@final
@dataclass(frozen=True, slots=True)
class Subsampling:
    """The sum over squares that do not overlap, times a coefficient, plus a bias, then a squash.

    LeCun et al. 1998, section II-B: one coefficient and one bias a map, both trained.  The paper
    says once that the inputs are averaged and once that they are added; they are added here, as
    in its authors' code.
    """

    type: ClassVar[str] = "subsampling"
    operation: ClassVar[str] = "subsampling"
    padding: ClassVar[int] = 0
    connections: ClassVar[None] = None

    name: str
    size: int = 2
    activation: str = "scaled_tanh"
    copies: int = 1

    def __post_init__(self) -> None:
        settle(self, f"layer {self.name}")

    @property
    def window(self) -> int:
        return self.size

    @property
    def outputs(self) -> int:
        """Maps for each map of the input."""
        return self.copies

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        _check_activation(self)
        if self.size < 1 or self.copies < 1:
            raise SpecError(
                f"layer {self.name}: squares of {self.size} and {self.copies} copies; both must be "
                "at least 1"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return (shape[0] * self.copies, shape[1] // self.size, shape[2] // self.size)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`; a connection for each input of a square, and one for the bias."""
        after = self.output_shape(shape)
        connections = math.prod(after) * (self.size**2 + 1)
        return LayerCounts(
            self.name, self.type, shape, after, 2 * after[0], connections, math.prod(after)
        )

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """`weight` (maps,), the coefficients, and `bias` (maps,)."""
        maps = shape[0] * self.copies
        return {"weight": (maps,), "bias": (maps,)}

    def mask(self, shape: Shape) -> None:
        """See `Layer.mask`."""
        return

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"{self.size}x{self.size} trained subsampling, {self.activation}"


@final
@dataclass(frozen=True, slots=True)
class RadialBasis:
    """Squared distances to a fixed centre a class: LeCun et al. 1998, equation 7.

    The outputs are the distances with a minus sign, halved where `squares` says so: logits, whose
    softmax is what equation 9 takes for probabilities.  `code` says what the centres are: the
    printed characters of `network.characters`, which read 84 inputs; or "place", +1 for the class
    and -1 else, which reads as many inputs as there are classes and stands for targets of plain
    outputs: it counts no connections.
    """

    type: ClassVar[str] = "radial_basis"
    operation: ClassVar[str] = "radial_basis"
    activation: ClassVar[str] = "identity"
    window: ClassVar[int] = 0
    padding: ClassVar[int] = 0
    connections: ClassVar[None] = None

    name: str
    outputs: int
    code: str = "characters"
    squares: str = "half"

    def __post_init__(self) -> None:
        settle(self, f"layer {self.name}")

    @property
    def scale(self) -> float:
        """What a squared distance is multiplied by."""
        return 0.5 if self.squares == "half" else 1.0

    def centres(self) -> NDArray[np.float32]:
        """The centres, +1 and -1, float32 (outputs, inputs)."""
        if self.code == "place":
            return 2.0 * np.eye(self.outputs, dtype=np.float32) - 1.0
        return characters.codes(self.outputs)

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        place = f"layer {self.name}"
        if self.code not in CODES:
            raise SpecError(f"{place}: code {self.code!r} is not one of {', '.join(CODES)}")
        if self.squares not in SQUARES:
            raise SpecError(f"{place}: squares {self.squares!r} is not one of {', '.join(SQUARES)}")
        if self.outputs < 1:
            raise SpecError(f"{place}: {self.outputs} outputs; there must be at least 1")
        if self.code == "characters" and self.outputs > characters.COUNT:
            raise SpecError(
                f"{place}: {self.outputs} classes, and the paper prints {characters.COUNT} "
                "characters to be their targets; use another network"
            )
        inputs = self.outputs if self.code == "place" else characters.PIXELS
        if math.prod(shape) != inputs:
            raise SpecError(
                f"{place}: it reads {math.prod(shape)} numbers, and its centres have {inputs}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return (self.outputs, 1, 1)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`; nothing is trained."""
        links = 0 if self.code == "place" else math.prod(shape) * self.outputs
        after = self.output_shape(shape)
        return LayerCounts(self.name, self.type, shape, after, 0, links, links)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """Nothing is learned."""
        return {}

    def mask(self, shape: Shape) -> None:
        """See `Layer.mask`."""
        return

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"distances to {'characters' if self.code == 'characters' else 'targets'}"


@final
@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer on the flattened (channels, rows, columns), then an activation.

    With `reads` above 0 it is not fully connected: unit o reads that many inputs in a row, from
    input o * reads on, and from the first again after the last.
    """

    type: ClassVar[str] = "dense"
    operation: ClassVar[str] = "dense"
    window: ClassVar[int] = 0
    padding: ClassVar[int] = 0
    connections: ClassVar[None] = None

    name: str
    outputs: int
    activation: str = "identity"
    reads: int = 0

    def __post_init__(self) -> None:
        settle(self, f"layer {self.name}")

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        _check_units(self)
        if not 0 <= self.reads <= math.prod(shape):
            raise SpecError(
                f"layer {self.name}: a unit cannot read {self.reads} of {math.prod(shape)} inputs"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return (self.outputs, 1, 1)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`."""
        return _count_units(self, shape, (self.reads or math.prod(shape)) * self.outputs)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """`weight` (outputs, inputs) and `bias` (outputs,)."""
        return {"weight": (self.outputs, math.prod(shape)), "bias": (self.outputs,)}

    def mask(self, shape: Shape) -> NDArray[np.float32] | None:
        """See `Layer.mask`."""
        if not self.reads:
            return None
        weight, inputs = self.weight_shapes(shape)["weight"], math.prod(shape)
        starts = (self.reads * unit for unit in range(self.outputs))
        return _mask(
            weight, [[(start + k) % inputs for k in range(self.reads)] for start in starts]
        )

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"dense, {self.activation}"


_TYPES: dict[str, Any] = {
    kind.type: kind for kind in (Convolution, Pooling, Subsampling, Dense, RadialBasis)
}


def is_layer(given: Any) -> bool:
    """Whether it is one of the layers that a network is made of."""
    return type(given) in _TYPES.values()


def to_dict(layer: Layer) -> dict[str, Any]:
    """A layer as plain JSON values; `from_dict` reads it back."""
    return {"type": layer.type, **asdict(layer)}  # type: ignore[call-overload]


def from_dict(values: Mapping[str, Any]) -> Layer:
    """Read what `to_dict` wrote.

    Raises:
        SpecError: if there is no such layer.
        KeyError, TypeError, ValueError: if its fields are not those of the layer.
    """
    fields = dict(values)
    name = fields.pop("type")
    if name not in _TYPES:
        raise SpecError(f"layer type {name!r} is not one of {', '.join(_TYPES)}")
    made: Layer = build(_TYPES[name], fields, f"layer {fields.get('name')!r:.60}")
    return made


def settle(data: Any, place: str) -> None:
    """Make plain numbers and texts of NumPy's in the fields of `data`, as a file can keep them.

    Raises:
        SpecError: naming the field of `place` that is neither.
    """
    for name, kind in field_types(type(data)).items():
        if kind not in (int, float, str):
            continue
        try:
            object.__setattr__(data, name, typed(name, getattr(data, name), kind))
        except RecipeError as error:
            raise SpecError(f"{place}: {error}") from error


def _check_activation(layer: Layer) -> None:
    if layer.activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise SpecError(
            f"layer {layer.name}: activation {layer.activation!r} is not one of {known}"
        )


def _check_units(layer: Convolution | Dense) -> None:
    _check_activation(layer)
    if layer.outputs < 1:
        raise SpecError(f"layer {layer.name}: {layer.outputs} outputs; there must be at least 1")


def _mask(shape: Shape, connections: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    mask = np.zeros(shape, np.float32)
    for output, inputs in enumerate(connections):
        mask[output, list(inputs)] = 1.0
    return mask


def _count_units(layer: Convolution | Dense, shape: Shape, products: int) -> LayerCounts:
    """Of a layer with `products` weights that are used at every position, and a bias a map."""
    after = layer.output_shape(shape)
    positions = after[1] * after[2]
    parameters = products + layer.outputs
    return LayerCounts(
        layer.name, layer.type, shape, after, parameters, parameters * positions,
        products * positions,
    )  # fmt: skip
