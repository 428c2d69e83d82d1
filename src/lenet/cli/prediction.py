"""The command that says what pictures show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lenet.cli.options import MACHINE, Engine, RunFolder, Which, say
from lenet.errors import UsageError


def predict(
    run: RunFolder,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders, patterns in quotes, files of images (.npy, .npz, IDX, .csv, "
            ".parquet), or - for a picture or a list of paths from the standard input.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File (.csv, .jsonl, .parquet), or a folder of shards; by default the answers are "
            "printed."
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="table (printed alone), csv, jsonl or parquet."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Likeliest classes of each picture.")] = 1,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="Draw one picture's preparation to --out, by default in RUN."
        ),
    ] = False,
    checkpoint: Which = None,
    engine: Engine = "auto",
    processes: Annotated[
        int | None, typer.Option(min=1, help="By default all cores.", rich_help_panel=MACHINE)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster, or auto; by default here.", rich_help_panel=MACHINE
        ),
    ] = None,
    shard_rows: Annotated[
        int | None, typer.Option(min=1, help="Images in a shard.", rich_help_panel=MACHINE)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Say what pictures show: class and probability, for one picture or for millions."""
    from lenet import bulk, tables

    if stages:
        say(_draw_stages(run, paths, out, checkpoint))
        return
    with bulk.PredictionProgress(quiet) as progress:
        options: dict[str, Any] = {
            "top": top,
            "which": checkpoint,
            "engine": engine,
            "processes": processes,
            "cluster": cluster,
            "shard_rows": shard_rows,
            "stdin": sys.stdin.buffer,
            "progress": progress,
        }
        if out is not None:
            outcome = bulk.predict(run, paths, out, kind=form, **options)
            say(tables.bulk_summary(outcome))
        else:
            outcome = _print_answers(run, paths, form or "table", options)
    outcome.check()


def _draw_stages(run: Path, paths: list[str], out: Path | None, which: str | None) -> str:
    from lenet import tables
    from lenet.plots.picture import draw_preparation
    from lenet.stages import follow_picture

    if len(paths) > 1:
        raise UsageError(f"--stages draws one picture, not {len(paths)}; name one")
    is_stdin = paths[0] == "-"
    found = follow_picture(run, sys.stdin.buffer.read() if is_stdin else paths[0], which=which)
    target = out or run / f"stages-{Path(found.name).stem}.png"
    draw_preparation(found, target)
    return tables.preparation(found, target)


def _print_answers(run: Path, paths: list[str], form: str, options: dict[str, Any]) -> Any:
    from lenet import bulk, tables

    kind = "jsonl" if form == "table" else form
    if kind == "parquet":
        raise UsageError("--format parquet is no text to print; name a file with --out")
    with bulk.predict_aside(run, paths, kind=kind, **options) as (outcome, folder):
        if form == "table":
            say(tables.answers(folder.rows(), folder.problems()))
        else:
            folder.join(sys.stdout.buffer)
            for name, reason in folder.problems():
                print(f"lenet: {name}: {reason}", file=sys.stderr)
    return outcome
