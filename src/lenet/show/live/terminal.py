"""The live view of a training in a terminal: the note's three curves, drawn in braille dots."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, final

from lenet.runs.run import Row
from lenet.show.chart import loss_top
from lenet.show.live.base import Display, DownloadBars
from lenet.system.streams import printable
from lenet.training.watcher import Plan

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

REFRESH_SECONDS = 0.25
"""Between two drawings: one takes a few milliseconds, and all together stay below 2 %."""

SMALLEST = (56, 16)
"""Columns and rows that the view needs; a smaller terminal gets lines."""

WIDEST = 120
"""Columns beyond which curves only become flatter."""

MARGIN = 7
"""Columns for the numbers on either side of the curves."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character (Unicode 2800 to 28FF), by row and column of its dots."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a history: its key, its name, its colour, and whether it is a loss.

    `dash` is the dots of a piece of the line, over and over, with spaces where there is none, and
    `sign` what stands for it in words: a terminal may have no colours, and a reader may see none.
    """

    key: str
    label: str
    colour: str
    dash: str
    sign: str
    is_loss: bool = False


CURVES = (
    Curve("train_loss", "train loss", "bright_blue", "#", "━", is_loss=True),
    Curve("train_accuracy", "train acc", "yellow", "######    ", "╍"),
    Curve("test_accuracy", "test acc", "bright_green", "##  ", "┉"),
)


class Canvas:
    """Dots on `columns` x `rows` characters, 2 x 4 to a character, each in its last colour."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._bits = [[0] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]

    def polyline(self, points: Sequence[tuple[float, float]], curve: Curve) -> None:
        """Join `points`, each (x, y) in [0, 1] from the lower left; a single one is a dot."""
        wide, high = 2 * self.columns - 1, 4 * self.rows - 1
        dots = [(round(x * wide), round((1 - y) * high)) for x, y in points]
        before = 0
        for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
            steps = max(abs(x1 - x0), abs(y1 - y0), 1)
            for k in range(steps + 1):
                if curve.dash[(before + k) % len(curve.dash)] == "#":
                    at = x0 + (x1 - x0) * k // steps, y0 + (y1 - y0) * k // steps
                    self._set(*at, curve.colour)
            before += steps

    def _set(self, x: int, y: int, colour: str) -> None:
        column, row = x // 2, y // 4
        if 0 <= column < self.columns and 0 <= row < self.rows:
            self._bits[row][column] |= DOTS[y % 4][x % 2]
            self._colours[row][column] = colour

    def row(self, number: int) -> Text:
        """One row of characters, with its colours."""
        from rich.text import Text

        text = Text()
        for bits, colour in zip(self._bits[number], self._colours[number], strict=True):
            text.append(chr(0x2800 + bits) if bits else " ", colour or None)
        return text


@dataclass(slots=True)
class View:
    """What the terminal shows; drawn anew for whatever size it has by then."""

    plan: Plan
    history: list[Row]
    done: int
    started: float
    resumed_from: int
    speed: float = 0.0

    @property
    def total(self) -> int:
        return self.plan.epochs * self.plan.steps_per_epoch

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, the curves with their axes, the newest numbers, and the bar."""
        from rich.text import Text

        width = min(options.max_width, WIDEST)
        height = max(5, min(options.size.height - 7, width // 4, 21)) // 2 * 2 - 1
        yield Text(printable(self.plan.title), style="bold", overflow="ellipsis", no_wrap=True)
        yield from self._curves(width, height)
        yield self._numbers()
        yield self._bar(width)

    def _curves(self, width: int, height: int) -> list[Text]:
        from rich.text import Text

        inner = width - 2 * MARGIN - 2
        canvas, top = Canvas(inner, height), loss_top(self.history)
        for curve in CURVES:
            rows = [row for row in self.history if curve.key in row]
            scale = top if curve.is_loss else 1.0
            points = [
                (row["progress"] / self.plan.epochs, min(row[curve.key] / scale, 1.0))
                for row in rows
            ]
            canvas.polyline(points, curve)
        lines = [Text("loss".rjust(MARGIN) + " " * (inner + 2) + "acc")]
        for number in range(height):
            share = 1 - number / (height - 1)
            label = number in (0, height // 2, height - 1)
            left = f"{top * share:.2f}" if label else ""
            right = f"{share:.2f}" if label else ""
            line = Text(left.rjust(MARGIN - 1) + (" ┤" if label else " │"))
            line.append_text(canvas.row(number))
            line.append(("├ " if label else "│ ") + right)
            lines.append(line)
        return [*lines, self._epoch_axis(inner)]

    def _epoch_axis(self, inner: int) -> Text:
        from rich.text import Text

        axis = [" "] * (inner + MARGIN + 2)
        every = max(1, -(-self.plan.epochs * 6 // inner))
        for epoch in range(0, self.plan.epochs + 1, every):
            place = MARGIN + round(epoch / self.plan.epochs * (inner - 1))
            for offset, letter in enumerate(str(epoch)):
                if place + offset < len(axis):
                    axis[place + offset] = letter
        return Text("".join(axis) + " epoch", no_wrap=True, overflow="crop")

    def _numbers(self) -> Text:
        from rich.text import Text

        text = Text(no_wrap=True, overflow="ellipsis")
        for curve in CURVES:
            rows = [row for row in self.history if curve.key in row]
            value = f"{rows[-1][curve.key]:.3f}" if rows else "  -  "
            text.append(f"{curve.sign} ", curve.colour)
            text.append(f"{curve.label} {value}" + ("" if curve is CURVES[-1] else "  "))
        return text

    def _bar(self, width: int) -> Text:
        from rich.text import Text

        epoch = min(self.plan.epochs, self.done // self.plan.steps_per_epoch + 1)
        head = f"epoch {epoch}/{self.plan.epochs} "
        speed = f" {self.speed:,.0f} examples/s" if self.speed else ""
        tail = f"{speed}  {self._time_left()}"
        room = max(4, width - len(head) - len(tail) - 1)
        filled = room * self.done // self.total
        text = Text(head, no_wrap=True, overflow="crop")
        text.append("━" * filled, "bright_blue")
        text.append("━" * (room - filled), "bright_black")
        return text.append(tail)

    def _time_left(self) -> str:
        done = self.done - self.resumed_from
        if self.done >= self.total:
            return f"took {_clock(time.perf_counter() - self.started)}"
        if not done:
            return "starting"
        elapsed = time.perf_counter() - self.started
        return f"{_clock(elapsed / done * (self.total - self.done))} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@final
class TerminalDisplay(Display):
    """The live view; its last picture stays in the scroll-back."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console

        self._bars = DownloadBars()
        self._console = Console(file=stream, highlight=False)

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        from rich.live import Live

        self._bars.stop()
        done = (plan.first_epoch - 1) * plan.steps_per_epoch + plan.first_step
        self._view = View(plan, list(plan.history), done, time.perf_counter(), done)
        self._live = Live(self._view, console=self._console, auto_refresh=False)
        self._live.start(refresh=True)
        self._drawn = time.perf_counter()

    def step(self, epoch: int, step: int) -> None:
        """See `Watcher`; draws at most every `REFRESH_SECONDS`."""
        self._view.done = (epoch - 1) * self._view.plan.steps_per_epoch + step
        if time.perf_counter() - self._drawn >= REFRESH_SECONDS:
            self._live.refresh()
            self._drawn = time.perf_counter()

    def point(self, row: Row) -> None:
        """See `Watcher`."""
        self._view.history.append(row)

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Watcher`."""
        self._view.history.append(row)
        self._view.speed = examples_per_second

    def stop(self) -> None:
        """See `Watcher`."""
        self._bars.stop()
        if hasattr(self, "_live"):
            self._live.refresh()
            self._live.stop()
            del self._live
