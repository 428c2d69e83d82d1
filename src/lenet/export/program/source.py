"""A network as the text of one C file: constants, a function for each block, three to call."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from lenet.engines.base import Weights
from lenet.errors import SpecError
from lenet.export.program.arrays import (
    LARGEST_ARRAY,
    Array,
    Part,
    float_literal,
    pack,
    split_rows,
    whole_literal,
)
from lenet.export.program.blocks import WITH_WEIGHTS, blocks_of
from lenet.export.program.plan import Plan
from lenet.export.program.quantization import CURVES, IntegerNetwork, Stage
from lenet.export.program.stage_text import StageText
from lenet.network import Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH, RadialBasis

WHOLE = "LENET_SCORE_BITS"
"""In a file of whole numbers, and in no other."""

POWERS = 32
"""Entries of the table of e^-n."""

BY_POWERS = {*CURVES, "silu"}
"""Activations that need e^-x."""

MOST_POOLED = 16
"""The side of a pooling of curves whose sums fit in 32 bits."""


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of where it comes from, in any text; see `comment`."""

    title: str
    lines: tuple[str, ...]
    convention: str = ""


def write_floats(spec: Spec, weights: Weights, class_names: Sequence[str], origin: Origin) -> str:
    """The C file of a network in float32."""
    arrays = []
    plan = Plan.of(spec, floats=True, bits=32)
    stages = []
    for number, block in enumerate(blocks_of(spec)):
        name = plan.names[number]
        parts: tuple[Part, ...] = ()
        if isinstance(block.layer, RadialBasis):
            made, parts = split_rows(
                "int8_t", f"{name}_centres", block.layer.centres(), whole_literal
            )
            arrays += made
        elif block.layer.operation in WITH_WEIGHTS:
            weight = weights[f"{block.name}.weight"]
            matrix = weight.reshape(len(weight), -1)
            made, parts = split_rows("float", f"{name}_weights", matrix, float_literal)
            arrays += made
            bias = [float_literal(value) for value in weights[f"{block.name}.bias"]]
            arrays.append(Array("float", f"{name}_bias", bias))
        stages.append(plan.stage(number, parts, "0.0f", 0, (1, 1)))
    activations = {block.layer.activation for block in blocks_of(spec)}
    if activations & BY_POWERS:
        powers = [float_literal(math.exp(-whole)) for whole in range(POWERS)]
        arrays.append(Array("float", "falling_powers", powers))
    return _render(plan, stages, arrays, class_names, origin, activations, score_bits=0)


def write_integers(network: IntegerNetwork, class_names: Sequence[str], origin: Origin) -> str:
    """The C file of a network in whole numbers.

    Raises:
        SpecError: if it pools curves over too large squares.
    """
    plan = Plan.of(network.spec, floats=False, bits=network.bits)
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
    plan = Plan.of(spec, floats=False, bits=0)
    written = {
        name: re.findall(r"[^\s,]+", numbers)
        for name, numbers in re.findall(r" (\w+)\[\d+\] = \{\n(.*?)\n\};", text, re.DOTALL)
    }
    found = {}
    for name, block in zip(plan.names, blocks_of(spec), strict=True):
        if block.layer.operation in WITH_WEIGHTS:
            parts = [key for key in written if re.fullmatch(rf"{name}_weights(_\d+)?", key)]
            found[f"{block.name}.weight"] = [word for part in parts for word in written[part]]
            found[f"{block.name}.bias"] = written.get(f"{name}_bias", [])
    return found


def _stage_arrays(stage: Stage, name: str, bits: int) -> tuple[list[Array], tuple[Part, ...]]:
    kind, matrix = ("uint8_t", pack(stage.weights)) if bits == 4 else ("int8_t", stage.weights)
    arrays, parts = split_rows(kind, f"{name}_weights", matrix, str)
    arrays.append(Array("int32_t", f"{name}_bias", stage.bias.tolist()))
    rescaling = stage.rescaling
    arrays.append(Array("int32_t", f"{name}_multiplier", rescaling.multiplier.tolist()))
    arrays.append(Array("uint8_t", f"{name}_shift", rescaling.shift.tolist()))
    if stage.table is not None:
        arrays.append(Array("uint16_t", f"{name}_table", stage.table.tolist()))
    return arrays, parts


def _render(
    plan: Plan,
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
        shrinks="shrink" in spec.preparation,
        curves=bool(activations & (BY_POWERS if floats else set(CURVES))),
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
    kinds = {stage.kind for stage in stages}
    if "subsampling" in kinds:
        lines.append("              of a subsampling [map]: its coefficients;")
    lines.append("NAME_bias     [output]")
    if "radial_basis" in kinds:
        lines.append("NAME_centres  [class][input]")
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
