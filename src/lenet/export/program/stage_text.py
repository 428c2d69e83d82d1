"""What the templates ask of a block: its sizes, its names, and where its values lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lenet.export.program.arrays import Part, float_literal
from lenet.export.program.blocks import Block
from lenet.export.program.quantization import CURVES
from lenet.network.layers import POOLINGS, RadialBasis
from lenet.network.preparation import MARGIN

WORDS = {
    "frame": "background on every side",
    "shrink": "the picture at four fifths of its size, in the middle",
    "subsampling": "sums over {size}x{size}, times a coefficient, plus a bias, {activation}",
    "radial_basis": "squared distances to fixed centres",
}
"""What a function does that only networks of 1998 have."""


@final
@dataclass(frozen=True, slots=True)
class StageText:
    """What the template asks of a block; see `stages.c.jinja`.

    Sizes are in values.  `width` and `plane` lead from one input row and one channel to the next;
    `lines` are the input rows of one row of outputs, which lie in `window` where they need a border
    or are pixels that become floats; `row` is the length of one output's weights.
    """

    block: Block
    name: str
    first: bool
    scaled: bool
    last: bool
    floats: bool
    bits: int
    parts: tuple[Part, ...]
    flash: str
    pixel_scale: str
    pixel_shift: str
    border: str
    zero: int
    slopes: tuple[int, int]
    input_at: int
    output_at: int
    scratch_at: int

    @property
    def kind(self) -> str:
        operation = self.block.layer.operation
        return "pooling" if operation in POOLINGS else operation

    @property
    def activation(self) -> str:
        return self.block.layer.activation

    @property
    def function(self) -> str:
        """Of the activation in floats; C has one of its own that is called tanh."""
        return "hyperbolic_tangent" if self.activation == "tanh" else self.activation

    @property
    def falls(self) -> bool:
        """Whether the largest sum need not have the largest value."""
        return self.activation == "silu"

    @property
    def curve(self) -> bool:
        return self.activation in CURVES

    @property
    def pooling(self) -> str:
        layer = self.block.layer if self.kind == "pooling" else self.block.pooling
        return "" if layer is None else layer.operation

    @property
    def packed(self) -> bool:
        return self.bits == 4

    @property
    def value(self) -> str:
        return "float" if self.floats else "uint8_t"

    @property
    def weight(self) -> str:
        return "float" if self.floats else "int8_t"

    @property
    def sum(self) -> str:
        return "float" if self.floats else "int32_t"

    @property
    def inputs(self) -> int:
        return self.block.input_shape[0]

    @property
    def rows(self) -> int:
        return self.block.input_shape[1]

    @property
    def columns(self) -> int:
        return self.block.input_shape[2]

    @property
    def outputs(self) -> int:
        return self.block.output_shape[0]

    @property
    def out_rows(self) -> int:
        return self.block.output_shape[1]

    @property
    def out_columns(self) -> int:
        return self.block.output_shape[2]

    @property
    def kernel(self) -> int:
        return self.block.layer.window

    @property
    def padding(self) -> int:
        return self.block.layer.padding

    @property
    def pool(self) -> int:
        return self.block.pool

    @property
    def products(self) -> int:
        return self.block.products

    @property
    def copies(self) -> int:
        return self.block.layer.outputs

    @property
    def scale(self) -> str:
        layer = self.block.layer
        return float_literal(layer.scale) if isinstance(layer, RadialBasis) else ""

    @property
    def margin(self) -> int:
        return MARGIN

    @property
    def row(self) -> int:
        return (self.products + 1) // 2 if self.packed else self.products

    @property
    def unrolled(self) -> int:
        return next(step for step in (4, 3, 2, 1) if self.products % step == 0)

    @property
    def windowed(self) -> bool:
        return self.kind == "convolution" and (self.padding > 0 or self.scaled)

    @property
    def lines(self) -> int:
        return self.pool - 1 + self.kernel

    @property
    def width(self) -> int:
        return self.columns + 2 * self.padding

    @property
    def plane(self) -> int:
        return self.width * (self.lines if self.windowed else self.rows)

    @property
    def window_size(self) -> int:
        return self.inputs * self.plane if self.windowed else 0

    @property
    def filter_size(self) -> int:
        return self.products if self.packed and self.kind == "convolution" else 0

    @property
    def sums(self) -> list[str]:
        """The names of the sums that make one value, row by row."""
        side = range(self.pool)
        if self.pool == 1:
            return ["sum"]
        return [f"sum_{row}_{column}" for row in side for column in side]

    def offset(self, index: int) -> str:
        """From the input of the first sum to that of the sum with `index`, as ` + 33`."""
        row, column = divmod(index, self.pool)
        distance = self.width * row + column
        return f" + {distance}" if distance else ""

    @property
    def words(self) -> str:
        """What the function does, for a comment."""
        before, after = ("x".join(map(str, shape)) for shape in self._shapes)
        if self.kind in WORDS:
            what = WORDS[self.kind].format(size=self.kernel, activation=self.activation)
        elif self.kind == "pooling":
            what = f"{self.pooling} of {self.kernel}x{self.kernel}"
        elif self.kind == "dense":
            what = f"dense, {self.activation}"
        else:
            what = f"convolution {self.kernel}x{self.kernel}, {self.activation}"
            if self.pool > 1:
                what += f"; then {self.pooling} of {self.pool}x{self.pool}"
        return f"{self.name}: {before} to {after}; {what}."

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.block.input_shape, self.block.output_shape

    @property
    def arguments(self) -> str:
        """As the function declares them."""
        given = "const uint8_t" if self.first else f"const {self.value}"
        words = [f"{given} *input"]
        words += [f"{self.value} *window"] if self.window_size else []
        words += ["int8_t *filter"] if self.filter_size else []
        handed = self.sum if self.last else self.value
        return ", ".join([*words, f"{handed} *output"])

    def call(self, answers: str) -> str:
        """What it is called with: parts of the working memory."""
        words = ["pixels" if self.first else f"working + {self.input_at}"]
        at = self.scratch_at
        if self.window_size:
            words.append(f"working + {at}")
        if self.filter_size:
            words.append(f"(int8_t *)working + {at + self.window_size}")
        words.append(answers if self.last else f"working + {self.output_at}")
        return ", ".join(words)
