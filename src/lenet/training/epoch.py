"""One pass over an epoch: the steps of every training, whoever asks for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Engine, StepMetrics

Batch = tuple[int, NDArray[np.int64], float]
"""A step's number from 1, the indices of its images, and its learning rate."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the steps of an epoch so far: losses times images (nats), misses, and images."""

    loss: float = 0.0
    misses: int = 0
    images: int = 0

    @property
    def mean_loss(self) -> float:
        """Nats an image."""
        return self.loss / self.images


class LossNotFiniteError(Exception):
    """The loss of step `step` of the epoch (from 1) is `loss`; a training says what that means."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss is {loss} at step {step}")
        self.step, self.loss = step, loss


@final
class Pass:
    """The steps in `batches`, taken one by one as they are asked for, and what they came to.

    `epoch` says which one it is, for images that look otherwise in each.  `sums` covers the steps
    up to the last `account`, after those that it began with.
    """

    def __init__(
        self,
        engine: Engine,
        placed: Any,
        batches: Iterable[Batch],
        epoch: int,
        sums: Sums | None = None,
    ) -> None:
        self._engine, self._placed, self._batches = engine, placed, batches
        self._epoch = epoch
        self._first = 1
        self.sums = sums or Sums()

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Each step's number and learning rate, when it is done."""
        for number, (step, indices, rate) in enumerate(self._batches):
            if number == 0:
                self._first = step
            self._engine.step(self._placed, indices, rate, self._epoch)
            yield step, rate

    def account(self) -> StepMetrics:
        """Add the steps since the last call to `sums`, and return them; waits for the device.

        Raises:
            LossNotFiniteError: at the first step whose loss is not finite.
        """
        metrics = self._engine.step_metrics()
        loss, images = self.sums.loss, self.sums.images
        for number, (value, count) in enumerate(zip(metrics.loss, metrics.images, strict=True)):
            if not math.isfinite(value):
                raise LossNotFiniteError(self._first + number, float(value))
            loss += float(value) * int(count)
            images += int(count)
        self._first += len(metrics.loss)
        misses = self.sums.misses + int(metrics.misses.sum())
        self.sums = Sums(loss, misses, images)
        return metrics

    def to_end(self) -> Sums:
        """Take all steps that are left, and account for them.

        Raises:
            LossNotFiniteError: as `account`.
        """
        for _ in self:
            pass
        self.account()
        return self.sums
