"""The second derivatives by which SDLM goes, measured before each pass."""

from __future__ import annotations

from typing import Any

from lenet.engines.base import Engine
from lenet.recipe import Recipe
from lenet.system import rng


def measure_curvature(engine: Engine, recipe: Recipe, placed: Any, count: int, epoch: int) -> None:
    """Let the engine measure them on the recipe's number of the `count` placed images.

    LeCun et al. 1998, appendix C: before each pass, over 500 images, which are other ones each
    time; during the pass they stay.  Other optimizers need none.
    """
    if recipe.optimizer == "sdlm":
        chosen = rng.permutation(count, recipe.seed, "curvature", epoch)[: recipe.curvature_images]
        engine.curvature(placed, chosen)
