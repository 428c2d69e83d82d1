"""The command line: flags to one call, and the words that a command prints, each beside it.

Kept here: a file for the commands that belong together.  It may know every room; it is the only
one that knows the command-line library.  Heavy modules load inside the commands, so that a command
loads what it needs alone.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from lenet.cli import data, machine, prediction, runs, study, training
from lenet.cli.printing import say
from lenet.errors import InterruptedRunError, LenetError, UsageError
from lenet.system.version import VERSION

FlagError: Any = typer.BadParameter.__mro__[2]
"""Base of what the command-line library says of flags; it has no public name of its own."""

app = typer.Typer(
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
    runs.evaluate,
    runs.explain,
    runs.report,
    machine.models,
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
        warnings.showwarning = _show_warning
    if version:
        say(f"lenet {VERSION}")
        raise typer.Exit


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"lenet: warning: {message}", file=sys.stderr)


def main() -> None:
    """Entry point: what a user can mend becomes one line on stderr and an exit code."""
    try:
        code = app(prog_name="lenet", standalone_mode=False)
    except (LenetError, InterruptedRunError) as error:
        if "--debug" in sys.argv[1:]:
            raise
        sys.exit(_fail(str(error), error.exit_code))
    except FlagError as error:
        message = error.format_message().replace("Value error, ", "")
        # Without a command there is help on the screen, and nothing more to say.
        sys.exit(_fail(message, UsageError.exit_code) if message else UsageError.exit_code)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print(f"lenet: error: {message}", file=sys.stderr)
    return code
