"""The note's figure of a finished training, and the watcher that draws it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, final

from lenet.runs.run import Row, Run
from lenet.show.chart import marks_every
from lenet.show.figures.figure import BLUE, GREEN, GREY, ORANGE, open_figure
from lenet.training.watcher import Plan, Watcher

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@final
class CurvesWatcher(Watcher):
    """Draws `curves.png` into the run's folder when its training ends, also if it fails."""

    def __init__(self) -> None:
        self._run: Run | None = None

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        self._run = plan.run

    def stop(self) -> None:
        """See `Watcher`; a picture that cannot be drawn is no reason to lose a training."""
        run = self._run
        if run is None:
            return
        try:
            draw_curves(run.history(), run.name, run.curves_path)
        except Exception as error:  # whatever it is, the training's own end must be heard
            warnings.warn(f"{run.curves_path}: the curves are not drawn: {error}", stacklevel=2)


def draw_curves(history: Sequence[Row], title: str, path: Path) -> None:
    """The note's figure: train loss, train accuracy and test accuracy over epochs.

    Loss (nats) has the left axis and accuracy (a fraction) the right one, since they share no unit.
    """
    with open_figure(path, 8.0, 4.8) as figure:
        from matplotlib.ticker import MaxNLocator

        left = figure.subplots()
        right = left.twinx()
        _curve(left, history, "train_loss", "train loss", BLUE, "-", "")
        _curve(right, history, "train_accuracy", "train accuracy", ORANGE, "--", "")
        _curve(right, history, "validation_accuracy", "validation accuracy", GREY, ":", "s")
        _curve(right, history, "test_accuracy", "test accuracy (a monitor)", GREEN, "-.", "o")
        left.set(xlabel="epoch", ylabel="loss (nats)", title=title)
        right.set(ylabel="accuracy (fraction)", ylim=(0.0, 1.0))
        left.set_ylim(bottom=0.0)
        left.set_xlim(0, max([1, *(row["epoch"] for row in history)]))
        left.grid(alpha=0.3)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        lines = [*left.get_lines(), *right.get_lines()]
        figure.legend(handles=lines, loc="outside lower center", ncols=max(1, len(lines)))


def _curve(
    axes: Axes, history: Sequence[Row], key: str, label: str, colour: str, line: str, marker: str
) -> None:
    rows = [row for row in history if key in row]
    if rows:
        axes.plot(
            [row["progress"] for row in rows],
            [row[key] for row in rows],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=5,
            markevery=marks_every(len(rows)),
            clip_on=False,
            linewidth=2,
            label=label,
        )
