"""Progress as a person or a pipe wants to see it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from lenet.run import Row

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training is about to do, for its heading and its bar."""

    title: str
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    first_step: int


class DownloadBars:
    """A bar with size, speed and time left for each file that is fetched; on stderr."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int | None) -> None:
        """`done` bytes of the file `name` are here, of `total` where that is known."""
        if self._bars is None:
            self._bars = _download_progress()
            self._bars.start()
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=done, total=total)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._bars is not None:
            self._bars.stop()


def _download_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeLeft(compact=True),
        console=Console(stderr=True),
    )


class Display(Protocol):
    """Watches one training.  A display never changes a training, and never ends one."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """Bytes of a file of the data set that are here, of all where that is known."""
        ...

    def start(self, plan: Plan) -> None:
        """The training begins, or goes on."""
        ...

    def step(self, epoch: int, step: int) -> None:
        """Step `step` of `epoch` is done, both counted from 1."""
        ...

    def point(self, row: Row) -> None:
        """Train metrics in the middle of an epoch."""
        ...

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """An epoch is done and scored."""
        ...

    def stop(self) -> None:
        """The training has ended, for whatever reason."""
        ...


class QuietDisplay:
    """Shows nothing."""

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""

    def start(self, plan: Plan) -> None:
        """See `Display`."""

    def step(self, epoch: int, step: int) -> None:
        """See `Display`."""

    def point(self, row: Row) -> None:
        """See `Display`."""

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Display`."""

    def stop(self) -> None:
        """See `Display`."""


class LineDisplay(QuietDisplay):
    """One plain line an epoch, for pipes, files and simple terminals."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._epochs = 0
        self._bars = DownloadBars()

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Display`."""
        self._bars.stop()
        self._epochs = plan.epochs

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Display`."""
        print(epoch_line(row, self._epochs, examples_per_second), file=self._stream, flush=True)


class LiveDisplay:
    """A bar over the steps with the newest metrics, and a line for each epoch above it."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        self._bars = DownloadBars()
        self._console = Console(file=stream, highlight=False)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeLeft(compact=True),
            console=self._console,
        )

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Display`."""
        self._bars.stop()
        self._plan = plan
        self._console.print(plan.title)
        done = (plan.first_epoch - 1) * plan.steps_per_epoch + plan.first_step
        self._task = self._progress.add_task(
            "training",
            total=plan.epochs * plan.steps_per_epoch,
            completed=done,
            epoch=plan.first_epoch,
            metrics="",
        )
        self._progress.start()

    def step(self, epoch: int, step: int) -> None:
        """See `Display`."""
        done = (epoch - 1) * self._plan.steps_per_epoch + step
        self._progress.update(self._task, completed=done, epoch=epoch)

    def point(self, row: Row) -> None:
        """See `Display`."""
        self._progress.update(
            self._task, metrics=f"loss {row['train_loss']:.3f} acc {row['train_accuracy']:.3f}"
        )

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Display`."""
        self.point(row)
        self._console.print(epoch_line(row, self._plan.epochs, examples_per_second))

    def stop(self) -> None:
        """See `Display`."""
        self._progress.stop()


def open_display(quiet: bool) -> Display:
    """Nothing if `quiet`, a live view in a terminal that can show one, else lines."""
    if quiet:
        return QuietDisplay()
    if sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        return LiveDisplay(sys.stdout)
    return LineDisplay(sys.stdout)


def epoch_line(row: Row, epochs: int, examples_per_second: float) -> str:
    """One epoch in one line."""
    speed = f"{examples_per_second:,.0f} examples/s"
    return f"epoch {row['epoch']}/{epochs}: {describe_row(row)}, {speed}"


def describe_row(row: Row) -> str:
    """The metrics of an epoch's row in the note's words."""
    parts = [f"loss {row['train_loss']:.3f}", f"train acc {row['train_accuracy']:.3f}"]
    if "validation_accuracy" in row:
        parts.append(f"validation acc {row['validation_accuracy']:.3f}")
    if "test_accuracy" in row:
        parts.append(f"test acc {row['test_accuracy']:.3f}")
    return ", ".join(parts)
