"""Commands that ask something of a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import DataDir, Device, Engine, RunFolder, Threads, Which, say


def evaluate(
    run: RunFolder,
    data: Annotated[str | None, typer.Option(help="By default the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data_dir: DataDir = None,
    checkpoint: Which = None,
    picture: Annotated[
        Path | None, typer.Option(help="Confusion picture; by default in the run's folder.")
    ] = None,
    engine: Engine = "auto",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a trained network: accuracy with its interval, per-class scores, confusion matrix."""
    from lenet import prediction, tables

    result = prediction.evaluate_run(
        run,
        data,
        split,
        data_dir=data_dir,
        which=checkpoint,
        engine=engine,
        device=device,
        threads=threads,
        picture=picture,
    )
    say(tables.evaluation(result))
    prediction.check_inputs(result)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs' folders.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; by default report.html in the first run.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data_dir: DataDir = None,
) -> None:
    """Write one HTML file: curves, scores, worst mistakes, every layer; several runs compared."""
    from lenet import report as reports

    say(f"report: {reports.write_report(runs, out, data_dir=data_dir, split=split)}")


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
    from lenet import explanation, plots, tables

    found = explanation.explain_run(run, picture, data_dir=data_dir, which=checkpoint)
    name = Path(picture.replace(":", "-")).stem
    target = out or run / f"explain-{name}.png"
    plots.draw_decision(found, target)
    say(tables.decision(found, target))
