"""Initial weights, the same for every engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.network.layers import Shape
from lenet.network.spec import Spec
from lenet.recipe import Recipe
from lenet.system import rng


def initial_weights(spec: Spec, recipe: Recipe) -> dict[str, NDArray[np.float32]]:
    """Weights from the recipe's initialiser and seed; biases as PyTorch draws them.

    Every array has a stream of its own, named by seed and array, so that two networks that share
    a layer's name and shape start from the same numbers there.  The initialisers of 1998 have zero
    biases, and as fan-in the connections that a unit really has.  Coefficients of a subsampling
    begin all alike: as an average, or where the initialiser is of 1998 as its bound for one input
    map.
    """
    shapes, masks = spec.weight_shapes(), spec.masks()
    squares = {layer.name: layer.window**2 for layer in spec.layers}
    weights = {}
    for name, shape in shapes.items():
        layer, part = name.rsplit(".", 1)
        of_1998 = recipe.initialiser in _OF_1998
        if len(shapes[f"{layer}.weight"]) == 1 or (of_1998 and part == "bias"):
            value = 0.0 if part == "bias" else _coefficient(recipe.initialiser, squares[layer])
            weights[name] = np.full(shape, value, np.float32)
            continue
        if part == "bias":
            bound = 1.0 / math.sqrt(_fans(shapes[f"{layer}.weight"])[0])
        else:
            bound = 1.0 if of_1998 else weight_bound(recipe.initialiser, shape)
        weights[name] = rng.uniform(shape, bound, recipe.seed, "initial", name)
        if of_1998:
            weights[name] *= _bounds_of_1998(recipe.initialiser, shape, masks.get(name))
        if name in masks:
            weights[name] *= masks[name]
    return weights


_OF_1998: dict[str, Callable[[Any], Any]] = {
    "lecun_1998": lambda fan_in: 2.4 / fan_in,
    "lecun_1998_rates": lambda fan_in: 1.2 / np.sqrt(fan_in),
    "lush": lambda fan_in: 1.0 / np.sqrt(fan_in),
}
"""Half-width of the uniform distribution by fan-in.

lecun_1998: as LeCun et al. 1998 print it in appendix A.  lecun_1998_rates: the one with which the
effective rates of the first pass are those that the paper reports.  lush: that of the authors'
public code.
"""


def _bounds_of_1998(
    initialiser: str, shape: Shape, mask: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """A bound for each unit, of a shape that broadcasts to `shape`."""
    fan_in = np.full(shape[0], _fans(shape)[0], np.float64)
    if mask is not None:
        fan_in = mask.reshape(shape[0], -1).sum(axis=1, dtype=np.float64)
    bounds: NDArray[np.float32] = _OF_1998[initialiser](fan_in).astype(np.float32)
    return bounds.reshape(-1, *[1] * (len(shape) - 1))


def _coefficient(initialiser: str, inputs: int) -> float:
    if initialiser in _OF_1998:
        return float(_OF_1998[initialiser](inputs))
    return 1.0 / inputs


def weight_bound(initialiser: str, shape: Shape) -> float:
    """Half-width of the uniform distribution for weights of `shape`.

    xavier_uniform: Glorot and Bengio 2010, equation 16.  lecun_uniform: variance 1 / fan_in,
    LeCun et al. 1998 ("Efficient BackProp"), equation 16.  kaiming_uniform: variance 2 / fan_in,
    He et al. 2015, equation 10.
    """
    fan_in, fan_out = _fans(shape)
    variances = {
        "xavier_uniform": 2.0 / (fan_in + fan_out),
        "lecun_uniform": 1.0 / fan_in,
        "kaiming_uniform": 2.0 / fan_in,
    }
    return math.sqrt(3.0 * variances[initialiser])


def _fans(shape: Shape) -> tuple[int, int]:
    """Inputs of one output unit, and outputs fed by one input unit."""
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps
