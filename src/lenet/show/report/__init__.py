"""A run, or several side by side, as one HTML file that needs nothing but itself.

Kept here: what the page says of a run, its drawings and its template.  It may know prediction, runs
and the chart; it knows no figure of Matplotlib's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from lenet.data import Source
from lenet.errors import UsageError
from lenet.prediction.metrics import PairedDifference, paired_difference
from lenet.show import html
from lenet.show.report.content import Part, gather
from lenet.system.version import VERSION

NAME = "report.html"

MARK = '<meta name="generator" content="lenet report'
"""In every report."""


def write_report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    data: Source | None = None,
    data_dir: str | Path | None = None,
    split: str = "test",
    which: str | None = None,
) -> Path:
    """Write the report of `runs`, by default to `report.html` in the first one's folder.

    Of another split than the test images that is `report-SPLIT.html`.  `data` is what they were
    trained on, where that was at hand only; `which` is the checkpoint of each, "last" or "best", by
    default the best where there is one.

    Raises:
        UsageError: if there is no run, the runs were trained on different data, or the page cannot
            be written, or something else is at `out`.
        LenetError: as `gather`.
    """
    if isinstance(runs, str | Path) or not isinstance(runs, Iterable):
        runs = [runs]
    if not runs:
        raise UsageError("a report needs at least one run; name its folder")
    if out is not None:
        html.check_place(Path(out), MARK, "report")
    parts = [gather(run, data_dir, split, data, which) for run in runs]
    if len({_test_images(part) for part in parts}) > 1:
        names = sorted({part.checkpoint.data.name for part in parts})
        more = ", with different test images" if len(names) == 1 else ""
        raise UsageError(
            f"these runs were trained on {', '.join(names)}{more}: only runs on the same data "
            "can be compared image by image; write a report for each"
        )
    path = Path(out) if out else parts[0].run.path / _name(split)
    html.write(path, render(parts, split), "report")
    return path


def _name(split: str) -> str:
    return NAME if split == "test" else f"{Path(NAME).stem}-{split}.html"


def _test_images(part: Part) -> tuple[Any, ...]:
    """What decides which images a run is scored on."""
    data = part.checkpoint.data
    if data.origin is None:
        return (data.name,)
    return (data.origin.path, data.origin.reading.split_seed, data.origin.reading.channels)


def render(parts: Sequence[Part], split: str) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined

    page = resources.files("lenet.show.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["percent"] = lambda value: "-" if value != value else f"{value:.1%}"
    environment.filters["points"] = lambda value: f"{100 * value:+.2f}"
    return environment.from_string(page).render(
        parts=parts,
        split=split,
        names=parts[0].checkpoint.data.class_names,
        data=parts[0].checkpoint.data.name,
        version=VERSION,
        differences=_differences(parts),
        shares=[_shares(part) for part in parts],
        bins=[_bins(part) for part in parts],
    )


def _differences(parts: Sequence[Part]) -> list[tuple[Part, PairedDifference]]:
    """Each later run against the first, image by image."""
    return [(part, paired_difference(part.right, parts[0].right)) for part in parts[1:]]


def _shares(part: Part) -> list[list[float]]:
    """The confusion matrix as shares of each label's images."""
    confusion = part.evaluation.confusion
    totals = confusion.sum(axis=1, keepdims=True)
    shares: list[list[float]] = (confusion / totals.clip(min=1)).tolist()
    return shares


def _bins(part: Part) -> list[dict[str, Any]]:
    """The bins of the reliability diagram that hold images."""
    calibration = part.calibration
    rows = zip(calibration.confidence, calibration.accuracy, calibration.count, strict=True)
    return [
        {"confidence": float(confidence), "accuracy": float(accuracy), "count": int(count)}
        for confidence, accuracy, count in rows
        if count
    ]
