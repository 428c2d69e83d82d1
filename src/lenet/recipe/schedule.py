"""The steps of an epoch and their learning rates: pure functions of how far a training has come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lenet.recipe.recipe import Recipe
from lenet.system import rng

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4 / 25
"""First and last rate of one cycle as parts of the peak: the defaults of PyTorch's OneCycleLR."""


def constant(progress: float, epoch: int, recipe: Recipe) -> float:
    """1, always."""
    return 1.0


def step(progress: float, epoch: int, recipe: Recipe) -> float:
    """`step_factor` to the power of the completed blocks of `step_epochs` epochs."""
    return float(recipe.step_factor ** ((epoch - 1) // recipe.step_epochs))


def cosine(progress: float, epoch: int, recipe: Recipe) -> float:
    """Half a cosine from 1 to 0: Loshchilov and Hutter 2017 (SGDR), equation 5, no restart."""
    return _anneal(1.0, 0.0, progress)


def one_cycle(progress: float, epoch: int, recipe: Recipe) -> float:
    """Up to the peak and down to almost nothing, both along a cosine: Smith and Topin 2018."""
    peak = recipe.warmup_fraction
    if progress < peak:
        return _anneal(ONE_CYCLE_START, 1.0, progress / peak)
    return _anneal(1.0, ONE_CYCLE_END, (progress - peak) / (1.0 - peak))


def lecun_1998(progress: float, epoch: int, recipe: Recipe) -> float:
    """By epoch, from a peak of 0.0005: LeCun et al. 1998, section III-B."""
    for last, part in _STEPS_OF_1998:
        if epoch <= last:
            return part
    return _END_OF_1998


_STEPS_OF_1998 = ((2, 1.0), (5, 0.4), (8, 0.2), (12, 0.1))
_END_OF_1998 = 0.02
"""0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then 0.00001."""

_SHAPES: dict[str, Callable[[float, int, Recipe], float]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "lecun_1998": lecun_1998,
}


def learning_rate(recipe: Recipe, step_index: int, steps_per_epoch: int) -> float:
    """Rate of the step with index `step_index`, counted from 0 over the whole training."""
    last = max(1, recipe.epochs * steps_per_epoch - 1)
    epoch = step_index // steps_per_epoch + 1
    part = _SHAPES[recipe.schedule](step_index / last, epoch, recipe)
    return recipe.learning_rate * part * warm_up(recipe, step_index, steps_per_epoch)


def warm_up(recipe: Recipe, step_index: int, steps_per_epoch: int) -> float:
    """Up to 1 in equal steps over `warmup_epochs`: Goyal et al. 2017, section 2.2."""
    steps = recipe.warmup_epochs * steps_per_epoch
    return min(1.0, (step_index + 1) / steps) if steps > 0 else 1.0


def epoch_order(recipe: Recipe, count: int, epoch: int) -> NDArray[np.int64]:
    """The order in which an epoch sees `count` images, int64 (count,).

    Where the recipe has distortions an epoch sees `count` of the patterns 0 to
    `count * (distortions + 1) - 1`, whose remainder by `count` is the image; one order goes through
    all patterns before it begins again.
    """
    constant = recipe.order == "constant"
    if not recipe.distortions:
        key: tuple[int | str, ...] = (recipe.seed, "order") + (() if constant else (epoch,))
        return rng.permutation(count, *key)
    versions = recipe.distortions + 1
    turn, part = divmod(epoch - 1, versions)
    key = (recipe.seed, "order of patterns") + (() if constant else (turn,))
    return rng.permutation(count * versions, *key)[part * count : (part + 1) * count]


def epoch_steps(
    recipe: Recipe, order: NDArray[np.int64], epoch: int, first: int = 1
) -> Iterator[tuple[int, NDArray[np.int64], float]]:
    """The steps of an epoch over the images in `order`, from number `first` on.

    Of each step its number, the indices of its images, and its learning rate.
    """
    size = recipe.batch_size
    steps = math.ceil(len(order) / size)
    for step in range(first, steps + 1):
        rate = learning_rate(recipe, (epoch - 1) * steps + step - 1, steps)
        yield step, order[(step - 1) * size : step * size], rate


def _anneal(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
