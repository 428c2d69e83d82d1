"""The command that says what pictures show: `predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from lenet.cli.options import (
    MACHINE,
    Engine,
    EngineName,
    FormatName,
    RunFolder,
    Seen,
    Which,
    find_run_folder,
)
from lenet.cli.printing import remark, say, table
from lenet.cli.stopping import stopping
from lenet.errors import FormatError, InputError, PartialError, UsageError
from lenet.system.streams import input_was_closed

if TYPE_CHECKING:
    from lenet.prediction.bulk import Few, Inputs, Outcome
    from lenet.prediction.bulk.inputs import Piece
    from lenet.prediction.network import Answer
    from lenet.prediction.stages import Preparation

MOST_SHOWN = 200
"""Rows of a table of answers; nobody reads more on a screen."""


def predict(
    run: RunFolder,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders, patterns in quotes, files of images (.npy, .npz, IDX, .csv, "
            ".parquet), lists of pictures (.csv), or - for a picture or a list of paths from the "
            "standard input.",
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
        FormatName | None,
        typer.Option("--format", help="table is for the screen alone."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Likeliest classes of each picture.")] = 1,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="Draw one picture's preparation to --out, by default in RUN."
        ),
    ] = False,
    each: Annotated[
        bool,
        typer.Option("--each", help="Answer for every character of a line, left to right."),
    ] = False,
    views: Seen = False,
    checkpoint: Which = None,
    engine: Engine = EngineName.auto,
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
        int | None,
        typer.Option(
            min=1,
            help="Images in a shard; by default 100 to 5000, for about 64 shards.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Say what pictures show: class and probability, for one picture or for millions."""
    from lenet.prediction import bulk

    if stages and (each or views or top != 1 or form is not None):
        raise UsageError("--stages draws one picture: leave out --each, --views, --top, --format")
    if (stages or each) and (processes or cluster or shard_rows):
        word = "--stages" if stages else "--each"
        raise UsageError(f"{word} works here: leave out --processes, --cluster and --shard-rows")
    folder = find_run_folder(run)
    if stages:
        say(_draw_stages(folder, paths, out, checkpoint, engine))
        return
    if each:
        if out is not None or form is FormatName.parquet:
            raise UsageError(
                "--each prints its answers: leave out --out and --format parquet; --format csv or "
                "jsonl, and > FILE, keep them"
            )
        if views:
            raise UsageError("--each takes every character as it is: leave out --views")
        _answer_each(folder, paths, top, form or FormatName.table, checkpoint, engine)
        return
    kept = "what is done is kept, and the same command goes on"
    with (
        stopping("no answer was printed" if out is None else kept),
        bulk.PredictionProgress(quiet) as progress,
    ):
        options: dict[str, Any] = {
            "top": top,
            "which": checkpoint,
            "engine": engine,
            "views": views,
            "processes": processes,
            "cluster": cluster,
            "shard_rows": shard_rows,
            "progress": progress,
        }
        inputs = bulk.Inputs(paths, _standard_input())
        if out is None:
            found = _print_answers(folder, inputs, form or FormatName.table, options)
        else:
            kind = None if form is None else str(form)
            found = bulk.predict(folder, inputs, out, kind=kind, **options)
            say(_summary(found))
    found.check()


def _draw_stages(
    run: Path, paths: list[str], out: Path | None, which: str | None, engine: EngineName
) -> str:
    from lenet.prediction import bulk
    from lenet.prediction.stages import follow_picture
    from lenet.show.figures import Drawer, check_other, check_place, draw_preparation

    if len(paths) > 1:
        raise UsageError(f"--stages draws one picture, not {len(paths)}; name one")
    inputs = bulk.Inputs(paths, _standard_input())
    pieces = inputs.few(1)
    if pieces is None or any(piece.start is not None for piece in pieces):
        raise UsageError(f"{visible(paths[0])}: --stages draws one picture, not several; name one")
    if not pieces:
        raise inputs.nothing()
    name = None if pieces[0].content is not None else str(Path(pieces[0].name).absolute())
    target = out or run / f"stages-{Path(name or 'picture').stem}.png"
    if out is not None:
        check_place(out, Drawer.STAGES, name)
    else:
        check_other(target, Drawer.STAGES, name)
    found = follow_picture(run, _content(pieces[0]), which=which, engine=engine)
    draw_preparation(found, target, name)
    return _preparation(found, target)


def _answer_each(
    run: Path, paths: list[str], top: int, form: FormatName, which: str | None, engine: EngineName
) -> None:
    """A line for every character of every picture, with where it was found.

    Raises:
        PartialError: if a picture cannot be used; the others are answered.
    """
    from lenet.model import load
    from lenet.prediction import bulk
    from lenet.prediction.bulk import formats

    model, inputs = load(run, which, engine=engine), bulk.Inputs(paths, _standard_input())
    found: list[Answer] = []
    bad: list[str] = []
    total = 0
    for piece in inputs:
        total += 1
        try:
            answers = model.predict_each(_content(piece), top)
        except (FormatError, InputError) as error:
            reason = str(error).removeprefix("the picture: ").removeprefix(f"{piece.name}: ")
            bad.append(f"{formats.shown(piece.name)}: {reason}")
            continue
        found += [replace(answer, name=piece.name) for answer in answers]
    if not total:
        raise inputs.nothing()
    if form is not FormatName.table:
        sys.stdout.buffer.write(formats.encode(found, top, str(form), each=True))
        sys.stdout.buffer.flush()
    elif found:
        say(table(["picture", "where", "answer", "notes"], map(_line_of_each, found), "    "))
    for problem in bad:
        remark(visible(problem))
    if bad:
        raise PartialError(f"{len(bad):,} of {total:,} pictures could not be used")


def _line_of_each(answer: Answer) -> list[str]:
    box = answer.box
    where = "" if box is None else f"{box.width}x{box.height} at {box.left}, {box.top}"
    likely = zip(answer.classes, answer.probabilities, strict=True)
    said = ", ".join(f"{name} {chance:.4f}" for name, chance in likely)
    return [visible(answer.name), where, visible(said), visible("; ".join(answer.notes))]


def _content(piece: Piece) -> str | bytes:
    """Raises `FormatError` if it is no picture alone."""
    if piece.problem is not None:
        raise FormatError(piece.problem)
    if piece.start is not None:
        raise FormatError("a file of many images; --each takes pictures")
    return piece.name if piece.content is None else piece.content


def _standard_input() -> BinaryIO | None:
    """None where it is closed."""
    return None if input_was_closed() else sys.stdin.buffer


def _print_answers(
    run: Path, inputs: Inputs, form: FormatName, options: dict[str, Any]
) -> Few | Outcome:
    """A few at once; many through a folder of shards that is gone afterwards."""
    from lenet.prediction import bulk

    if form is FormatName.parquet:
        raise UsageError("--format parquet is no text to print; name a file with --out")
    kind = "jsonl" if form is FormatName.table else str(form)
    if not any(options[name] for name in ("processes", "cluster", "shard_rows")):
        few = bulk.answer_few(run, inputs, **{name: options[name] for name in DIRECT})
        if few is not None:
            _print_few(few, form, kind, options["top"])
            return few
    with bulk.predict_aside(run, inputs, kind=kind, **options) as (outcome, folder):
        if not outcome.answers + outcome.problems:
            return outcome  # every shard failed, of which `Outcome.check` tells
        if form is FormatName.table:
            say(_answers(folder.rows(partly=True), folder.problems()))
        else:
            folder.join(sys.stdout.buffer, partly=True)
            for name, reason in folder.problems():
                remark(visible(f"{name}: {reason}"))
    return outcome


DIRECT = ("top", "which", "engine", "views")
"""What matters where answers are printed at once."""


def _print_few(few: Few, form: FormatName, kind: str, top: int) -> None:
    from lenet.prediction.bulk import formats

    if form is FormatName.table:
        names = formats.columns(top)
        rows = [dict(zip(names, formats.values(each), strict=True)) for each in few.answers]
        say(_answers(rows, few.problems))
        return
    sys.stdout.buffer.write(formats.encode(few.answers, top, kind))
    sys.stdout.buffer.flush()
    for name, reason in few.problems:
        remark(visible(f"{formats.shown(name)}: {reason}"))


def _answers(rows: Iterable[Mapping[str, Any]], problems: Iterable[tuple[str, str]]) -> str:
    """A line for each picture, and one for each that could not be used; the first `MOST_SHOWN`."""
    found, bad = list(islice(rows, MOST_SHOWN + 1)), list(islice(problems, MOST_SHOWN + 1))
    lines = []
    if found:
        names = [name for name in found[0] if name != "notes" or any(row[name] for row in found)]
        shown = [[_cell(name, row[name]) for name in names] for row in found[:MOST_SHOWN]]
        right = "".join("r" if "probability" in name else " " for name in names)
        lines.append(table(names, shown, right))
    lines += [visible(f"{name}: {reason}") for name, reason in bad[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN or len(bad) > MOST_SHOWN:
        lines.append(f"... and more than {MOST_SHOWN}; for all of them: --format csv, or --out")
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    return f"{value:.4f}" if "probability" in name else visible(str(value))


def visible(text: str) -> str:
    r"""Text for a screen: a line feed is a space, another control character is written `\xNN`."""
    return "".join(
        letter if letter.isprintable() else " " if letter == "\n" else ascii(letter)[1:-1]
        for letter in text
    )


def _preparation(found: Preparation, picture: Path) -> str:
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


def _summary(outcome: Outcome) -> str:
    """How many were answered, and where it all is."""
    lines = [f"{outcome.answers:,} images answered: {outcome.out}"]
    if outcome.failures:
        total = outcome.answers + outcome.problems + outcome.left
        lines = [
            f"{outcome.answers:,} of {total:,} images answered so far; {outcome.out} is not whole"
        ]
    if outcome.problems:
        lines.append(f"{outcome.problems:,} inputs could not be used: {outcome.errors}")
    return "\n".join(lines)
