"""A study's report: one HTML file, two tables as CSV, four figures."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from lenet.runs import receipt
from lenet.studies import figures
from lenet.studies.analysis import Analysis, Cell, Table, analyse
from lenet.studies.folder import StudyFolder
from lenet.studies.measurement import Result
from lenet.studies.running import writing
from lenet.studies.statistics import check_scipy
from lenet.studies.words import format_difference, format_interval, format_score, verdict
from lenet.system.files import write_whole
from lenet.system.version import VERSION


def write_report(folder: StudyFolder) -> Path:
    """Write `report.html`, `runs.csv`, `comparisons.csv` and the figures into the study's folder.

    The CSV files depend on the study and its results alone, byte for byte.

    Raises:
        StudyError: if no study ran there, or no seed is complete.
    """
    check_scipy()
    study = folder.study()
    analysis = analyse(study, folder.results(study))
    path = folder.path / "report.html"
    with writing(folder.path):
        write_whole(folder.path / "runs.csv", _csv(_run_rows(analysis)))
        write_whole(folder.path / "comparisons.csv", _csv(_comparison_rows(analysis)))
        pictures = _draw(analysis, folder.path)
        write_whole(path, _render(analysis, pictures, folder))
    return path


def _draw(analysis: Analysis, folder: Path) -> dict[str, Path]:
    """The figures that this study has: what they show -> where they are."""
    drawn = {}
    if any(len(row.cells) > 1 for row in analysis.arms):
        drawn["scores"] = folder / "scores.png"
        figures.draw_scores(analysis, drawn["scores"])
    drawn["differences"] = folder / "differences.png"
    title = "Each arm at its chosen rate" if "scores" in drawn else "Each arm against the control"
    figures.draw_differences(analysis, analysis.best, title, drawn["differences"])
    if analysis.base is not None:
        drawn["base"] = folder / "differences-base.png"
        title = f"All at learning rate {analysis.study.recipe.learning_rate:g}"
        figures.draw_differences(analysis, analysis.base, title, drawn["base"])
    drawn["divergence"] = folder / "divergence.png"
    figures.draw_divergence(analysis, drawn["divergence"])
    drawn["mechanism"] = folder / "mechanism.png"
    figures.draw_mechanism(analysis, drawn["mechanism"])
    return drawn


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    listed = list(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, listed[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return stream.getvalue()


def _run_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    for row in analysis.arms:
        for cell in row.cells:
            for result in cell.results:
                yield {"arm": row.arm.name, "learning_rate": cell.learning_rate, **_run(result)}


def _run(result: Result) -> dict[str, Any]:
    divergence = result["divergence"] or {"kind": "", "updates": ""}
    epochs, last = result["epochs"], result["mechanism"][-1]
    return {
        "seed": result["task"]["recipe"]["seed"],
        "divergence": divergence["kind"],
        "updates": divergence["updates"],
        "validation_accuracy": result["validation_accuracy"],
        "validation_loss": result["validation_loss"],
        "test_accuracy": result["test_accuracy"],
        "test_loss": result["test_loss"],
        "train_loss": epochs[-1]["train_loss"] if epochs else "",
        "dead": last["dead"],
        "saturated": last["saturated"],
        "largest_gradient_norm": figures.largest_gradient(result),
        "engine": result["engine"],
    }


def _comparison_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    control = analysis.study.control
    for name, table in _tables(analysis):
        for arm, pair in {**table.pairs, **table.null}.items():
            yield {
                "table": name,
                "arm": arm,
                "learning_rate": table.rates[arm],
                "control": control,
                "control_learning_rate": table.rates[control],
                **asdict(pair),
            }


def _tables(analysis: Analysis) -> list[tuple[str, Table]]:
    rate = analysis.study.recipe.learning_rate
    found = [("each arm at its chosen rate", analysis.best)]
    if analysis.base is not None:
        found.append((f"all at learning rate {rate:g}", analysis.base))
    return found


def _render(analysis: Analysis, pictures: dict[str, Path], folder: StudyFolder) -> str:
    from jinja2 import Environment, StrictUndefined

    study = analysis.study
    page = resources.files("lenet.studies").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["score"] = lambda value: format_score(study, value)
    environment.filters["difference"] = lambda value: format_difference(study, value)
    environment.filters["interval"] = lambda pair: format_interval(study, pair)
    sessions = receipt.read_sessions(folder.path, "runs")
    return environment.from_string(page).render(
        study=study,
        analysis=analysis,
        verdict=verdict(analysis),
        tables=_tables(analysis),
        pictures={name: _uri(path) for name, path in pictures.items()},
        total=sum(1 for _ in study.tasks()),
        engines=sorted(_engines(analysis)),
        sessions=sessions,
        hours=sum(session["seconds"] for session in sessions) / 3600,
        runs=sum(session["runs"] for session in sessions),
        version=VERSION,
    )


def _engines(analysis: Analysis) -> set[str]:
    cells: list[Cell] = [cell for row in analysis.arms for cell in row.cells]
    return {result["engine"] for cell in cells for result in cell.results}


def _uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
