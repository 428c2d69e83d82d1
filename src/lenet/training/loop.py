"""The training of one network: the loop, on one screen."""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.engines.base import Engine
from lenet.errors import DivergenceError, InterruptedRunError, RunError
from lenet.prediction.evaluation import evaluate
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_steps
from lenet.runs import receipt
from lenet.runs.checkpoint import Best, Checkpoint, Position, is_finite
from lenet.runs.run import Row, Run
from lenet.system.signals import Interruption
from lenet.training.curvature import measure_curvature
from lenet.training.epoch import LossNotFiniteError, Pass, Sums
from lenet.training.patterns import Patterns
from lenet.training.watcher import Plan, Watcher

POINTS_PER_EPOCH = 5
"""How often train metrics are written in an epoch, as in the note."""


@dataclass(slots=True)
class Training:
    """One run at work: what the loop reads, and how far it has come.

    `test` is empty where nobody should look at it while the network trains.  `targets` (n, classes)
    stand for the labels of `train`, where somebody teaches.
    """

    run: Run
    engine: Engine
    checkpoint: Checkpoint
    train: Split
    validation: Split
    test: Split
    watcher: Watcher = field(default_factory=Watcher)
    checkpoint_every: int = 0
    targets: NDArray[np.float32] | None = None
    seconds: float = 0.0
    images: int = 0

    @property
    def recipe(self) -> Recipe:
        return self.checkpoint.recipe

    @property
    def position(self) -> Position:
        return self.checkpoint.position

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.train) / self.recipe.batch_size)

    @property
    def examples_per_second(self) -> float:
        """Training images over the wall time of the training part of the epochs."""
        return self.images / self.seconds if self.seconds else 0.0

    def is_planned(self, updates: int) -> bool:
        """Whether a training that nobody disturbs writes a checkpoint after so many updates."""
        step = updates % self.steps_per_epoch
        return step == 0 or (self.checkpoint_every > 0 and step % self.checkpoint_every == 0)

    def plan(self) -> Plan:
        """What is about to be done, for a watcher."""
        checkpoint, engine = self.checkpoint, self.engine
        return Plan(
            f"{checkpoint.title} ({engine.name} on {engine.device}, {engine.threads} threads)",
            self.recipe.epochs,
            self.steps_per_epoch,
            self.position.epoch,
            self.position.step,
            tuple(self.run.history()),
            self.run,
        )


def run_epochs(training: Training, interruption: Interruption) -> None:
    """The loop.

    Raises:
        DivergenceError: at the first step whose loss is not finite, or at the end of an epoch after
            which every image gets the same answer.
        InterruptedRunError: after a signal, when the checkpoint is written.

    """
    recipe, steps = training.recipe, training.steps_per_epoch
    spec, targets = training.checkpoint.spec, training.targets
    patterns = Patterns(training.engine, spec, recipe, training.train, targets)
    points = point_steps(steps)

    for epoch in range(training.position.epoch, recipe.epochs + 1):
        started = time.perf_counter()
        placed, order = patterns.of(epoch)
        if training.position.step == 0:
            measure_curvature(training.engine, recipe, placed, len(order), epoch)
        batches = epoch_steps(recipe, order, epoch, training.position.step + 1)
        done = Pass(training.engine, placed, batches, epoch, _sums(training.position))
        for step, rate in done:
            training.watcher.step(epoch, step)
            # Asked once: one that comes later is that of the next step.
            signal = interruption.number
            save = signal is not None or _is_due(training, step)
            if step in points or save:
                started = _account(training, done, epoch, step, started)
            if step in points and step < steps:
                _record_point(training, rate)
            if save and step < steps:
                _save(training)
            if signal is not None and step < steps:
                raise _interrupted(training, signal)
        _finish_epoch(training, rate)
        if interruption.number is not None and epoch < recipe.epochs:
            raise _interrupted(training, interruption.number)


def point_steps(steps: int) -> list[int]:
    """The steps of an epoch of `steps` after which a row is written; the last one is the last."""
    shares = range(1, POINTS_PER_EPOCH + 1)
    return sorted({math.ceil(share * steps / POINTS_PER_EPOCH) for share in shares})


def recorded_points(position: Position, steps: int) -> list[tuple[int, int]]:
    """(epoch, step) of each row that a training has written when it is at `position`.

    Raises:
        RunError: if an epoch has only `steps`, no more than were done in it.
    """
    if position.step >= steps:
        raise RunError(
            f"the checkpoint is at step {position.step} of an epoch, which has {steps} with the "
            "data found now: it is damaged, or of other data"
        )
    points = point_steps(steps)
    whole = [(epoch, step) for epoch in range(1, position.epoch) for step in points]
    return whole + [(position.epoch, step) for step in points if step <= position.step]


def _is_due(training: Training, step: int) -> bool:
    return training.checkpoint_every > 0 and step % training.checkpoint_every == 0


def _sums(position: Position) -> Sums:
    """What the epoch came to before the training was stopped in it."""
    return Sums(position.loss_sum, position.misses, position.images)


def _account(training: Training, done: Pass, epoch: int, step: int, started: float) -> float:
    """Bring the training to `step`, whose metrics are waited for; returns the clock."""
    before = training.position
    try:
        done.account()
    except LossNotFiniteError as error:
        raise _diverged(training, epoch, error) from error
    now = time.perf_counter()
    sums, updates = done.sums, before.updates + step - before.step
    position = Position(epoch, step, updates, sums.images, sums.loss, sums.misses)
    training.checkpoint = replace(training.checkpoint, position=position)
    training.seconds += now - started
    training.images += sums.images - before.images
    return now


def _row(training: Training, rate: float) -> Row:
    position = training.position
    return {
        "epoch": position.epoch,
        "step": position.step,
        "progress": position.epoch - 1 + position.step / training.steps_per_epoch,
        "learning_rate": rate,
        "train_loss": position.loss_sum / position.images,
        "train_accuracy": 1.0 - position.misses / position.images,
    }


def _record_point(training: Training, rate: float) -> None:
    row = _row(training, rate)
    training.run.append_history(row)
    training.watcher.point(row)


def _finish_epoch(training: Training, rate: float) -> None:
    """Score the epoch, write its row and its checkpoint, and move to the next epoch."""
    row = _row(training, rate)
    collapsed = []
    for name, split in (("validation", training.validation), ("test", training.test)):
        if len(split):
            scores = evaluate(training.engine, split)
            row[f"{name}_loss"], row[f"{name}_accuracy"] = scores.loss, scores.accuracy
            collapsed.append(scores.collapsed and scores.misses > 0)
    training.run.append_history(row)
    if collapsed[:1] == [True]:  # by the validation images, where there are any
        raise _collapsed(training, row)
    position = training.position
    training.checkpoint = replace(
        training.checkpoint, position=Position(position.epoch + 1, 0, position.updates)
    )
    _save(training, row.get("validation_accuracy"))
    receipt.write_times(training.run, training.seconds, training.images)
    training.watcher.epoch(row, training.examples_per_second)


def _save(training: Training, validation_accuracy: float | None = None) -> None:
    """Write the checkpoint; first as the best, if it is, so that a resumed run sees the same."""
    checkpoint = replace(training.checkpoint, state=training.engine.state())
    if not is_finite(checkpoint.state):
        raise _overflowed(training)
    best = checkpoint.best
    if validation_accuracy is not None and (
        best is None or validation_accuracy >= best.validation_accuracy
    ):
        best = Best(checkpoint.position.epoch - 1, validation_accuracy)
        checkpoint = replace(checkpoint, best=best)
        training.run.write_best(checkpoint)
    training.checkpoint = checkpoint
    training.run.write_checkpoint(checkpoint, training.is_planned)


def _diverged(training: Training, epoch: int, error: LossNotFiniteError) -> DivergenceError:
    what = f"the loss is {error.loss} at step {error.step} of epoch {epoch}"
    return DivergenceError(_advice(training, what), epoch, error.step, collapsed=False)


def _overflowed(training: Training) -> DivergenceError:
    """The loss is that of before the update, so it can be finite where the weights are not."""
    position = training.position
    epoch, step = position.epoch, position.step
    if step == 0:
        epoch, step = epoch - 1, training.steps_per_epoch
    what = f"the weights are not finite after step {step} of epoch {epoch}"
    return DivergenceError(_advice(training, what), epoch, step, collapsed=False)


def _collapsed(training: Training, row: Row) -> DivergenceError:
    """Units that answer 0 to every image have no gradient: such a network cannot recover."""
    what = (
        f"after epoch {row['epoch']} every image gets the same answer, and no gradient can change "
        f"that (loss {row['train_loss']:.3f}, guessing has "
        f"{math.log(training.checkpoint.spec.classes):.3f})"
    )
    return DivergenceError(_advice(training, what), row["epoch"], row["step"], collapsed=True)


def _advice(training: Training, what: str) -> str:
    kept = training.run.checkpoint_paths()[0]
    return (
        f"{what}: the training diverged; the last good checkpoint is {kept}; "
        f"try a learning rate below {training.recipe.learning_rate}"
    )


def _interrupted(training: Training, number: int) -> InterruptedRunError:
    position, path = training.position, str(training.run.path)
    done = f"epoch {position.epoch - 1}"
    if position.step:
        done = f"step {position.step} of epoch {position.epoch}"
    return InterruptedRunError(
        f"stopped after {done}; go on with: lenet train --resume {shlex.quote(path)} "
        f"(Python: lenet.resume({path!r}))",
        number,
    )
