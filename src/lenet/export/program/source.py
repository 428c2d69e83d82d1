"""A network as the text of one C file: constants, a function for each block, three to call."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.errors import SpecError
from lenet.export.program.blocks import Block, blocks_of
from lenet.export.program.quantization import CURVES, IntegerNetwork, Stage
from lenet.network import Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH

LARGEST_ARRAY = 32_767
"""Bytes of one array: the most that a compiler with an `int` of 16 bits takes."""

LINE = 100
"""Letters."""

WHOLE = "LENET_SCORE_BITS"
"""In a file of whole numbers, and in no other."""

POWERS = 32
"""Entries of the table of e^-n."""

MOST_POOLED = 16
"""The side of a pooling of curves whose sums fit in 32 bits."""

TYPES = {"int8_t": 1, "uint8_t": 1, "uint16_t": 2, "int32_t": 4, "float": 4}
"""Of constants, with their bytes."""

FINISHES = {"average": "the mean of its sums' activations", "max": "the activation of the largest"}


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of where it comes from, in any text; see `comment`."""

    title: str
    lines: tuple[str, ...]
    convention: str = ""


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
        return operation if operation in ("convolution", "dense") else "pooling"

    @property
    def activation(self) -> str:
        return self.block.layer.activation

    @property
    def function(self) -> str:
        """Of the activation in floats; C has one of its own that is called tanh."""
        return "hyperbolic_tangent" if self.activation == "tanh" else self.activation

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
    def scaled(self) -> bool:
        return self.first and self.floats

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
        if self.kind == "pooling":
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


def write_floats(spec: Spec, weights: Weights, class_names: Sequence[str], origin: Origin) -> str:
    """The C file of a network in float32."""
    arrays = []
    plan = _Plan.of(spec, floats=True, bits=32)
    stages = []
    for number, block in enumerate(blocks_of(spec)):
        name = plan.names[number]
        parts: tuple[Part, ...] = ()
        if block.layer.operation in ("convolution", "dense"):
            matrix = weights[f"{block.name}.weight"].reshape(block.layer.outputs, -1)
            made, parts = _split("float", f"{name}_weights", matrix, float_literal)
            arrays += made
            bias = [float_literal(value) for value in weights[f"{block.name}.bias"]]
            arrays.append(Array("float", f"{name}_bias", bias))
        stages.append(plan.stage(number, parts, "0.0f", 0, (1, 1)))
    activations = {block.layer.activation for block in blocks_of(spec)}
    if activations & set(CURVES):
        powers = [float_literal(math.exp(-whole)) for whole in range(POWERS)]
        arrays.append(Array("float", "falling_powers", powers))
    return _render(plan, stages, arrays, class_names, origin, activations, score_bits=0)


def write_integers(network: IntegerNetwork, class_names: Sequence[str], origin: Origin) -> str:
    """The C file of a network in whole numbers.

    Raises:
        SpecError: if it pools curves over too large squares.
    """
    plan = _Plan.of(network.spec, floats=False, bits=network.bits)
    arrays: list[Array] = []
    stages = []
    for number, block in enumerate(blocks_of(network.spec)):
        stage, name = network.stages.get(block.name), plan.names[number]
        if stage is None:
            stages.append(plan.stage(number, (), "0", 0, (1, 1)))
            continue
        if stage.table is not None and block.averages and block.pool > MOST_POOLED:
            raise SpecError(
                f"layer {block.last} takes the mean of {block.pool}x{block.pool} values of a "
                f"curve: in whole numbers at most {MOST_POOLED}x{MOST_POOLED}; use floats"
            )
        made, parts = _stage_arrays(stage, name, network.bits)
        arrays += made
        zero = stage.rescaling.zero
        stages.append(plan.stage(number, parts, str(stage.border), zero, stage.slopes))
    activations = {block.layer.activation for block in blocks_of(network.spec)}
    score_bits = network.score_bits
    return _render(plan, stages, arrays, class_names, origin, activations, score_bits=score_bits)


def read_weights(spec: Spec, text: str) -> dict[str, list[str]]:
    """The constants of a C file's weights and biases as they are written, by name of the array.

    Names are the spec's, `C1.weight` and `C1.bias`; parts of an array are put together.
    """
    plan = _Plan.of(spec, floats=False, bits=0)
    written = {
        name: re.findall(r"[^\s,]+", numbers)
        for name, numbers in re.findall(r" (\w+)\[\d+\] = \{\n(.*?)\n\};", text, re.DOTALL)
    }
    found = {}
    for name, block in zip(plan.names, blocks_of(spec), strict=True):
        if block.layer.operation in ("convolution", "dense"):
            parts = [key for key in written if re.fullmatch(rf"{name}_weights(_\d+)?", key)]
            found[f"{block.name}.weight"] = [word for part in parts for word in written[part]]
            found[f"{block.name}.bias"] = written.get(f"{name}_bias", [])
    return found


def _stage_arrays(stage: Stage, name: str, bits: int) -> tuple[list[Array], tuple[Part, ...]]:
    kind, matrix = ("uint8_t", pack(stage.weights)) if bits == 4 else ("int8_t", stage.weights)
    arrays, parts = _split(kind, f"{name}_weights", matrix, str)
    arrays.append(Array("int32_t", f"{name}_bias", stage.bias.tolist()))
    rescaling = stage.rescaling
    arrays.append(Array("int32_t", f"{name}_multiplier", rescaling.multiplier.tolist()))
    arrays.append(Array("uint8_t", f"{name}_shift", rescaling.shift.tolist()))
    if stage.table is not None:
        arrays.append(Array("uint16_t", f"{name}_table", stage.table.tolist()))
    return arrays, parts


def pack(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """(outputs, products) of -8 to 7 as bytes: each plus 8, the first of two in the low half.

    An odd row ends with a weight of 0.
    """
    plus = weights + 8
    if plus.shape[1] % 2:
        plus = np.pad(plus, ((0, 0), (0, 1)), constant_values=8)
    return plus[:, ::2] + 16 * plus[:, 1::2]


def _split(
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


def float_literal(value: float) -> str:
    """A float32 as C reads it back to the same bits."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


@final
@dataclass(slots=True)
class _Plan:
    """Where each block's values lie in the working memory: in turns at its two ends."""

    spec: Spec
    floats: bool
    bits: int
    names: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, spec: Spec, *, floats: bool, bits: int) -> _Plan:
        blocks = blocks_of(spec)
        names = tuple(
            block.name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", block.name) else f"layer{n}"
            for n, block in enumerate(blocks, 1)
        )
        if len(set(names)) < len(names):
            names = tuple(f"layer{n}" for n in range(1, len(blocks) + 1))
        plan = cls(spec, floats, bits, names, 0)
        plan.size = max(sum(plan._sizes(number)) for number in range(len(blocks)))
        return plan

    def _sizes(self, number: int) -> tuple[int, int, int]:
        """Of input, scratch and output, in values; the pixels and the answers are the caller's."""
        stage = self._bare(number)
        given = 0 if stage.first else math.prod(stage.block.input_shape)
        handed = 0 if stage.last else math.prod(stage.block.output_shape)
        return given, stage.window_size + stage.filter_size, handed

    def _bare(self, number: int) -> StageText:
        return self.stage(number, (), "", 0, (1, 1), at=(0, 0, 0))

    def stage(
        self,
        number: int,
        parts: tuple[Part, ...],
        border: str,
        zero: int,
        slopes: tuple[int, int],
        at: tuple[int, int, int] | None = None,
    ) -> StageText:
        blocks = blocks_of(self.spec)
        input_at, output_at, scratch_at = at or self._places(number)
        return StageText(
            block=blocks[number],
            name=self.names[number],
            first=number == 0,
            last=number == len(blocks) - 1,
            floats=self.floats,
            bits=self.bits,
            parts=parts,
            flash="" if self.floats else "LENET_FLASH ",
            pixel_scale=float_literal(self.spec.pixel_scale),
            pixel_shift=float_literal(self.spec.pixel_shift),
            border=border,
            zero=zero,
            slopes=slopes,
            input_at=input_at,
            output_at=output_at,
            scratch_at=scratch_at,
        )

    def _places(self, number: int) -> tuple[int, int, int]:
        """Of input, output and scratch: blocks with an even number write at the end."""
        given, _, handed = self._sizes(number)
        if number % 2 == 0:
            return 0, self.size - handed, given
        return self.size - given, 0, handed


def _render(
    plan: _Plan,
    stages: list[StageText],
    arrays: list[Array],
    class_names: Sequence[str],
    origin: Origin,
    activations: set[str],
    *,
    score_bits: int,
) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lenet.export.program", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the text is C, whose own escapes are made here
    )
    bodies = environment.get_template("stages.c.jinja").module
    floats, spec = plan.floats, plan.spec
    answers = "logits" if floats else "scores"
    rows = [
        {
            "name": stage.name,
            "words": comment(stage.words),
            "arguments": stage.arguments,
            "call": stage.call(answers),
            "body": bodies.body(stage).strip("\n"),  # type: ignore[attr-defined]
        }
        for stage in stages
    ]
    return environment.get_template("network.c.jinja").render(
        title=comment(origin.title),
        origin=[comment(line) for line in origin.lines],
        convention=f": {comment(origin.convention)}" if origin.convention else "",
        floats=floats,
        bits=plan.bits,
        answers=answers,
        value="float" if floats else "uint8_t",
        sum="float" if floats else "int32_t",
        flash="" if floats else "LENET_FLASH ",
        input_shape=" x ".join(map(str, spec.input_shape)),
        pixels=math.prod(spec.input_shape),
        classes=spec.classes,
        score_bits=score_bits,
        working_bytes=plan.size * (4 if floats else 1),
        uses_working=any("working" in row["call"] for row in rows),
        constant_bytes=f"{sum(array.bytes for array in arrays):,}",
        layout=_layout(stages, floats, plan.bits),
        arrays=arrays,
        stages=rows,
        activations=activations,
        curves=bool(activations & set(CURVES)),
        to_byte=any(not stage.curve and not stage.last and stage.parts for stage in stages),
        class_names=[string_literal(name) for name in class_names],
        leaky_slope=float_literal(LEAKY_RELU_SLOPE),
        tanh_amplitude=float_literal(SCALED_TANH[0]),
        tanh_slope=float_literal(SCALED_TANH[1]),
        taylor=[float_literal(1.0 / math.factorial(degree)) for degree in range(9)],
    )


def _layout(stages: list[StageText], floats: bool, bits: int) -> list[str]:
    lines = ["NAME_weights  [output][channel][row][column], of a dense layer [output][input];"]
    if bits == 4:
        lines.append("              two in a byte, each plus 8, the first in the low half")
    if any(len(stage.parts) > 1 for stage in stages):
        lines.append(
            f"              in parts of at most {LARGEST_ARRAY:,} bytes: NAME_weights_1, ..."
        )
    lines.append("NAME_bias     [output]")
    if not floats:
        lines.append("NAME_multiplier, NAME_shift  [output]: from sums to bytes, at last to scores")
        if any(stage.curve for stage in stages):
            lines.append("NAME_table    256 times the byte of a curve, at 257 places")
    return lines


def comment(text: str) -> str:
    """`text` with nothing in it that could end a comment, or that a compiler could mind."""
    return re.sub(r"[^A-Za-z0-9 .,:;()+_=<>'-]", "_", text)


def string_literal(text: str) -> str:
    """`text` as a C string in UTF-8, whatever is in it."""
    found = ""
    for byte in text.encode("utf-8", "backslashreplace"):
        letter = chr(byte)
        plain = letter.isascii() and letter.isprintable() and letter not in '"\\?'
        found += letter if plain else f"\\{byte:03o}"
    return f'"{found}"'
