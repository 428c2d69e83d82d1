"""Initial weights, the same for every engine."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lenet.network.layers import Shape
from lenet.network.spec import Spec
from lenet.recipe import Recipe
from lenet.system import rng


def initial_weights(spec: Spec, recipe: Recipe) -> dict[str, NDArray[np.float32]]:
    """Weights from the recipe's initialiser and seed; biases as PyTorch draws them.

    Every array has a stream of its own, named by seed and array, so that two networks that share
    a layer's name and shape start from the same numbers there.
    """
    shapes, masks = spec.weight_shapes(), connection_masks(spec)
    weights = {}
    for name, shape in shapes.items():
        layer, part = name.rsplit(".", 1)
        if part == "weight":
            bound = weight_bound(recipe.initialiser, shape)
        else:
            bound = 1.0 / math.sqrt(_fans(shapes[f"{layer}.weight"])[0])
        weights[name] = rng.uniform(shape, bound, recipe.seed, "initial", name)
        if name in masks:
            weights[name] *= masks[name]
    return weights


def connection_masks(spec: Spec) -> dict[str, NDArray[np.float32]]:
    """By name of the weights of a connection table: 1 where a weight is, 0 where none is."""
    masks = {}
    shapes = spec.weight_shapes()
    for layer in spec.layers:
        if layer.connections is not None:
            name = f"{layer.name}.weight"
            masks[name] = np.zeros(shapes[name], np.float32)
            for output, inputs in enumerate(layer.connections):
                masks[name][output, list(inputs)] = 1.0
    return masks


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
