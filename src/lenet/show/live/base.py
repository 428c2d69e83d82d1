"""What a display is: silent, in lines, or one whose screen may fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, final

from lenet.data.progress import Progress as DataProgress
from lenet.runs.run import Row
from lenet.training.watcher import Plan, Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@final
class DownloadBars:
    """A bar with size, speed and time left for each file that is fetched or read; on stderr."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, done: int, total: int | None) -> None:
        """`done` bytes of the file `name` are here, of `total` where that is known."""
        if sys.stderr is None or not sys.stderr.isatty():  # a bar is no line of a log
            return
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


@contextmanager
def download_bars() -> Iterator[DataProgress]:
    """Bars for this block."""
    bars = DownloadBars()
    try:
        yield bars.show
    finally:
        bars.stop()


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


class Display(Watcher):
    """A watcher with a screen, which also sees the data come; this one shows nothing.

    As a context it gives the screen back also where a training ends before it begins.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def download(self, name: str, done: int, total: int | None) -> None:
        """Bytes of a file of the data set that are here, of all where that is known."""


@final
class LineDisplay(Display):
    """One plain line an epoch, for pipes, files and simple terminals."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._epochs = 0
        self._bars = DownloadBars()

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        self._bars.stop()
        self._epochs = plan.epochs

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Watcher`."""
        print(epoch_line(row, self._epochs, examples_per_second), file=self._stream, flush=True)

    def stop(self) -> None:
        """See `Watcher`."""
        self._bars.stop()


@final
class GuardedDisplay(Display):
    """Another display, until its screen fails: then nothing, for a training goes on without one."""

    def __init__(self, inner: Display) -> None:
        self._inner = inner

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except (OSError, ValueError):  # a closed pipe or stream, an encoding without a letter
            self._inner = Display()

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._call(lambda: self._inner.download(name, done, total))

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        self._call(lambda: self._inner.start(plan))

    def step(self, epoch: int, step: int) -> None:
        """See `Watcher`."""
        self._call(lambda: self._inner.step(epoch, step))

    def point(self, row: Row) -> None:
        """See `Watcher`."""
        self._call(lambda: self._inner.point(row))

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Watcher`."""
        self._call(lambda: self._inner.epoch(row, examples_per_second))

    def stop(self) -> None:
        """See `Watcher`."""
        self._call(self._inner.stop)


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
