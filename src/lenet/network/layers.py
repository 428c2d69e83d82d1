"""The layers of a network, as data; each answers for its own shapes and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, final

from lenet.errors import SpecError
from lenet.system.facts import build

ACTIVATIONS = ("identity", "relu", "leaky_relu", "sigmoid", "tanh", "scaled_tanh", "silu")
POOLINGS = ("average", "max")

LEAKY_RELU_SLOPE = 0.01
"""Slope for negative inputs: the default of `torch.nn.LeakyReLU`, which the note uses."""

SCALED_TANH = (1.7159, 2.0 / 3.0)
"""(A, S) of A tanh(S a): LeCun et al. 1998, section II-B, equation 6."""

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

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"{self.size}x{self.size} {self.kind} pooling"


@final
@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer on the flattened (channels, rows, columns), then an activation."""

    type: ClassVar[str] = "dense"
    operation: ClassVar[str] = "dense"
    window: ClassVar[int] = 0
    padding: ClassVar[int] = 0
    connections: ClassVar[None] = None

    name: str
    outputs: int
    activation: str = "identity"

    def check(self, shape: Shape) -> None:
        """See `Layer.check`."""
        _check_units(self)

    def output_shape(self, shape: Shape) -> Shape:
        """See `Layer.output_shape`."""
        return (self.outputs, 1, 1)

    def counts(self, shape: Shape) -> LayerCounts:
        """See `Layer.counts`."""
        return _count_units(self, shape, math.prod(shape) * self.outputs)

    def weight_shapes(self, shape: Shape) -> dict[str, Shape]:
        """`weight` (outputs, inputs) and `bias` (outputs,)."""
        return {"weight": (self.outputs, math.prod(shape)), "bias": (self.outputs,)}

    def describe(self, output: Shape) -> str:
        """See `Layer.describe`."""
        return f"dense, {self.activation}"


_TYPES: dict[str, type[Convolution] | type[Pooling] | type[Dense]] = {
    kind.type: kind for kind in (Convolution, Pooling, Dense)
}


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
    return build(_TYPES[name], fields, f"layer {fields.get('name')!r:.60}")


def _check_units(layer: Convolution | Dense) -> None:
    place = f"layer {layer.name}"
    if layer.activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise SpecError(f"{place}: activation {layer.activation!r} is not one of {known}")
    if layer.outputs < 1:
        raise SpecError(f"{place}: {layer.outputs} outputs; there must be at least 1")


def _count_units(layer: Convolution | Dense, shape: Shape, products: int) -> LayerCounts:
    """Of a layer with `products` weights that are used at every position, and a bias a map."""
    after = layer.output_shape(shape)
    positions = after[1] * after[2]
    parameters = products + layer.outputs
    return LayerCounts(
        layer.name, layer.type, shape, after, parameters, parameters * positions,
        products * positions,
    )  # fmt: skip
