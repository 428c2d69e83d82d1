"""Figure of a learning-rate range test."""

from __future__ import annotations

from pathlib import Path

from lenet.show.figures.figure import BLUE, GREY, ORANGE, Drawer, open_figure
from lenet.training.rate_finder import RangeTest


def draw_range_test(test: RangeTest, path: Path) -> None:
    """Loss against the learning rate of the step, with the suggested rate."""
    with open_figure(path, 7.0, 4.4, Drawer.LR_FIND) as figure:
        axes = figure.subplots()
        axes.plot(test.rates, test.losses, color=BLUE, linewidth=2)
        axes.axvline(test.best, color=GREY, linestyle=":", label=f"lowest loss at {test.best:.2g}")
        label = f"suggestion {test.suggestion:.2g}"
        axes.axvline(test.suggestion, color=ORANGE, linestyle="--", label=label)
        axes.set_xscale("log")
        axes.set(
            xlabel="learning rate of the step (it grows from step to step)",
            ylabel="smoothed train loss (nats)",
            title=f"Learning-rate range test: {test.model} on {test.data}",
        )
        axes.grid(alpha=0.3)
        axes.legend()
