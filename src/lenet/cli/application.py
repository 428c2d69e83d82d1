"""The commands as one application."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lenet.cli import data, export, machine, page, prediction, runs, serve, study, training
from lenet.cli.printing import say, show_warning
from lenet.system.version import VERSION

Abort = typer.Abort

FlagError: Any = typer.BadParameter.__mro__[2]
"""Base of what the command-line library says of flags; it has no public name of its own."""


class InterruptedCommand(Exception):  # noqa: N818 - what is wrong is in its cause
    """Carries a `KeyboardInterrupt` past the library, which would end without a word."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """See `click.Group.invoke`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise InterruptedCommand from error


app = typer.Typer(
    cls=_Commands,
    name="lenet",
    help="LeNet: train it, see it, use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(study.app, name="study")
for command in (
    training.train,
    prediction.predict,
    serve.serve,
    runs.evaluate,
    runs.explain,
    runs.report,
    page.page,
    export.export,
    machine.models,
    machine.recipes,
    machine.doctor,
):
    app.command()(command)
app.command("runs")(runs.list_all)
app.command("lr-find")(training.lr_find)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if not debug:
        warnings.showwarning = show_warning
    if version:
        say(f"lenet {VERSION}")
        raise typer.Exit
