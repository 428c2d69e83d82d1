"""A network as data: its layers, and the shapes and counts that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lenet.errors import SpecError

ACTIVATIONS = ("identity", "relu", "leaky_relu", "sigmoid", "tanh", "scaled_tanh")
POOLINGS = ("average", "max")

LEAKY_RELU_SLOPE = 0.01
"""Slope for negative inputs: the default of `torch.nn.LeakyReLU`, which the note uses."""

SCALED_TANH = (1.7159, 2.0 / 3.0)
"""(A, S) of A tanh(S a): LeCun et al. 1998, section II-B, equation 6."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A square convolution of stride 1 with a bias per output map, then an activation.

    `connections[o]` lists the input maps that output map `o` sees (LeCun et al. 1998, table I);
    None connects every output map to every input map.
    """

    name: str
    outputs: int
    kernel: int
    padding: int = 0
    activation: str = "identity"
    connections: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Pooling:
    """Average or maximum over squares that do not overlap; a remainder at the border is dropped."""

    name: str
    kind: str
    size: int = 2


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer on the flattened (channels, rows, columns), then an activation."""

    name: str
    outputs: int
    activation: str = "identity"


Layer = Convolution | Pooling | Dense
LAYER_TYPES: dict[str, type[Layer]] = {
    "convolution": Convolution,
    "pooling": Pooling,
    "dense": Dense,
}


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


@dataclass(frozen=True, slots=True)
class Spec:
    """A network: input size, pixel scaling and layers.

    A stored pixel p (0 to 255) enters the network as `p * pixel_scale + pixel_shift`.

    Raises:
        SpecError: if a layer does not fit, names repeat, or the last layer is not dense.

    """

    name: str
    channels: int
    height: int
    width: int
    layers: tuple[Layer, ...]
    pixel_scale: float = 1.0 / 255.0
    pixel_shift: float = 0.0

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise SpecError(f"{self.name}: layer names repeat in {names}; give each layer its own")
        if min(self.input_shape) < 1:
            raise SpecError(f"{self.name}: input {self.input_shape} must be at least 1x1x1")
        if not self.layers or not isinstance(self.layers[-1], Dense):
            raise SpecError(f"{self.name}: the last layer must be dense, one output per class")
        if not (math.isfinite(self.pixel_scale) and math.isfinite(self.pixel_shift)):
            raise SpecError(f"{self.name}: pixel_scale and pixel_shift must be finite numbers")
        for layer, shape in self._walk():
            _check_layer(layer, shape)

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of one image."""
        return (self.channels, self.height, self.width)

    @property
    def classes(self) -> int:
        """Number of logits."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last.outputs

    def _walk(self) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape that enters it."""
        shape = self.input_shape
        for layer in self.layers:
            yield layer, shape
            shape = output_shape(layer, shape)

    def counts(self) -> tuple[LayerCounts, ...]:
        """Shapes and counts of each layer, in order."""
        return tuple(_count(layer, shape) for layer, shape in self._walk())

    def weight_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every array of weights, in the order of the layers.

        `C1.weight` is (outputs, inputs, rows, columns), `F6.weight` is (outputs, inputs), and a
        bias is (outputs,): the shapes of PyTorch's `state_dict`.
        """
        shapes: dict[str, Shape] = {}
        for layer, shape in self._walk():
            if isinstance(layer, Convolution):
                weight: Shape = (layer.outputs, shape[0], layer.kernel, layer.kernel)
            elif isinstance(layer, Dense):
                weight = (layer.outputs, math.prod(shape))
            else:
                continue
            shapes[f"{layer.name}.weight"] = weight
            shapes[f"{layer.name}.bias"] = (layer.outputs,)
        return shapes

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(row.parameters for row in self.counts())

    @property
    def connections(self) -> int:
        """Number of connections, in the sense of the 1998 paper."""
        return sum(row.connections for row in self.counts())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one image (convolutions and dense layers)."""
        return sum(row.multiply_adds for row in self.counts())

    def to_dict(self) -> dict[str, Any]:
        """The network as plain JSON values; `from_dict` reads it back."""
        types = {type_: name for name, type_ in LAYER_TYPES.items()}
        layers = [{"type": types[type(layer)], **asdict(layer)} for layer in self.layers]
        head = {key: getattr(self, key) for key in _HEAD}
        return {**head, "layers": layers}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """Read what `to_dict` wrote.

        Raises:
            SpecError: on unknown or missing keys, or layers that do not fit.

        """
        try:
            layers = tuple(_layer_from_dict(dict(layer)) for layer in values["layers"])
            rest = {key: value for key, value in values.items() if key != "layers"}
            return cls(layers=layers, **rest)
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(f"not the description of a network: {error}") from error


_HEAD = ("name", "channels", "height", "width", "pixel_scale", "pixel_shift")


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Shape of what `layer` makes of an input of `shape`, both (channels, rows, columns)."""
    if isinstance(layer, Dense):
        return (layer.outputs, 1, 1)
    channels, rows, columns = shape
    if isinstance(layer, Pooling):
        return (channels, rows // layer.size, columns // layer.size)
    grow = 2 * layer.padding - layer.kernel + 1
    return (layer.outputs, rows + grow, columns + grow)


def _check_layer(layer: Layer, shape: Shape) -> None:
    place = f"layer {layer.name}"
    if isinstance(layer, Pooling):
        if layer.kind not in POOLINGS:
            raise SpecError(f"{place}: pooling {layer.kind!r} is not one of {', '.join(POOLINGS)}")
        if layer.size < 1:
            raise SpecError(f"{place}: pooling size {layer.size} must be at least 1")
    else:
        if layer.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise SpecError(f"{place}: activation {layer.activation!r} is not one of {known}")
        if layer.outputs < 1:
            raise SpecError(f"{place}: {layer.outputs} outputs; there must be at least 1")
    if isinstance(layer, Convolution):
        _check_convolution(layer, shape)
    if min(output_shape(layer, shape)) < 1:
        raise SpecError(f"{place}: nothing is left of its input {shape}; use a larger picture")


def _check_convolution(layer: Convolution, shape: Shape) -> None:
    place = f"layer {layer.name}"
    if layer.kernel < 1 or layer.padding < 0 or layer.padding >= layer.kernel:
        raise SpecError(
            f"{place}: kernel {layer.kernel} must be at least 1, and padding {layer.padding} "
            "between 0 and kernel - 1"
        )
    if layer.connections is None:
        return
    known = set(range(shape[0]))
    rows_fit = all(
        row and set(row) <= known and len(set(row)) == len(row) for row in layer.connections
    )
    if len(layer.connections) != layer.outputs or not rows_fit:
        raise SpecError(
            f"{place}: the connection table needs {layer.outputs} rows, each a list of different "
            f"input maps from 0 to {shape[0] - 1}"
        )


def _count(layer: Layer, shape: Shape) -> LayerCounts:
    after = output_shape(layer, shape)
    positions = after[1] * after[2]
    if isinstance(layer, Pooling):
        connections = math.prod(after) * layer.size**2
        return LayerCounts(layer.name, "pooling", shape, after, 0, connections, 0)
    if isinstance(layer, Dense):
        kind, products = "dense", math.prod(shape) * layer.outputs
    else:
        kind, pairs = "convolution", shape[0] * layer.outputs
        if layer.connections is not None:
            pairs = sum(len(row) for row in layer.connections)
        products = pairs * layer.kernel**2
    parameters = products + layer.outputs
    return LayerCounts(
        layer.name, kind, shape, after, parameters, parameters * positions, products * positions
    )


def _layer_from_dict(values: dict[str, Any]) -> Layer:
    name = values.pop("type")
    if name not in LAYER_TYPES:
        raise SpecError(f"layer type {name!r} is not one of {', '.join(LAYER_TYPES)}")
    if values.get("connections") is not None:
        values["connections"] = tuple(tuple(row) for row in values["connections"])
    return LAYER_TYPES[name](**values)
