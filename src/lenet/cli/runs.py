"""Commands that ask something of trained runs: `evaluate`, `explain`, `report`, `runs`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli.options import (
    DataDir,
    Device,
    Engine,
    EngineName,
    RunFolder,
    Seen,
    SplitName,
    Threads,
    Which,
    complete_data,
    complete_run,
    find_run_folder,
)
from lenet.cli.printing import say, show_warning, table
from lenet.errors import RecipeError, RunError, UsageError

if TYPE_CHECKING:
    from lenet.prediction.evaluation import Result
    from lenet.prediction.explanation import Explanation
    from lenet.prediction.metrics import Evaluation
    from lenet.runs.run import Run

WIDEST_MATRIX = 25
"""Classes whose confusion matrix is printed; of more, the most frequent confusions are."""

MOST_CONFUSIONS = 20

LONGEST_PART = 60
"""Letters of a name that become part of a file's name."""


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Runs' folders; last is the newest.", autocompletion=complete_run
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="By default the run's own.", autocompletion=complete_data),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Which images.")] = SplitName.test,
    by_position: Annotated[
        bool,
        typer.Option("--by-position", help="Compare classes by their order and not by name."),
    ] = False,
    views: Seen = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Score the mean answer of several runs as well.")
    ] = False,
    data_dir: DataDir = None,
    checkpoint: Which = None,
    picture: Annotated[
        Path | None, typer.Option(help="Confusion picture; by default in the first run's folder.")
    ] = None,
    engine: Engine = EngineName.auto,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a trained network: accuracy with its interval, per-class scores, confusion matrix."""
    from lenet.prediction import evaluation
    from lenet.show.live import download_bars

    if len(runs) > 1 and not ensemble:
        raise UsageError(
            f"{len(runs)} runs: add --ensemble to score their mean answer, or name one run"
        )
    if len(runs) < 2 and ensemble:
        raise UsageError("--ensemble is the mean answer of several runs: name two or more")
    folders = [find_run_folder(run) for run in runs]
    with download_bars() as progress:
        results = evaluation.evaluate_runs(
            folders,
            data,
            split,
            data_dir=data_dir,
            which=checkpoint,
            engine=engine,
            device=device,
            threads=threads,
            by_position=by_position,
            views=views,
            progress=progress,
        )
    result = results[-1]
    if ensemble:
        say(_members(results))
    say(_evaluation(result))
    _draw_confusion(result, folders, picture)
    evaluation.check_inputs(result)


def _members(results: Sequence[Result]) -> str:
    """A line a run, and the last one for all together."""
    headings = ["run", "accuracy", "loss"]
    rows = [_member_row(result) for result in results]
    if results[0].viewed is not None:
        headings += ["over views", "loss over views"]
    return table(headings, rows, " " + "r" * (len(headings) - 1)) + "\n"


def _member_row(result: Result) -> list[str]:
    found = [result.evaluation] + ([result.viewed] if result.viewed is not None else [])
    scores = [f"{value:.4f}" for each in found for value in (each.accuracy, each.loss)]
    return [result.run, *scores]


def _draw_confusion(result: Result, folders: Sequence[Path], picture: Path | None) -> None:
    """Draw it; a run's folder that nobody may write in is no reason to fail."""
    from lenet.show.figures import Drawer, check_place, draw_confusion

    together = f"-of-{len(folders)}" if len(folders) > 1 else ""
    name = f"confusion{together}-{_file_name(result.data)}-{result.split}.png"
    target = picture or folders[0] / name
    shown = result.run if together else folders[0].name
    title = f"{shown}: {result.data}, {result.split} split"
    try:
        if picture is not None:
            check_place(picture, Drawer.EVALUATE)
        draw_confusion(result.evaluation.confusion, result.class_names, title, target)
    except UsageError as error:
        if picture is not None:
            raise
        show_warning(f"{error}; or name one with --picture")
    else:
        say(f"\npicture: {target}")


def _file_name(name: str) -> str:
    """`name` as part of a file's name, cut to what file systems take."""
    return name.replace("/", "-").replace("\0", "")[:LONGEST_PART]


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Runs' folders; last is the newest.", autocompletion=complete_run
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page; by default report.html (or report-SPLIT.html) in the first run."
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Which images.")] = SplitName.test,
    data_dir: DataDir = None,
    checkpoint: Which = None,
) -> None:
    """Write one HTML file: curves, scores, worst mistakes, every layer; several runs compared."""
    from lenet.show.report import write_report

    folders = [find_run_folder(run) for run in runs]
    path = write_report(folders, out, data_dir=data_dir, split=split, which=checkpoint)
    say(f"report: {path}")


def explain(
    run: RunFolder,
    picture: Annotated[str, typer.Argument(help="A picture, or SPLIT:INDEX, as test:17.")],
    data_dir: DataDir = None,
    checkpoint: Which = None,
    out: Annotated[
        Path | None, typer.Option(help="Figure to write; by default in the run's folder.")
    ] = None,
) -> None:
    """Draw one decision: the picture, what mattered in it, every layer's maps, the answer."""
    from lenet.prediction.explanation import explain_run, find_example
    from lenet.show.figures import Drawer, check_other, check_place, draw_decision

    folder = find_run_folder(run)
    name = Path(picture.replace(":", "-")).stem
    target = out or folder / f"explain-{_file_name(name)}.png"
    source = picture if find_example(picture) else str(Path(picture).absolute())
    if out is not None:
        check_place(out, Drawer.EXPLAIN, source)
    else:
        check_other(target, Drawer.EXPLAIN, source)
    found = explain_run(folder, picture, data_dir=data_dir, which=checkpoint)
    say(_decision(found))
    draw_decision(found, target, source)
    say(f"\npicture: {target}")


def list_all(
    folder: Annotated[Path | None, typer.Argument(help="Where to look; by default runs/.")] = None,
) -> None:
    """List the runs in a folder, newest first: data, model, score, when."""
    from lenet.runs.run import RUNS, list_runs

    place = folder or RUNS
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder; check the path")
    runs = list_runs(place)
    if not runs:
        say(f"no run is in {place}/")
        return
    headings = ["run", "data", "model", "epochs", "train loss", "validation", "test", "when"]
    say(table(headings, [_run_row(run) for run in runs], "   rrrr"))


def _run_row(run: Run) -> list[str]:
    try:
        facts, epochs = run.receipt(), run.epochs()
    except RunError as error:
        show_warning(str(error))
        return [run.name, "damaged", *"-----", ""]
    last = epochs[-1] if epochs else {}
    scores = (last.get(name) for name in ("train_loss", "validation_accuracy", "test_accuracy"))
    started = facts["sessions"][-1]["started"] if facts["sessions"] else ""
    return [
        run.name,
        facts["data"]["name"],
        facts["model"],
        _epochs(run, facts, len(epochs)),
        *("-" if score is None else f"{score:.3f}" for score in scores),
        started.replace("T", " ").removesuffix("+00:00"),
    ]


def _epochs(run: Run, facts: dict[str, Any], done: int) -> str:
    """How many were trained; of how many, where some are missing."""
    from lenet.recipe import Recipe
    from lenet.runs.receipt import CLASSIFIER, divergence

    kept = facts.get(CLASSIFIER)
    if isinstance(kept, dict):  # whole, without a history
        return str(kept.get("epochs", "-"))
    try:
        planned = Recipe.read(run.recipe_path).epochs
    except RecipeError:
        planned = done
    words = str(done) if done == planned else f"{done} of {planned}"
    return f"{words}, diverged" if divergence(facts) else words


def _evaluation(result: Result) -> str:
    """Accuracy with its interval, per-class scores, and the confusion matrix."""
    scores = result.evaluation
    low, high = scores.accuracy_interval
    head = (
        f"{result.data}, {result.split} split, {scores.count:,} images: "
        f"accuracy {scores.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), "
        f"loss {scores.loss:.4f}, {scores.misses:,} misses"
    )
    if result.views is not None and result.viewed is not None:
        low, high = result.viewed.accuracy_interval
        head += (
            f"\nmean over {result.views.describe()}: accuracy {result.viewed.accuracy:.4f} (95 % "
            f"interval {low:.4f} to {high:.4f}), loss {result.viewed.loss:.4f}; what follows is of "
            "the images as they are"
        )
    if result.age:
        head += f"\nthe network of {result.age}"
    classes = _class_table(result.class_names, scores)
    few = len(result.class_names) <= WIDEST_MATRIX
    confusion = (_confusion_table if few else _confusion_list)(result.class_names, scores)
    return f"{head}\n\n{classes}\n\n{confusion}"


def _class_table(names: Sequence[str], scores: Evaluation) -> str:
    counts = scores.confusion.sum(axis=1)
    rows = [
        [name, f"{count:,}", _fraction(precision), _fraction(recall), _fraction(f1)]
        for name, count, precision, recall, f1 in zip(
            names, counts, scores.precision, scores.recall, scores.f1, strict=True
        )
    ]
    return table(["class", "images", "precision", "recall", "f1"], rows, " rrrr")


def _confusion_table(names: Sequence[str], scores: Evaluation) -> str:
    headings = ["label \\ prediction", *(str(index) for index in range(len(names)))]
    rows = [
        [f"{index} {name}", *(str(count) if count else "." for count in scores.confusion[index])]
        for index, name in enumerate(names)
    ]
    return table(headings, rows, " " + "r" * len(names))


def _confusion_list(names: Sequence[str], scores: Evaluation) -> str:
    """The most frequent mistakes, where the matrix would be wider than a screen."""
    import numpy as np

    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    rows = []
    for label, prediction in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[label, prediction]:
            rows.append([names[label], names[prediction], f"{wrong[label, prediction]:,}"])
    return table(["label", "read as", "images"], rows, "  r")


def _fraction(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _decision(found: Explanation, most: int = 5) -> str:
    """The likeliest classes of one picture."""
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
    return f"{found.title}\n\n{answers}"
