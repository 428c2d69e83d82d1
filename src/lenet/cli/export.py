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

FLOAT_BITS = 32


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
    ] = FLOAT_BITS,
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
    if check is not None:
        _refuse_with_check(
            check,
            out=out is not None,
            input=pixels is not InputName.uint8,
            probabilities=probabilities,
            bits=bits != FLOAT_BITS,
            licence=licence is not None,
        )
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


def _refuse_with_check(path: Path, **given: bool) -> None:
    named = [f"--{name}" for name, is_given in given.items() if is_given]
    if named:
        raise UsageError(
            f"{', '.join(named)}: for what is written; --check repeats the proof of what is there "
            "as it was proved: leave it out"
        )
    if not path.exists():
        raise UsageError(f"{path}: nothing is there; name an exported file or folder")
