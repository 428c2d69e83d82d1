"""The training of one network: the loop, on one screen."""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import dataclass, replace

from lenet import receipt, rng
from lenet.checkpoint import Best, Checkpoint, Position
from lenet.data.dataset import Split
from lenet.display import Display
from lenet.engines.base import Engine
from lenet.errors import DivergenceError, InterruptedRunError
from lenet.interruption import Interruption
from lenet.prediction import evaluate
from lenet.recipe import Recipe
from lenet.run import Row, Run
from lenet.schedule import epoch_steps

POINTS_PER_EPOCH = 5
"""How often train metrics are written in an epoch, as in the note."""


@dataclass(slots=True)
class Training:
    """One run at work: what the loop reads, and how far it has come.

    `test` is empty where nobody should look at it while the network trains.
    """

    run: Run
    engine: Engine
    checkpoint: Checkpoint
    train: Split
    validation: Split
    test: Split
    display: Display
    checkpoint_every: int = 0
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


def run_epochs(training: Training, interruption: Interruption) -> None:
    """The loop.

    Raises:
        DivergenceError: at the first step whose loss is not finite, or at the end of an epoch after
            which every image gets the same answer.
        InterruptedRunError: after a signal, when the checkpoint is written.

    """
    engine, recipe = training.engine, training.recipe
    placed = engine.place(training.train.images, training.train.labels)
    steps = training.steps_per_epoch
    points = {math.ceil(k * steps / POINTS_PER_EPOCH) for k in range(1, POINTS_PER_EPOCH + 1)}

    for epoch in range(training.position.epoch, recipe.epochs + 1):
        started = time.perf_counter()
        order = rng.permutation(len(training.train), recipe.seed, "order", epoch)
        for step, images, rate in epoch_steps(recipe, order, epoch, training.position.step + 1):
            engine.step(placed, images, rate)
            training.display.step(epoch, step)
            save = interruption.number is not None or _is_due(training, step)
            if step in points or save:
                started = _account(training, epoch, step, started)
            if step in points and step < steps:
                _record_point(training, rate)
            if save and step < steps:
                _save(training)
            if interruption.number is not None and step < steps:
                raise _interrupted(training, interruption.number)
        _finish_epoch(training, rate)
        if interruption.number is not None and epoch < recipe.epochs:
            raise _interrupted(training, interruption.number)


def _is_due(training: Training, step: int) -> bool:
    return training.checkpoint_every > 0 and step % training.checkpoint_every == 0


def _account(training: Training, epoch: int, step: int, started: float) -> float:
    """Add the steps since the last call to the epoch's sums; returns the clock."""
    metrics = training.engine.step_metrics()
    now = time.perf_counter()
    position = training.position
    loss_sum, images = position.loss_sum, position.images
    for index, (loss, count) in enumerate(zip(metrics.loss, metrics.images, strict=True)):
        if not math.isfinite(loss):
            raise _diverged(training, epoch, step - len(metrics.loss) + index + 1, float(loss))
        loss_sum += float(loss) * int(count)
        images += int(count)
    updates = position.updates + len(metrics.loss)
    missed = position.misses + int(metrics.misses.sum())
    training.checkpoint = replace(
        training.checkpoint, position=Position(epoch, step, updates, images, loss_sum, missed)
    )
    training.seconds += now - started
    training.images += int(metrics.images.sum())
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
    training.display.point(row)


def _finish_epoch(training: Training, rate: float) -> None:
    """Score the epoch, write its row and its checkpoint, and move to the next epoch."""
    row = _row(training, rate)
    collapsed = False
    for name, split in (("validation", training.validation), ("test", training.test)):
        if len(split):
            scores = evaluate(training.engine, split)
            row[f"{name}_loss"], row[f"{name}_accuracy"] = scores.loss, scores.accuracy
            collapsed = scores.collapsed and scores.misses > 0
    training.run.append_history(row)
    if collapsed:
        raise _collapsed(training, row)
    position = training.position
    training.checkpoint = replace(
        training.checkpoint, position=Position(position.epoch + 1, 0, position.updates)
    )
    _save(training, row.get("validation_accuracy"))
    receipt.write_times(training.run, training.seconds, training.images)
    training.display.epoch(row, training.examples_per_second)


def _save(training: Training, validation_accuracy: float | None = None) -> None:
    """Write the checkpoint; first as the best, if it is, so that a resumed run sees the same."""
    checkpoint = replace(training.checkpoint, state=training.engine.state())
    best = checkpoint.best
    if validation_accuracy is not None and (
        best is None or validation_accuracy > best.validation_accuracy
    ):
        best = Best(checkpoint.position.epoch - 1, validation_accuracy)
        checkpoint = replace(checkpoint, best=best)
        training.run.write_best(checkpoint)
    training.checkpoint = checkpoint
    training.run.write_checkpoint(checkpoint)


def _diverged(training: Training, epoch: int, step: int, loss: float) -> DivergenceError:
    what = f"the loss is {loss} at step {step} of epoch {epoch}"
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
        f"try a smaller --learning-rate than {training.recipe.learning_rate}"
    )


def _interrupted(training: Training, number: int) -> InterruptedRunError:
    position = training.position
    return InterruptedRunError(
        f"stopped after step {position.step} of epoch {position.epoch}; go on with: "
        f"lenet train --resume {shlex.quote(str(training.run.path))}",
        number,
    )
