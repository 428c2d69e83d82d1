"""What watches a training: a live display, an instrument of a study, the picture of the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from lenet.runs.run import Row, Run


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training is about to do, and what it did before it was stopped."""

    title: str
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    first_step: int
    history: tuple[Row, ...] = ()
    run: Run | None = None


class Watcher:
    """Watches one training, which it never changes and never ends.

    Each method does nothing until a watcher says otherwise.
    """

    def start(self, plan: Plan) -> None:
        """The training begins, or goes on."""

    def step(self, epoch: int, step: int) -> None:
        """Step `step` of `epoch` is done, both counted from 1."""

    def point(self, row: Row) -> None:
        """Train metrics in the middle of an epoch."""

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """An epoch is done and scored."""

    def stop(self) -> None:
        """The training has ended, for whatever reason."""


@final
class Watchers(Watcher):
    """Several watchers as one; each is told in their order."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = tuple(watchers)

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.start(plan)

    def step(self, epoch: int, step: int) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.step(epoch, step)

    def point(self, row: Row) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.point(row)

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.epoch(row, examples_per_second)

    def stop(self) -> None:
        """See `Watcher`."""
        for watcher in self._watchers:
            watcher.stop()
