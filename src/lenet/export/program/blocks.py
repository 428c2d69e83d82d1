"""A network as blocks: each layer with the pooling behind it, which a program computes together.

Each step of its preparation is a block before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lenet.network import Layer, Shape, Spec
from lenet.network.layers import FLAT, POOLINGS
from lenet.network.preparation import prepared_shape

WITH_WEIGHTS = ("convolution", "dense", "subsampling")
"""Operations of layers that have weights and biases."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """A step of the preparation, as far as it is like a layer."""

    activation: ClassVar[str] = "identity"
    outputs: ClassVar[int] = 0
    window: ClassVar[int] = 0
    padding: ClassVar[int] = 0

    operation: str

    @property
    def name(self) -> str:
        return self.operation


@final
@dataclass(frozen=True, slots=True)
class Block:
    """A layer and, where one follows a convolution, its pooling.

    Shapes are (channels, rows, columns) of what comes in and of what goes out.
    """

    layer: Layer | Step
    pooling: Layer | None
    input_shape: Shape
    output_shape: Shape

    @property
    def name(self) -> str:
        """Of the layer that computes sums, as `C1`."""
        return self.layer.name

    @property
    def last(self) -> str:
        """Of the layer whose output is the block's, as `S2`."""
        return self.name if self.pooling is None else self.pooling.name

    @property
    def pool(self) -> int:
        """The side of the squares that are pooled; 1 where none are."""
        return 1 if self.pooling is None else self.pooling.window

    @property
    def values(self) -> int:
        """How many values make one by their mean; 1 where none do."""
        return self.pool**2 if self.averages else 1

    @property
    def averages(self) -> bool:
        """Whether several values make one by their mean."""
        return self.pooling is not None and self.pooling.operation == "average" and self.pool > 1

    @property
    def products(self) -> int:
        """Weights of one output unit."""
        if self.layer.operation in FLAT:
            return math.prod(self.input_shape)
        if self.layer.operation == "subsampling":
            return 1
        return self.input_shape[0] * self.layer.window**2


def blocks_of(spec: Spec) -> tuple[Block, ...]:
    """The blocks in order; a pooling that follows no convolution is a block of its own."""
    blocks: list[Block] = []
    for place, step in enumerate(spec.preparation):
        before, after = (
            prepared_shape(spec.preparation[:count], spec.input_shape)
            for count in (place, place + 1)
        )
        blocks.append(Block(Step(step), None, before, after))
    shapes = [(row.input_shape, row.output_shape) for row in spec.counts()]
    for layer, (before, after) in zip(spec.layers, shapes, strict=True):
        last = blocks[-1] if blocks else None
        if (
            layer.operation in POOLINGS
            and last is not None
            and last.layer.operation == "convolution"
            and last.pooling is None
        ):
            blocks[-1] = Block(last.layer, layer, last.input_shape, after)
        else:
            blocks.append(Block(layer, None, before, after))
    return tuple(blocks)
