"""The note's animated figure in a notebook: one output, updated in place."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any, final

from lenet.runs.run import Row
from lenet.show.chart import NOTE_SERIES, line_chart
from lenet.show.live.base import Display, DownloadBars, epoch_line
from lenet.training.watcher import Plan

REFRESH_SECONDS = 0.2


def in_notebook() -> bool:
    """True in a Jupyter kernel: JupyterLab's, VS Code's, or Colab's, whose shell is derived."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


@final
class NotebookDisplay(Display):
    """Five points an epoch of the train metrics, one of the test accuracy, as in the note."""

    def __init__(self) -> None:
        self._bars = DownloadBars()
        self._handle: Any = None

    def download(self, name: str, done: int, total: int | None) -> None:
        """See `Display`."""
        self._bars.show(name, done, total)

    def start(self, plan: Plan) -> None:
        """See `Watcher`."""
        self._bars.stop()
        self._plan, self._history = plan, list(plan.history)
        self._line, self._drawn = "", 0.0
        self._draw()

    def step(self, epoch: int, step: int) -> None:
        """See `Watcher`."""

    def point(self, row: Row) -> None:
        """See `Watcher`; draws at most every `REFRESH_SECONDS`."""
        self._history.append(row)
        if time.perf_counter() - self._drawn >= REFRESH_SECONDS:
            self._draw()

    def epoch(self, row: Row, examples_per_second: float) -> None:
        """See `Watcher`."""
        self._history.append(row)
        self._line = epoch_line(row, self._plan.epochs, examples_per_second)
        self._draw()

    def stop(self) -> None:
        """See `Watcher`."""
        self._bars.stop()
        if self._handle is not None:
            self._draw()

    def _draw(self) -> None:
        ipython: Any = importlib.import_module("IPython.display")
        chart = line_chart(
            self._history, NOTE_SERIES, self._plan.epochs, self._plan.title, self._line
        )
        if self._handle is None:
            self._handle = ipython.display(ipython.HTML(chart), display_id=True)
        else:
            self._handle.update(ipython.HTML(chart))
        self._drawn = time.perf_counter()
