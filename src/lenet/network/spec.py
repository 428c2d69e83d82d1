"""A network as data: its layers in order, and the shapes and counts that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.errors import SpecError
from lenet.network import layers, preparation
from lenet.network.layers import Layer, LayerCounts, RadialBasis, Shape
from lenet.system.facts import as_type, shown


@final
@dataclass(frozen=True, slots=True)
class Spec:
    """A network: input size, preparation, pixel scaling and layers.

    `preparation` are the steps of `network.preparation` that an image goes through first.  Then a
    pixel p (0 to 255) enters the network as `p * pixel_scale + pixel_shift`.

    Raises:
        SpecError: if a layer does not fit, names repeat, or the last layer has no output a class.

    """

    name: str
    channels: int
    height: int
    width: int
    layers: tuple[Layer, ...]
    pixel_scale: float = 1.0 / 255.0
    pixel_shift: float = 0.0
    preparation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        layers.settle(self, f"network {self.name!r}")
        self._settle_layers()
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise SpecError(f"{self.name}: layer names repeat in {names}; give each layer its own")
        if min(self.input_shape) < 1:
            raise SpecError(f"{self.name}: input {self.input_shape} must be at least 1x1x1")
        if not self.layers or self.layers[-1].operation not in ("dense", "radial_basis"):
            raise SpecError(
                f"{self.name}: the last layer must be dense or radial_basis, one output per class"
            )
        if "radial_basis" in (layer.operation for layer in self.layers[:-1]):
            raise SpecError(f"{self.name}: radial_basis must be the last layer")
        preparation.check(self.preparation, self.name)
        if not (math.isfinite(self.pixel_scale) and math.isfinite(self.pixel_shift)):
            raise SpecError(f"{self.name}: pixel_scale and pixel_shift must be finite numbers")
        for layer, shape in self._walk():
            layer.check(shape)
            if min(layer.output_shape(shape)) < 1:
                raise SpecError(
                    f"layer {layer.name}: nothing is left of its input {shape}; "
                    "use a larger picture"
                )

    def _settle_layers(self) -> None:
        given: Any = self.layers
        if not isinstance(given, list | tuple) or not all(map(layers.is_layer, given)):
            raise SpecError(
                f"{self.name}: layers = {shown(given)}: it must be a tuple of layers, as "
                "(Dense('output', 10),)"
            )
        object.__setattr__(self, "layers", tuple(given))

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of one image."""
        return (self.channels, self.height, self.width)

    @property
    def prepared_shape(self) -> Shape:
        """(channels, height, width) of what the first layer reads."""
        return preparation.prepared_shape(self.preparation, self.input_shape)

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.layers[-1].outputs

    @property
    def distances(self) -> RadialBasis | None:
        """The layer of distances that it ends in, or None where its last outputs are logits."""
        last = self.layers[-1]
        return last if isinstance(last, RadialBasis) else None

    @property
    def of_1998(self) -> str | None:
        """The first thing in it that only networks of 1998 have, in words; None if nothing.

        Those of today have convolutions, poolings and whole dense layers, and no preparation; a
        table of connections is to them a kernel with zeros.
        """
        for layer in self.layers:
            is_partial = layer.operation == "dense" and f"{layer.name}.weight" in self.masks()
            if layer.operation not in _OF_TODAY or is_partial:
                return f"layer {layer.name} ({layer.describe((0, 0, 0))})"
        return f"the preparation ({', '.join(self.preparation)})" if self.preparation else None

    def _walk(self) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape that enters it."""
        shape = self.prepared_shape
        for layer in self.layers:
            yield layer, shape
            shape = layer.output_shape(shape)

    def counts(self) -> tuple[LayerCounts, ...]:
        """Shapes and counts of each layer, in order."""
        return tuple(layer.counts(shape) for layer, shape in self._walk())

    def weight_shapes(self) -> dict[str, Shape]:
        """Name -> shape of every array of weights, in the order of the layers.

        `C1.weight` is (outputs, inputs, rows, columns), `F6.weight` is (outputs, inputs), and a
        bias is (outputs,): the shapes of PyTorch's `state_dict`.
        """
        return {
            f"{layer.name}.{name}": weight
            for layer, shape in self._walk()
            for name, weight in layer.weight_shapes(shape).items()
        }

    def masks(self) -> dict[str, NDArray[np.float32]]:
        """By name of the weights that lack connections: 1 where one is, 0 where none is."""
        found = {f"{layer.name}.weight": layer.mask(shape) for layer, shape in self._walk()}
        return {name: mask for name, mask in found.items() if mask is not None}

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
        head = {key: getattr(self, key) for key in _HEAD}
        if not self.preparation:  # as those who wrote it before there was any
            head.pop("preparation")
        return {**head, "layers": [layers.to_dict(layer) for layer in self.layers]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """Read what `to_dict` wrote.

        Raises:
            SpecError: on unknown or missing keys, or layers that do not fit.

        """
        try:
            rows = tuple(layers.from_dict(layer) for layer in values["layers"])
            rest = {
                key: as_type(_HEAD.get(key, object), value, key)
                for key, value in values.items()
                if key != "layers"
            }
            return cls(layers=rows, **rest)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise SpecError(f"not the description of a network: {error}") from error


_OF_TODAY = ("convolution", "average", "max", "dense")
"""The operations of layers that every export and the page know."""

_HEAD: dict[str, Any] = {
    "name": str, "channels": int, "height": int, "width": int,
    "pixel_scale": float, "pixel_shift": float, "preparation": tuple[str, ...],
}  # fmt: skip
