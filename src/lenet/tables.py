"""What the commands print, as text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lenet import bulk, data, engines, machine, metrics, receipt, studies, zoo
from lenet.display import describe_row
from lenet.explanation import Explanation
from lenet.prediction import Result
from lenet.rate_finder import MARGIN, RangeTest
from lenet.run import Run
from lenet.stages import Preparation

WIDTH = 160

MOST_SHOWN = 200
"""Rows of a table of answers; nobody reads more on a screen."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> str:
    """Columns of text; `right` holds one letter a column, `r` for those aligned to the right."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for heading, side in zip(headings, right.ljust(len(headings)), strict=True):
        drawn.add_column(heading, justify="right" if side == "r" else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, markup=False, highlight=False).print(drawn)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def summary(run: Run) -> str:
    """The note's two lines, then where the run and its picture are."""
    facts, epochs = run.receipt(), run.epochs()
    session = facts["sessions"][-1]
    speed = receipt.examples_per_second(facts)
    own = [_own_data(facts["data"])] if "survey" in facts["data"] else []
    where = f"{session['device']} ({session['engine']} engine, {session['threads']} threads)"
    return "\n".join(
        [
            *own,
            describe_row(epochs[-1]),
            f"{speed:.1f} examples/sec on {where}",
            f"run: {run.path}",
            f"picture: {run.curves_path}",
        ]
    )


def _own_data(facts: dict[str, Any]) -> str:
    """What a run was trained on, in one line."""
    survey = facts["survey"]
    counts = survey["counts"]
    sizes = [sum(classes) for classes in zip(*counts.values(), strict=True)]
    splits = ", ".join(f"{sum(classes):,} {name}" for name, classes in counts.items())
    return (
        f"{facts['name']}: {len(sizes)} classes of {min(sizes):,} to {max(sizes):,} images; "
        f"{splits}; {survey['prepared']}"
    )


def own_data(dataset: data.Dataset) -> str:
    """Classes by split, how images and splits were made, copies, and what cannot be used."""
    survey = dataset.survey
    if survey is None:
        return ""
    columns = list(zip(*survey.counts.values(), strict=True))
    rows = [
        [name, *(f"{count:,}" for count in counts)]
        for name, counts in zip(dataset.class_names, columns, strict=True)
    ]
    rows.append(["all", *(f"{sum(counts):,}" for counts in survey.counts.values())])
    lines = [
        table(["class", *survey.counts], rows, " " + "r" * len(survey.counts)),
        "",
        f"images: {survey.prepared}",
        f"splits: {survey.division}",
        f"same pixels again: {survey.copies:,} in a split, {survey.shared:,} across splits, "
        f"{survey.disputed:,} in two classes",
    ]
    lines += [f"left out: {row.path}: {row.reason}" for row in survey.left_out]
    return "\n".join([*lines, "", ""])


def models() -> str:
    """Every network of the zoo for 28x28 pictures and 10 classes."""
    rows = []
    for name, row in zoo.ZOO.items():
        spec = zoo.build(name)
        counts = (spec.parameters, spec.connections, spec.multiply_adds)
        rows.append([name, *(f"{count:,}" for count in counts), row.title])
    headings = ["model", "parameters", "connections", "multiply-adds", "what it is"]
    return table(headings, rows, " rrr")


def evaluation(result: Result) -> str:
    """Accuracy with its interval, per-class scores, and the confusion matrix."""
    scores = result.evaluation
    low, high = scores.accuracy_interval
    head = (
        f"{result.data}, {result.split} split, {scores.count:,} images: "
        f"accuracy {scores.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), "
        f"loss {scores.loss:.4f}, {scores.misses:,} misses"
    )
    classes = _class_table(result.class_names, scores)
    confusion = _confusion_table(result.class_names, scores)
    return f"{head}\n\n{classes}\n\n{confusion}\n\npicture: {result.picture}"


def _class_table(names: Sequence[str], scores: metrics.Evaluation) -> str:
    counts = scores.confusion.sum(axis=1)
    rows = [
        [name, f"{count:,}", _fraction(precision), _fraction(recall), _fraction(f1)]
        for name, count, precision, recall, f1 in zip(
            names, counts, scores.precision, scores.recall, scores.f1, strict=True
        )
    ]
    return table(["class", "images", "precision", "recall", "f1"], rows, " rrrr")


def _confusion_table(names: Sequence[str], scores: metrics.Evaluation) -> str:
    headings = ["label \\ prediction", *(str(index) for index in range(len(names)))]
    rows = [
        [f"{index} {name}", *(str(count) if count else "." for count in scores.confusion[index])]
        for index, name in enumerate(names)
    ]
    return table(headings, rows, " " + "r" * len(names))


def _fraction(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def decision(found: Explanation, picture: Path, most: int = 5) -> str:
    """The likeliest classes of one picture, then where the figure is."""
    order = found.probabilities.argsort()[::-1][:most]
    rows = [
        [
            found.class_names[index],
            f"{found.probabilities[index]:.4f}",
            f"{found.logits[index]:.2f}",
        ]
        for index in order
    ]
    answers = table(["class", "probability", "logit"], rows, " rr")
    return f"{found.title}\n\n{answers}\n\npicture: {picture}"


def answers(rows: Iterable[Mapping[str, Any]], problems: Iterable[tuple[str, str]]) -> str:
    """A line for each picture, and one for each that could not be used; the first `MOST_SHOWN`."""
    found, bad = list(islice(rows, MOST_SHOWN + 1)), list(islice(problems, MOST_SHOWN + 1))
    lines = []
    if found:
        names = [name for name in found[0] if name != "notes" or any(row[name] for row in found)]
        shown = [[_cell(name, row[name]) for name in names] for row in found[:MOST_SHOWN]]
        right = "".join("r" if "probability" in name else " " for name in names)
        lines.append(table(names, shown, right))
    lines += [f"{name}: {reason}" for name, reason in bad[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN or len(bad) > MOST_SHOWN:
        lines.append(f"... and more than {MOST_SHOWN}; for all of them: --format csv, or --out")
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    return f"{value:.4f}" if "probability" in name else str(value).replace("\n", " ")


def preparation(found: Preparation, picture: Path) -> str:
    """The likeliest class after each stage of a picture's preparation, then where the figure is."""
    rows = [
        [
            answer.stage.name,
            "x".join(str(side) for side in answer.stage.image.shape[:0:-1]),
            found.class_names[answer.prediction],
            f"{answer.probabilities[answer.prediction]:.4f}",
        ]
        for answer in found.stages
    ]
    shown = table(["stage", "pixels", "class", "probability"], rows, "   r")
    return f"{', '.join((found.name, *found.picture.notes))}\n\n{shown}\n\npicture: {picture}"


def bulk_summary(outcome: bulk.Outcome) -> str:
    """How many were answered, and where it all is."""
    lines = [f"{outcome.answers:,} images answered: {outcome.out}"]
    if outcome.problems:
        lines.append(f"{outcome.problems:,} inputs could not be used: {outcome.errors}")
    return "\n".join(lines)


def data_sets(data_dir: Path | None = None) -> str:
    """Every row of the catalog, and where it is on this machine."""
    rows = []
    for name, entry in data.CATALOG.items():
        location = data.locate(name, data_dir)
        where = "not here; fetched when it is used" if location is None else str(location.folder)
        where = "bundled" if entry.is_bundled else where
        rows.append([name, str(len(entry.class_names)), entry.title, where])
    return table(["name", "classes", "what it is", "where"], rows, " r")


def verification(name: str, rows: Sequence[data.Verification]) -> str:
    """Each file's SHA-256, and whether it is the published one."""
    if not rows:
        return f"{name} comes with scikit-learn: there are no files to verify"
    shown = [
        [
            str(row.path),
            row.sha256,
            "as published"
            if row.expected == f"sha256:{row.sha256}"
            else f"out of the published {row.expected}",
        ]
        for row in rows
    ]
    return table(["file", "SHA-256 of the payload", "verdict"], shown)


def doctor(data_dir: Path | None = None) -> str:
    """What this machine has."""
    facts = {**machine.versions(), **{key: str(value) for key, value in machine.describe().items()}}
    facts |= {f"engine {name}": reason for name, reason in engines.availability().items()}
    facts["device (auto)"] = engines.pick_device()
    facts["cache folder"] = str(data.cache_folder())
    return table(["what", "here"], list(facts.items())) + "\n\n" + data_sets(data_dir)


def studies_list() -> str:
    """The built-in studies: what they ask, and how many runs that takes."""
    rows = [
        [name, str(sum(1 for _ in study.tasks())), study.data, study.title]
        for name, study in studies.built_in().items()
    ]
    return table(["study", "runs", "data", "what it compares"], rows, " r")


def study_status(folder: studies.StudyFolder) -> str:
    """How many runs are done, and why some failed."""
    study = folder.study()
    missing, failures = folder.missing(study), folder.failures()
    total = sum(1 for _ in study.tasks())
    lines = [f"{study.title}: {total - len(missing)} of {total} runs are done"]
    for task in missing:
        if task.key in failures:
            lines.append(f"failed: {task.describe()}: {failures[task.key]}")
    return "\n".join(lines)


def study_summary(folder: studies.StudyFolder) -> str:
    """Write the report, and say the answer and where all of it is."""
    report = studies.write_report(folder)
    study = folder.study()
    found = studies.analyse(study, folder.results(study))
    return "\n\n".join([*studies.verdict(found), f"report: {report}"])


def range_test(test: RangeTest, picture: Path) -> str:
    """The suggested learning rate, and why."""
    return "\n".join(
        [
            f"suggested learning rate: {test.suggestion:.2g}",
            f"the smoothed loss is lowest ({test.losses.min():.3f}) at {test.best:.2g}, after "
            f"{int(test.losses.argmin()) + 1} of {len(test.losses)} steps; the suggestion is a "
            f"{1 / MARGIN:g} of that rate",
            f"picture: {picture}",
        ]
    )
