"""Between which values a trained network works, measured on train images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Engine
from lenet.export.program.blocks import blocks_of
from lenet.export.program.quantization import BYTE, CURVES, Floats, Range, Ranges, byte_scale
from lenet.network import Spec
from lenet.network.layers import SCALED_TANH
from lenet.system import rng

IMAGES = 2048
"""Train images that are measured."""

SHARES = np.linspace(0.6, 1.0, 41)
"""Parts of the whole range that are tried."""

ROUNDING = 2.0**-12
"""Ranges are rounded to this part of themselves: engines differ in the last bits, and a file that
is made again must be the same."""

SATURATION = 8.0
"""No answer in bytes of a curve changes beyond it."""

ALMOST_1 = 1.0 - 1e-9


def measure_ranges(spec: Spec, engine: Engine, images: NDArray[np.uint8]) -> Ranges:
    """Where bytes are closer to all values with the rarest of them cut, these are cut."""
    chosen = np.sort(rng.permutation(len(images), 0, "ranges")[:IMAGES])
    found = engine.activations(engine.place(images[chosen]))
    outputs, sums = {}, {}
    for block in blocks_of(spec):
        outputs[block.last] = closest_range(found[block.last].astype(np.float64).ravel())
        if block.layer.activation in CURVES:
            before = invert(block.layer.activation, found[block.name].astype(np.float64))
            sums[block.name] = _rounded(float(before.min()), float(before.max()))
    return Ranges(outputs, sums)


def closest_range(values: Floats) -> Range:
    """The range whose bytes have the least squared error from `values` (n,)."""
    lowest, highest = float(values.min()), float(values.max())
    middle = min(max(0.0, lowest), highest)
    errors = []
    for share in SHARES:
        scale = byte_scale(middle + share * (lowest - middle), middle + share * (highest - middle))
        near = np.clip(np.rint(values / scale.step + scale.zero), 0, BYTE)
        errors.append(float(np.mean(((near - scale.zero) * scale.step - values) ** 2)))
    share = SHARES[int(np.argmin(errors))]
    return _rounded(middle + share * (lowest - middle), middle + share * (highest - middle))


def invert(activation: str, answers: Floats) -> Floats:
    """What came into a curve, as far as that can still be seen, and within `SATURATION`."""
    if activation == "sigmoid":
        found = 2.0 * np.arctanh(np.clip(2.0 * answers - 1.0, -ALMOST_1, ALMOST_1))
    else:
        amplitude, slope = (1.0, 1.0) if activation == "tanh" else SCALED_TANH
        found = np.arctanh(np.clip(answers / amplitude, -ALMOST_1, ALMOST_1)) / slope
    return np.clip(found, -SATURATION, SATURATION)


def _rounded(lowest: float, highest: float) -> Range:
    return _outward(lowest), _outward(highest)


def _outward(value: float) -> float:
    """`value`, its magnitude up to 12 bits, further from 0."""
    part, power = math.frexp(value)
    return math.copysign(math.ldexp(math.ceil(abs(part) / ROUNDING) * ROUNDING, power), value)
