"""A run at hand in Python: its history, its curves, its scores, its decisions.

Predictions and reports are imported where they are asked for, since a training starts without them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lenet import plots
from lenet.display.chart import line_chart
from lenet.display.notebook import SERIES
from lenet.explanation import Explanation, explain_run
from lenet.metrics import Evaluation
from lenet.prediction import evaluate_run
from lenet.run import Run
from lenet.run import open_run as _open_run

if TYPE_CHECKING:
    from lenet.bulk import Answer
    from lenet.bulk.direct import Picture


class Chart(str):
    """SVG text that a notebook shows as a picture."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Decision(Explanation):
    """An explanation that a notebook shows as a picture."""

    def save(self, path: str | Path) -> Path:
        """Draw it to `path` (PNG, or what the ending says)."""
        plots.draw_decision(self, Path(path))
        return Path(path)

    def _repr_png_(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.save(Path(folder) / "decision.png").read_bytes()


@dataclass(frozen=True, slots=True)
class TrainedRun(Run):
    """A run on disk, with what can be asked of it."""

    def plot(self) -> Chart:
        """The note's figure: the curves of the training so far, as SVG."""
        epochs = self.checkpoint().recipe.epochs
        return Chart(line_chart(self.history(), SERIES, epochs, self.name))

    def evaluate(
        self,
        split: str = "test",
        data: str | Path | None = None,
        data_dir: str | Path | None = None,
    ) -> Evaluation:
        """Scores on a split of the run's data, or of other data with the same classes."""
        folder = None if data_dir is None else Path(data_dir)
        return evaluate_run(self.path, data, split, data_dir=folder).evaluation

    def explain(self, picture: str | Path, data_dir: str | Path | None = None) -> Decision:
        """One decision, layer by layer; `picture` is a file or `SPLIT:INDEX`, as `test:17`."""
        found = explain_run(self.path, picture, data_dir=data_dir)
        return Decision(**{field.name: getattr(found, field.name) for field in fields(found)})

    def predict(
        self, pictures: Picture | Iterable[Picture], top: int = 1, which: str | None = None
    ) -> Answer | list[Answer]:
        """What pictures show: an answer for one, a list for several.

        A picture is a path, the bytes of a file, or uint8 (height, width) or (channels, height,
        width); an array (n, channels, height, width) is several.  An array in the network's shape
        is taken as it is, all else is prepared as the run's data was.  For files in bulk see
        `lenet predict`.

        Raises:
            FormatError: at the first picture that cannot be read.
            UsageError: if something is no picture, or `top` is out of range.
        """
        from lenet.bulk import Network, answer_pictures

        network = Network.of(self.checkpoint(which))
        if isinstance(pictures, str | Path | bytes) or (
            isinstance(pictures, np.ndarray) and pictures.ndim < 4
        ):
            return answer_pictures(network, [pictures], top)[0]
        return answer_pictures(network, pictures, top)

    def report(self, out: str | Path | None = None, data_dir: str | Path | None = None) -> Path:
        """Write the run's report as one HTML file, by default into its folder."""
        from lenet.report import write_report

        return write_report([self.path], out, data_dir=data_dir)


def open_run(path: str | Path) -> TrainedRun:
    """The run in folder `path`.

    Raises:
        RunError: if there is none.
    """
    return TrainedRun(_open_run(path).path)
