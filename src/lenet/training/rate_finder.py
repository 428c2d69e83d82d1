"""The learning-rate range test: one short training whose rate grows at every step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet import data as data_sets
from lenet.data import Reading
from lenet.errors import RecipeError
from lenet.network import Spec
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order
from lenet.recipe.values import typed
from lenet.training.choice import Wanted, choose_recipe, find_recipe
from lenet.training.curvature import measure_curvature
from lenet.training.epoch import Batch, LossNotFiniteError, Pass
from lenet.training.setup import hold_out_images, set_up

LEAST_IMAGES = 16
"""So many at least are seen at a rate, in several steps if need be: one image's loss is luck."""

SMOOTHING = 0.9
"""Share of the running mean of the loss that a rate keeps."""

BLOWN_UP = 4.0
"""The test ends where the loss is this many times the first one."""

LEAST_FALL = 0.02
"""A loss that falls by less, as a share of the first one, has hardly been learnt from."""

MARGIN = 4.0
"""The suggestion is the rate with the lowest smoothed loss, divided by this."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The `rates` that were tried and their `losses` (nats; smoothed without bias), both (steps,).

    `suggestion` is below the rate at which the loss stops falling by the factor `MARGIN`, as the
    loss is lowest just before the training becomes unstable.
    """

    model: str
    data: str
    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestion: float

    def __repr__(self) -> str:
        return (
            f"<RangeTest {self.model} on {self.data}, suggestion {self.suggestion:.3g}, "
            f"{len(self.rates)} rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}>"
        )

    @property
    def doubt(self) -> str:
        """Why the suggestion may be chance, in words, or nothing."""
        at = int(self.losses.argmin())
        if self.suggestion < self.rates[0]:
            return f"it is below the lowest rate that was tried, {self.rates[0]:g}"
        if self.losses[0] - self.losses[at] < LEAST_FALL * self.losses[0]:
            return f"the loss fell by less than {LEAST_FALL:.0%}"
        return ""

    @property
    def best(self) -> float:
        """The rate at which the smoothed loss was lowest."""
        return float(self.rates[self.losses.argmin()])


def find_rate(
    model: str | Spec | None = None,
    data: data_sets.Source = "fashion-mnist",
    recipe: Wanted = None,
    *,
    reading: Reading | None = None,
    lowest: float = 1e-3,
    highest: float = 10.0,
    steps: int = 200,
    changes: Mapping[str, str] | None = None,
    seed: int | None = None,
    data_dir: str | Path | None = None,
    threads: int | None = None,
) -> RangeTest:
    """Train with a rate that grows from `lowest` to `highest` in `steps` equal factors.

    A rate is that of one batch, or of as many as have `LEAST_IMAGES`.  The recipe is chosen as
    `lenet.train` chooses it; `seed` is instead of its own.

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Raises:
        RecipeError: if the rates are no numbers or not in order, there are fewer than 10 steps, or
            the loss is not finite at the lowest rate already.
        LenetError: as `data.load` and `open_engine`.
    """
    lowest, highest = typed("lowest", lowest, float), typed("highest", highest, float)
    steps = typed("steps", steps, int)
    if not 0.0 < lowest < highest < math.inf:
        raise RecipeError(f"rates from {lowest} to {highest}: they must be above 0, and rise")
    if steps < 10:
        raise RecipeError(f"steps = {steps}: fewer than 10 say nothing")
    given = {} if seed is None else {"seed": seed}
    found = find_recipe(recipe, given, model)
    dataset = data_sets.load(data, data_dir, reading=reading)
    choice = choose_recipe(found, dataset, given)
    ready = set_up(model or choice.model, dataset, choice.recipe, changes=changes, threads=threads)
    train, _ = hold_out_images(dataset, choice.recipe)
    placed = ready.engine.place(train.images, train.labels)
    measure_curvature(ready.engine, choice.recipe, placed, len(train), 1)
    rates = np.geomspace(lowest, highest, steps)
    several = math.ceil(LEAST_IMAGES / choice.recipe.batch_size)
    batches = _batches(len(train), choice.recipe, np.repeat(rates, several))
    test, losses = Pass(ready.engine, placed, batches, epoch=1), []
    try:
        for step, _ in test:
            if step % several == 0:
                losses.append(float(test.account().loss.mean()))
                if losses[-1] > BLOWN_UP * losses[0]:
                    break
    except LossNotFiniteError as error:  # the rate before was the last one that can be used
        if not losses:
            raise RecipeError(
                f"lowest = {lowest}: the loss is not finite at this rate already; try a lower one"
            ) from error
    smoothed = _smooth(losses)
    best = float(rates[int(smoothed.argmin())])
    return RangeTest(ready.spec.name, dataset.name, rates[: len(smoothed)], smoothed, best / MARGIN)


def _batches(count: int, recipe: Recipe, rates: NDArray[np.float64]) -> Iterator[Batch]:
    """The images of each step, in the order in which a training with this seed sees them.

    Distorted copies are left out.
    """
    size = min(recipe.batch_size, count)
    per_epoch, undistorted = count // size, recipe.with_changes({"distortions": 0})
    for step, rate in enumerate(rates.tolist()):
        order = epoch_order(undistorted, count, 1 + step // per_epoch)
        start = step % per_epoch * size
        yield step + 1, order[start : start + size], rate


def _smooth(losses: list[float]) -> NDArray[np.float64]:
    """Running mean without the bias of its start."""
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss
        smoothed.append(mean / (1.0 - SMOOTHING**step))
    return np.array(smoothed)
