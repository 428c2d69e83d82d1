"""The network of a classifier at work: epochs over weighted rows, answers, threads."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Engine, EngineState
from lenet.errors import DivergenceError
from lenet.estimator.rows import Rows, epoch_rows
from lenet.prediction import metrics
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_steps
from lenet.runs.checkpoint import is_finite
from lenet.training.curvature import measure_curvature
from lenet.training.epoch import LossNotFiniteError, Pass

FEWEST_IMAGES = 5
"""The native engine answers up to four images one by one, which rounds differently."""


@dataclass(slots=True)
class Fit:
    """What a training leaves: the engine's state, and a number an epoch."""

    state: EngineState
    losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)


def fit_epochs(engine: Engine, recipe: Recipe, rows: Rows, last: int, first: int = 1) -> Fit:
    """Train from epoch `first` to `last`.

    Raises:
        DivergenceError: at the first step whose loss is not finite.
    """
    placed = engine.place(rows.split.images, rows.split.labels)
    losses = [_train_epoch(engine, placed, recipe, rows, n) for n in range(first, last + 1)]
    return Fit(_finite_state(engine, recipe, rows, last), losses)


def fit_until_no_better(
    engine: Engine, recipe: Recipe, rows: Rows, held_out: Rows, patience: int
) -> Fit:
    """Train until `patience` epochs in a row were no better on `held_out`; the best one's state.

    Better is a higher accuracy, or the same one with a lower loss.

    Raises:
        DivergenceError: as `fit_epochs`.
    """
    placed = engine.place(rows.split.images, rows.split.labels)
    best, fit, since = (-1.0, 0.0), Fit(engine.state()), 0
    for epoch in range(1, recipe.epochs + 1):
        fit.losses.append(_train_epoch(engine, placed, recipe, rows, epoch))
        score = _score(engine, held_out)
        fit.validation_scores.append(score[0])
        since += 1
        if score > best:
            best, fit.state, since = score, _finite_state(engine, recipe, rows, epoch), 0
        if since == patience:
            break
    return fit


def answer(engine: Engine, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Log probabilities (n, classes); a picture's answer does not depend on its company."""
    missing = max(0, FEWEST_IMAGES - len(pictures))
    padded = np.pad(pictures, ((0, missing), (0, 0), (0, 0), (0, 0)))
    return metrics.log_probabilities(engine.logits(engine.place(padded)))[: len(pictures)]


def thread_count(n_jobs: int | None) -> int:
    """Threads for `n_jobs` in scikit-learn's sense; inside a joblib worker no more than its share.

    joblib tells its worker processes their share of the cores in `OMP_NUM_THREADS`; where it
    tells nothing, a worker has one core.
    """
    import joblib
    from joblib.parallel import get_active_backend

    threads = int(joblib.effective_n_jobs(n_jobs))
    backend, _ = get_active_backend()
    if backend.nesting_level == 0:
        return threads
    share = os.environ.get("OMP_NUM_THREADS", "1")
    return min(threads, max(1, int(share)) if share.isdigit() else 1)


def _train_epoch(engine: Engine, placed: Any, recipe: Recipe, rows: Rows, epoch: int) -> float:
    """One pass over the rows; its mean loss."""
    order = epoch_rows(rows.weights, recipe, epoch)
    measure_curvature(engine, recipe, placed, len(rows.split), epoch)
    try:
        return Pass(engine, placed, epoch_steps(recipe, order, epoch), epoch).to_end().mean_loss
    except LossNotFiniteError as error:
        raise _diverged(f"the loss is {error.loss}", recipe, epoch, error.step) from error


def _finite_state(engine: Engine, recipe: Recipe, rows: Rows, epoch: int) -> EngineState:
    """The state; its last update had no loss after it that would have shown a divergence."""
    state = engine.state()
    if not is_finite(state):
        last = math.ceil(len(rows) / recipe.batch_size)
        raise _diverged("some weights are not finite", recipe, epoch, last)
    return state


def _diverged(what: str, recipe: Recipe, epoch: int, step: int) -> DivergenceError:
    return DivergenceError(
        f"{what} in epoch {epoch}: the training diverged; try a smaller learning_rate than "
        f"{recipe.learning_rate}",
        epoch,
        step,
        collapsed=False,
    )


def _score(engine: Engine, rows: Rows) -> tuple[float, float]:
    """Accuracy, and the loss with its sign turned: greater is better in both."""
    labels, log_probabilities = rows.split.labels, answer(engine, rows.split.images)
    right = log_probabilities.argmax(axis=1) == labels
    of_label = log_probabilities[np.arange(len(labels)), labels]
    return (
        float(np.average(right, weights=rows.weights)),
        float(np.average(of_label, weights=rows.weights)),
    )
