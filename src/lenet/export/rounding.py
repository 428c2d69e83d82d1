"""What the weights mean, in float64, and how far a program in float32 may come from it.

The bound is derived from the weights and from what the layers answer: each rounding of float32 is
a random error of at most u = 2^-24 that knows nothing of the others (Higham and Mary, A New
Approach to Probabilistic Rounding Error Analysis, 2019, model 2.1), so that variances add up.  A
sum of n products p that comes to T, taken in random order, has partial sums k whose squares are
(k/n)^2 T^2 + (k/n)(1 - k/n) Q on the average, Q = sum p^2; all n of them rounded, and the products
too, that is a variance of u^2 (n (T^2 / 3 + Q / 6) + Q).  What comes in with a variance v adds
w^2 v, and an activation multiplies by the square of its greatest slope.

The worst case, where every error has the worst sign, is rigorous and a hundred thousand times wider
than any program is off: it would let wrong files pass.  A bound that is too narrow can refuse a
right file, and never lets a wrong one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.errors import UsageError
from lenet.export.base import Expected, Images, Reference
from lenet.network import Layer, Shape, Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH, RadialBasis
from lenet.network.preparation import prepare

Array = NDArray[np.float64]

UNIT = 2.0**-24
"""The unit roundoff of float32."""

FUNCTION_ERROR = 2.0**-22
"""What an exponential, a sigmoid or a tanh of a runtime is off by: two units in the last place of
1, as a deviation."""

SILU_SLOPE = 1.1
"""A little over the greatest slope of a sigmoid(a), 1.0998 at a = 2.4."""

DEVIATIONS = 8
"""Of how many standard deviations the bound is: 2 exp(-8^2 / 2) = 3e-14 of the answers are beyond
it (Hoeffding 1963, theorem 2)."""

PIXEL_ROUNDINGS = 6
"""From a stored pixel to what C1 reads: a fraction, scale and shift, each rounded and used."""

BATCH = 128
"""Images at a time, so that their windows stay in a few hundred megabytes."""

DERIVATION = (
    "float32 around the answers of float64 to the same weights: a sum of n products that comes to "
    "T has the variance u^2 (n (T^2 / 3 + Q / 6) + Q), u = 2^-24, Q = sum w^2 a^2 + b^2, with the "
    "largest |T| and |a| of 128 images, besides sum w^2 v of the variances v that come in, all "
    "times the square of the activation's greatest slope; a sigmoid or tanh adds (2^-22)^2; the "
    "bound is 8 standard deviations (Higham and Mary 2019, model 2.1; Hoeffding 1963, theorem 2)"
)

OF_PROBABILITIES = (
    "; a probability p is then within p (exp(2 e + (classes + 8 + r) u) - 1), where e bounds the "
    "logits and r is their range"
)


@dataclass(frozen=True, slots=True)
class Layered:
    """A layer's outputs (n, channels, rows, columns), and the variance of their errors.

    `variance` (1, channels, rows, columns) holds for each of the n.
    """

    right: Array
    variance: Array

    @property
    def largest(self) -> Array:
        """By unit, the largest of its answers to the images: (1, channels, rows, columns)."""
        found: Array = np.abs(self.right).max(axis=0, keepdims=True)
        return found


def float_reference(spec: Spec, weights: Weights, *, probabilities: bool = False) -> Reference:
    """What a float32 program for this network must answer: logits, or `probabilities`."""

    def answer(images: Images) -> Expected:
        parts = [
            _answer(spec, weights, images[start : start + BATCH], probabilities)
            for start in range(0, len(images), BATCH)
        ]
        return Expected(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    return Reference(answer, DERIVATION + (OF_PROBABILITIES if probabilities else ""))


def _answer(
    spec: Spec, weights: Weights, images: Images, probabilities: bool
) -> tuple[Array, Array]:
    values = _pixels(spec, images)
    for layer in spec.layers:
        if layer.operation not in _LAYERS:
            raise UsageError(f"layer {layer.name}: no bound is known for {layer.operation!r}")
        values = _LAYERS[layer.operation](layer, weights, values)
    logits = values.right.reshape(len(images), -1)
    bound = DEVIATIONS * np.sqrt(values.variance).reshape(1, -1)
    if probabilities:
        return _probabilities(logits, bound)
    return logits, np.repeat(bound, len(images), axis=0)


def _pixels(spec: Spec, images: Images) -> Layered:
    scaled = prepare(spec.preparation, images) * np.float64(spec.pixel_scale)
    size = np.abs(scaled).max(axis=0, keepdims=True) + abs(spec.pixel_shift)
    return Layered(scaled + spec.pixel_shift, PIXEL_ROUNDINGS * (UNIT * size) ** 2)


def _convolution(layer: Layer, weights: Weights, values: Layered) -> Layered:
    kernels = weights[f"{layer.name}.weight"].reshape(layer.outputs, -1)
    after = layer.output_shape(values.right.shape[1:])
    return _units(layer, weights, values, kernels, lambda maps: _windows(layer, maps), after)


def _windows(layer: Layer, maps: Array) -> Array:
    """(n, taps, positions): what each position of the kernel sees."""
    size, padding = layer.window, layer.padding
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    found = np.lib.stride_tricks.sliding_window_view(np.pad(maps, border), (size, size), (2, 3))
    count, channels, rows, columns = found.shape[:4]
    taps = found.transpose(0, 1, 4, 5, 2, 3)
    return taps.reshape(count, channels * size * size, rows * columns)


def _dense(layer: Layer, weights: Weights, values: Layered) -> Layered:
    matrix = weights[f"{layer.name}.weight"]
    return _units(
        layer, weights, values, matrix, lambda maps: maps.reshape(len(maps), -1, 1),
        (layer.outputs, 1, 1),
    )  # fmt: skip


def _units(
    layer: Layer,
    weights: Weights,
    values: Layered,
    matrix: NDArray[np.float32],
    spread: Callable[[Array], Array],
    after: Shape,
) -> Layered:
    """Sums of products, then the activation; the variances are those at the top."""
    exact, terms = matrix.astype(np.float64), matrix.shape[1] + 1
    bias = weights[f"{layer.name}.bias"].astype(np.float64)[:, None]
    right = exact @ spread(values.right) + bias
    total = np.abs(right).max(axis=0, keepdims=True)
    squares = exact**2 @ spread(values.largest**2) + bias**2
    rounding = UNIT**2 * (terms * (total**2 / 3.0 + squares / 6.0) + squares)
    variance = exact**2 @ spread(values.variance) + rounding
    return _activate(layer.activation, right.reshape(-1, *after), variance.reshape(1, *after))


def _activate(name: str, right: Array, variance: Array) -> Layered:
    if name == "identity":
        return Layered(right, variance)
    if name == "relu":
        return Layered(np.maximum(right, 0.0), variance)
    rounding = (UNIT * np.abs(right).max(axis=0, keepdims=True)) ** 2
    if name == "leaky_relu":
        return Layered(np.where(right > 0, right, LEAKY_RELU_SLOPE * right), variance + rounding)
    if name == "sigmoid":  # by tanh, which knows no overflow
        return Layered(0.5 + 0.5 * np.tanh(0.5 * right), variance / 16 + FUNCTION_ERROR**2)
    if name == "silu":  # the error of its sigmoid is multiplied by what it reads
        function = FUNCTION_ERROR**2 * np.abs(right).max(axis=0, keepdims=True) ** 2
        answers = right * (0.5 + 0.5 * np.tanh(0.5 * right))
        return Layered(answers, SILU_SLOPE**2 * variance + 2 * rounding + function)
    amplitude, slope = (1.0, 1.0) if name == "tanh" else SCALED_TANH
    inside = slope**2 * (variance + 2 * rounding)
    return Layered(amplitude * np.tanh(slope * right), amplitude**2 * (inside + FUNCTION_ERROR**2))


def _pooling(layer: Layer, weights: Weights, values: Layered) -> Layered:
    right, variance = _blocks(layer, values.right), _blocks(layer, values.variance)
    if layer.operation == "max":
        return Layered(right.max(axis=(3, 5)), variance.max(axis=(3, 5)))
    size = _blocks(layer, values.largest).mean(axis=(3, 5))
    # Neighbours see nearly the same: their errors may well be one, and are not averaged away.
    rounding = (layer.window**2 + 1) * (UNIT * size) ** 2
    return Layered(right.mean(axis=(3, 5)), variance.mean(axis=(3, 5)) + rounding)


def _subsampling(layer: Layer, weights: Weights, values: Layered) -> Layered:
    """Coefficient times sum, plus bias, then the activation; a square's errors are as a mean's."""
    taps = layer.window**2

    def sums(maps: Array) -> Array:
        found: Array = _blocks(layer, maps).sum(axis=(3, 5))
        return np.repeat(found, layer.outputs, axis=1)

    factor, bias = (
        weights[f"{layer.name}.{part}"].astype(np.float64)[None, :, None, None]
        for part in ("weight", "bias")
    )
    right = factor * sums(values.right) + bias
    size = np.abs(factor) * sums(values.largest) + np.abs(bias)
    rounding = (taps + 3) * (UNIT * size) ** 2
    variance = factor**2 * taps * sums(values.variance) + rounding
    return _activate(layer.activation, right, variance)


def _distances(layer: Layer, weights: Weights, values: Layered) -> Layered:
    """Squared differences from each centre: a difference d with the variance v has 4 d^2 v."""
    assert isinstance(layer, RadialBasis)
    centres = layer.centres().astype(np.float64)[None]
    apart = values.right.reshape(len(values.right), 1, -1) - centres
    squares = apart**2
    largest, total = squares.max(axis=0), squares.sum(axis=2).max(axis=0)
    terms, fourth = centres.shape[2], (largest**2).sum(axis=1)
    rounding = UNIT**2 * (terms * (total**2 / 3.0 + fourth / 6.0) + fourth)
    comes_in = values.variance.reshape(1, -1) + UNIT**2 * largest
    variance = layer.scale**2 * ((4.0 * largest * comes_in).sum(axis=1) + rounding)
    right = -layer.scale * squares.sum(axis=2)
    return Layered(right[:, :, None, None], variance[None, :, None, None])


def _blocks(layer: Layer, maps: Array) -> Array:
    """(n, channels, rows, size, columns, size): the squares; what is left of them is dropped."""
    size, (count, channels, rows, columns) = layer.window, maps.shape
    rows, columns = rows // size, columns // size
    kept = maps[:, :, : rows * size, : columns * size]
    return kept.reshape(count, channels, rows, size, columns, size)


_LAYERS: dict[str, Callable[[Layer, Weights, Layered], Layered]] = {
    "convolution": _convolution,
    "dense": _dense,
    "average": _pooling,
    "max": _pooling,
    "subsampling": _subsampling,
    "radial_basis": _distances,
}


def _probabilities(logits: Array, bound: Array) -> tuple[Array, Array]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    found = powers / powers.sum(axis=1, keepdims=True)
    roundings = logits.shape[1] + 8 - shifted.min(axis=1, keepdims=True)
    worst = 2.0 * bound.max() + roundings * UNIT
    smallest = math.ldexp(1.0, -126)  # what is below it, float32 may take for 0
    return found, found * np.expm1(worst) + smallest
