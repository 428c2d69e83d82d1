"""The command that takes a trained network elsewhere, with its proof: `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import (
    DataDir,
    Engine,
    EngineName,
    ExportName,
    InputName,
    RunFolder,
    Which,
    complete_data,
    find_run_folder,
)
from lenet.cli.printing import say
from lenet.errors import UsageError


def export(
    run: RunFolder,
    to: Annotated[
        ExportName | None, typer.Option(help="Format; see docs/export.md for whom each is.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File or folder; by default export/ in the run's folder.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Repeat the proof of what was exported.")
    ] = None,
    pixels: Annotated[
        InputName,
        typer.Option("--input", help="onnx, tflite: pixels from 0 to 255, or fractions to 1."),
    ] = InputName.uint8,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="onnx, tflite: these in place of the logits.")
    ] = False,
    bits: Annotated[
        int, typer.Option(help="c: of a weight: 32 are floats, 8 or 4 are whole numbers.")
    ] = 32,
    licence: Annotated[
        str | None, typer.Option(help="What the file says of itself; by default nothing.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="By default the run's own.", autocompletion=complete_data),
    ] = None,
    data_dir: DataDir = None,
    checkpoint: Which = None,
    engine: Engine = EngineName.auto,
) -> None:
    """Write a trained network for other programs, once it answers the test split like the run."""
    from lenet.model import load

    if (to is None) == (check is None):
        raise UsageError("name either a format to write, --to, or a file to prove again, --check")
    model = load(find_run_folder(run), checkpoint, engine=engine, device="cpu")
    if check is not None:
        say(f"{check}: {model.check_export(check, data=data, data_dir=data_dir)}")
        return
    exported = model.export(
        str(to),
        out,
        input=str(pixels),
        probabilities=probabilities,
        licence=licence or "",
        bits=bits,
        data=data,
        data_dir=data_dir,
    )
    say(f"{exported.proof}\n{to}: {exported.path}")
