"""The note's animated figure in a notebook: one output, updated in place."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from lenet.display.base import DownloadBars, Plan, epoch_line
from lenet.display.chart import Series, line_chart
from lenet.run import Row

REFRESH_SECONDS = 0.2

SERIES = (
    Series("train_loss", "train loss", "#0072B2"),
    Series("train_accuracy", "train acc", "#D55E00", dash="6 3"),
    Series("validation_accuracy", "validation acc", "#666666", dash="2 3", marks=True),
    Series("test_accuracy", "test acc", "#009E73", dash="8 3 2 3", marks=True),
)


def in_notebook() -> bool:
    """True in a Jupyter kernel, which JupyterLab and VS Code both run."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class NotebookDisplay:
    """Five points an epoch of the train metrics, one of the test accuracy, as in the note."""

    def __init__(self) -> None:
        self._bars = DownloadBars()
        self._handle: Any = None

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Display`."""
        self._bars.stop()
        self._plan, self._history = plan, list(plan.history)
        self._line, self._drawn = "", 0.0
        self._draw()

    def step(self, epoch: int, step: int) -> None:
        """See `Display`."""

    def point(self, row: Row) -> None:
        """See `Display`; draws at most every `REFRESH_SECONDS`."""
        self._history.append(row)
        if time.perf_counter() - self._drawn >= REFRESH_SECONDS:
            self._draw()

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Display`."""
        self._history.append(row)
        self._line = epoch_line(row, self._plan.epochs, examples_per_second)
        self._draw()

    def stop(self) -> None:
        """See `Display`."""
        if self._handle is not None:
            self._draw()

    def _draw(self) -> None:
        ipython: Any = importlib.import_module("IPython.display")
        chart = line_chart(self._history, SERIES, self._plan.epochs, self._plan.title, self._line)
        if self._handle is None:
            self._handle = ipython.display(ipython.HTML(chart), display_id=True)
        else:
            self._handle.update(ipython.HTML(chart))
        self._drawn = time.perf_counter()
