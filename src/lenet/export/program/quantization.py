"""From a trained network to one in whole numbers: 8-bit values, 8- or 4-bit weights.

A value v is stored as a byte q, v = step (q - zero), with one step and one zero a tensor; a weight
w as w = step q, symmetric about 0, with one step an output channel (Jacob et al. 2018,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
section 2; steps a channel: Krishnamoorthi 2018).  Sums of products are exact in 32 bits.  What a
layer hands on is rounded once, from those sums: activation, mean and change of step are one exact
product of 64 bits, and then one shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.errors import SpecError
from lenet.export.program.blocks import Block, blocks_of
from lenet.network import Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

Steps = dict[str, Floats]
"""By name of a layer with weights: what 1 stands for, one an output channel."""

Range = tuple[float, float]

BYTE = 255

SLOPES = {"identity": (1, 1), "relu": (1, 0), "leaky_relu": (round(1 / LEAKY_RELU_SLOPE), 1)}
"""How often sums above 0 and sums below 0 count, in activations that are two straight lines."""

CURVES = ("sigmoid", "tanh", "scaled_tanh")
"""Activations that are looked up."""

FINER = 256
"""Steps of a curve's table in one of a byte, and places between two entries of it."""

MOST_SUM = 2**31 - 1
MOST_PRODUCT = 2**62
MULTIPLIER_BITS = 31
MOST_SHIFT = 44

MOST_BIAS = 2**23
"""In units of its channel's sums; where weights are too small for it, their step is larger."""

SCORE_BITS = 16
"""A score is a logit in units of 2^-16, or of fewer bits where logits are huge."""


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """How whole numbers stand for real ones: value = step * (number - zero)."""

    step: float
    zero: float


@final
@dataclass(frozen=True, slots=True)
class Ranges:
    """Between which values a network works, by name of a layer: (lowest, highest).

    `outputs` are of what a layer hands on, `sums` of what comes into a curve.
    """

    outputs: dict[str, Range]
    sums: dict[str, Range]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rescaling:
    """For each output channel, what takes a sum s to a number of another scale, rounded once.

    The number is zero + floor(s * multiplier[o] / 2^shift[o] + 1/2).
    """

    multiplier: Integers
    shift: Integers
    zero: int


@final
@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A block in whole numbers.

    `weights` (outputs, products) are within -127 and 127, or -7 and 7; `bias` (outputs,) has the
    input's zero taken off already; `border` is the byte that stands for 0 where the input is
    padded.  `slopes` say how often sums above and below 0 count before `rescaling` makes a byte of
    them, of the last stage a score.  With a `table` (257,), whose entries are bytes times `FINER`,
    `rescaling` makes of each sum a place in it, from 0 to 65535: an entry times `FINER`, plus how
    far it is to the next one.
    """

    block: Block
    weights: Integers
    bias: Integers
    border: int
    slopes: tuple[int, int]
    rescaling: Rescaling
    table: Integers | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class IntegerNetwork:
    """A network in whole numbers; a logit is its score times 2^-`score_bits`.

    A block of the spec that only pools has no stage: `stages` maps names of blocks.
    """

    spec: Spec
    bits: int
    stages: dict[str, Stage]
    score_bits: int


def quantize(
    spec: Spec, weights: Weights, ranges: Ranges, bits: int = 8, steps: Steps | None = None
) -> IntegerNetwork:
    """`spec` in whole numbers, with the `steps` of its weights, or those that fit them best.

    Raises:
        SpecError: if something in it cannot be done in whole numbers of these sizes.
    """
    check_known(spec)
    steps = steps or weight_steps(spec, weights, bits)
    given, stages, score_bits = pixel_scale(spec), {}, SCORE_BITS
    blocks = blocks_of(spec)
    for block in blocks:
        if block.layer.operation not in ("convolution", "dense"):
            continue
        step = enlarged(steps[block.name], weights[f"{block.name}.bias"], given.step)
        matrix = to_grid(weights[f"{block.name}.weight"], step, bits)
        units = step * given.step
        bias = np.rint(weights[f"{block.name}.bias"] / units - given.zero * matrix.sum(axis=1))
        sums = Sums(block, matrix, bias.astype(np.int64), units)
        sums.check()
        if block is blocks[-1]:
            score_bits = sums.score_bits()
            stages[block.name] = sums.scores(border(block, given), score_bits)
        else:
            handed = byte_scale(*ranges.outputs[block.last])
            stages[block.name] = sums.bytes(border(block, given), handed, ranges)
            given = handed
    return IntegerNetwork(spec, bits, stages, score_bits)


def check_known(spec: Spec) -> None:
    """Refuse what is not known in whole numbers.

    Raises:
        SpecError: naming it.
    """
    curved = next((layer.name for layer in spec.layers if layer.activation == "silu"), None)
    unknown = spec.of_1998
    if curved is not None:
        unknown = f"layer {curved} (silu, whose largest value is not that of the largest sum)"
    if unknown is not None:
        raise SpecError(
            f"{spec.name}: {unknown} is not known in whole numbers; use floats (32 bits)"
        )


def weight_steps(spec: Spec, weights: Weights, bits: int) -> Steps:
    """The steps that leave the least squared error of each output channel's weights.

    With 8 bits the largest weight is the largest number; with 4 it may be cut.
    """
    most = 2 ** (bits - 1) - 1
    shares = np.linspace(0.4, 1.0, 61) if bits < 8 else np.ones(1)
    steps = {}
    for block in blocks_of(spec):
        if block.layer.operation in ("convolution", "dense"):
            matrix = weights[f"{block.name}.weight"].astype(np.float64)
            matrix = matrix.reshape(len(matrix), -1)
            largest = np.abs(matrix).max(axis=1) / most
            largest[largest == 0.0] = 1.0
            errors = [_squared_error(matrix, share * largest, bits) for share in shares]
            steps[block.name] = shares[np.argmin(errors, axis=0)] * largest
    return steps


def _squared_error(matrix: Floats, step: Floats, bits: int) -> Floats:
    difference = to_grid(matrix, step, bits) * step[:, None] - matrix
    error: Floats = (difference**2).sum(axis=1)
    return error


def to_grid(weights: NDArray[np.floating], step: Floats, bits: int) -> Integers:
    """(outputs, products): each weight as the nearest multiple of its channel's step."""
    most = 2 ** (bits - 1) - 1
    matrix = weights.astype(np.float64).reshape(len(weights), -1) / step[:, None]
    return np.clip(np.rint(matrix), -most, most).astype(np.int64)


def enlarged(step: Floats, bias: NDArray[np.floating], given: float) -> Floats:
    """Steps for which no bias is beyond `MOST_BIAS` sums."""
    return np.maximum(step, np.abs(bias.astype(np.float64)) / (given * MOST_BIAS))


def pixel_scale(spec: Spec) -> Scale:
    """What a pixel stands for.

    Raises:
        SpecError: if more light is a smaller number.
    """
    if spec.pixel_scale <= 0.0:
        raise SpecError(f"pixel_scale = {spec.pixel_scale}: in whole numbers it must be above 0")
    return Scale(spec.pixel_scale, -spec.pixel_shift / spec.pixel_scale)


def byte_scale(lowest: float, highest: float) -> Scale:
    """The scale whose bytes reach from `lowest` to `highest`."""
    return even_scale(lowest, highest, BYTE + 1)


def even_scale(lowest: float, highest: float, count: int) -> Scale:
    """The scale whose whole numbers from 0 to `count` - 1 reach from `lowest` to `highest`."""
    if not lowest < highest:
        lowest, highest = min(lowest, 0.0), max(highest, 0.0, lowest + 1.0)
    step = (highest - lowest) / (count - 1)
    return Scale(step, round(-lowest / step))


def border(block: Block, given: Scale) -> int:
    """The byte that stands for 0 beside the input of `block`.

    Raises:
        SpecError: if there must be one, and none does.
    """
    if not block.layer.padding:
        return 0
    zero = round(given.zero)
    if abs(given.zero - zero) > 1e-6 or not 0 <= zero <= BYTE:
        raise SpecError(
            f"layer {block.name} pads with 0, and no pixel is 0 with this pixel_scale and "
            f"pixel_shift ({given.zero:.3f} would be); use floats"
        )
    return zero


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What a block sums: whole numbers, each worth `units[o]`."""

    block: Block
    weights: Integers
    bias: Integers
    units: Floats

    def largest(self) -> Integers:
        """(outputs,): no sum is further from 0, whatever the image."""
        above = BYTE * self.weights.clip(min=0).sum(axis=1) + self.bias
        below = BYTE * self.weights.clip(max=0).sum(axis=1) + self.bias
        found: Integers = np.maximum(np.maximum(np.abs(above), np.abs(below)), 1)
        return found

    def check(self) -> None:
        """Refuse sums that would not fit in 32 bits, in whatever order they are added.

        Raises:
            SpecError: naming the layer.
        """
        worst = BYTE * np.abs(self.weights).sum(axis=1) + np.abs(self.bias)
        if int(worst.max()) * self.block.values > MOST_SUM:
            raise SpecError(
                f"layer {self.block.name} has {self.block.products:,} weights an output: their "
                "sums do not fit in 32 bits; use floats"
            )

    def bytes(self, border: int, handed: Scale, ranges: Ranges) -> Stage:
        """The stage that makes bytes of scale `handed` of the sums."""
        activation, count = self.block.layer.activation, self.block.values
        if activation in CURVES:
            place = even_scale(*ranges.sums[self.block.name], FINER * FINER)
            rescaling = self._rescaling(self.units / place.step, int(place.zero))
            table = curve(activation, place, handed)
            return Stage(self.block, self.weights, self.bias, border, (1, 1), rescaling, table)
        slopes = SLOPES[activation]
        factor = self.units / (handed.step * count * slopes[0])
        rescaling = self._rescaling(factor, int(handed.zero), count * slopes[0])
        return Stage(self.block, self.weights, self.bias, border, slopes, rescaling)

    def score_bits(self) -> int:
        """The bits behind the point that a score can have, at most `SCORE_BITS`."""
        largest = float((self.largest() * self.units).max())
        return min(SCORE_BITS, 30 - math.frexp(largest)[1])

    def scores(self, border: int, score_bits: int) -> Stage:
        """The stage that makes scores of the sums.

        Raises:
            SpecError: if it has an activation.
        """
        if self.block.layer.activation != "identity":
            raise SpecError(
                f"layer {self.block.name} gives the logits through {self.block.layer.activation}; "
                "in whole numbers they must be its sums: use floats"
            )
        rescaling = self._rescaling(self.units * 2.0**score_bits, 0)
        return Stage(self.block, self.weights, self.bias, border, (1, 1), rescaling)

    def _rescaling(self, factor: Floats, zero: int, times: int = 1) -> Rescaling:
        """The finest whole multipliers whose products with `times` sums fit in 64 bits."""
        shift = MULTIPLIER_BITS - np.frexp(factor)[1].astype(np.int64)
        room = MOST_PRODUCT / (self.largest().astype(np.float64) * times)
        while True:
            multiplier = np.rint(np.ldexp(factor, shift))
            over = (multiplier >= 2.0**MULTIPLIER_BITS) | (multiplier > room) | (shift > MOST_SHIFT)
            if not over.any():
                break
            shift = shift - over
        if shift.min() < 1:
            raise SpecError(f"layer {self.block.name}: its values grow too much for whole numbers")
        return Rescaling(multiplier.astype(np.int64), shift, zero)


def curve(activation: str, place: Scale, handed: Scale) -> Integers:
    """(257,): at every `FINER`th place the activation, as bytes of scale `handed` times `FINER`."""
    values = place.step * (FINER * np.arange(FINER + 1, dtype=np.float64) - place.zero)
    answers = FINER * (handed.zero + activate(activation, values) / handed.step)
    return np.clip(np.rint(answers), 0, FINER * BYTE).astype(np.int64)


def activate(activation: str, values: Floats) -> Floats:
    """The curve itself."""
    if activation == "sigmoid":
        found: Floats = 0.5 + 0.5 * np.tanh(0.5 * values)
    else:
        amplitude, slope = (1.0, 1.0) if activation == "tanh" else SCALED_TANH
        found = amplitude * np.tanh(slope * values)
    return found
