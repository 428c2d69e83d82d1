"""Training on with weights of few bits, so that a network learns to answer with them.

Each step takes the gradient at the weights as they will be stored, and moves the exact ones by it
(the straight-through estimator: Courbariaux et al. 2015, "BinaryConnect", algorithm 1).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lenet.data import Split
from lenet.engines import open_engine
from lenet.engines.base import Weights
from lenet.errors import ExportError
from lenet.export.program.quantization import Steps, to_grid
from lenet.network import Spec
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_steps
from lenet.system import rng
from lenet.training.epoch import LossNotFiniteError, Pass

RECIPE = Recipe(epochs=3, batch_size=128, optimizer="adamw", learning_rate=1e-3, schedule="cosine")
"""Of the training that goes on; its rate suits every network, whatever its own recipe was."""


def retrain(spec: Spec, weights: Weights, steps: Steps, bits: int, train: Split) -> Weights:
    """Weights that lie on the grid of `steps`, and answer like the network they come from.

    Raises:
        EngineError: as `open_engine`.
        ExportError: if the loss stops being finite.
    """
    exact, on_grid = weights, project(weights, steps, bits)
    engine = open_engine(spec, RECIPE, on_grid, device="cpu")
    placed = engine.place(train.images, train.labels)
    for epoch in range(1, RECIPE.epochs + 1):
        order = rng.permutation(len(train), RECIPE.seed, "retraining", epoch)
        done = Pass(engine, placed, epoch_steps(RECIPE, order, epoch), epoch)
        for _ in done:
            state = engine.state()
            exact = {name: exact[name] + state.weights[name] - on_grid[name] for name in exact}
            on_grid = project(exact, steps, bits)
            engine.restore(replace(state, weights=on_grid))
        try:
            done.account()
        except LossNotFiniteError as error:
            raise ExportError(
                f"training on with weights of {bits} bits: {error} of epoch {epoch}; use more bits"
            ) from error
    return on_grid


def project(weights: Weights, steps: Steps, bits: int) -> Weights:
    """Each weight as the nearest one on its grid; biases as they are."""
    found = dict(weights)
    for layer, step in steps.items():
        name = f"{layer}.weight"
        near = to_grid(weights[name], step, bits) * step[:, None]
        found[name] = near.reshape(weights[name].shape).astype(np.float32)
    return found
