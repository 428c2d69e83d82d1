"""The command line: flags to one call, no logic.  Heavy modules load inside the commands."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from lenet import __version__
from lenet.cli import data, prediction, runs, study, training
from lenet.cli.options import DataDir, say
from lenet.errors import LenetError

app = typer.Typer(
    name="lenet",
    help="LeNet: train it, see it, use it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(study.app, name="study")
for command in (training.train, runs.evaluate, runs.report, runs.explain, prediction.predict):
    app.command()(command)
app.command("lr-find")(training.lr_find)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if not debug:
        warnings.showwarning = _show_warning
    if version:
        say(f"lenet {__version__}")
        raise typer.Exit


@app.command()
def models() -> None:
    """List the networks with their sizes."""
    from lenet import tables

    say(tables.models())


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say what this machine has: versions, engines, devices, threads, cache, data sets."""
    from lenet import tables

    say(tables.doctor(data_dir))


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"lenet: warning: {message}", file=sys.stderr)


def main() -> None:
    """Entry point: a `LenetError` becomes one line on stderr and its exit code."""
    try:
        app(prog_name="lenet")
    except LenetError as error:
        if "--debug" in sys.argv[1:]:
            raise
        print(f"lenet: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
