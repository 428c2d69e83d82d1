"""The command line: flags to one call, and the words that a command prints, each beside it.

Kept here: a file for the commands that belong together.  It may know every room; it is the only
one that knows the command-line library.  Heavy modules load inside the commands, so that a command
loads what it needs alone.
"""

from __future__ import annotations

import signal
import sys

from lenet.errors import LenetError, MachineError, StoppedError, UsageError
from lenet.system import streams
from lenet.system.signals import Ending


def main() -> None:
    """Entry point: an error that the user can act on is one line on stderr, and its exit code.

    Streams and signals come first: a command may be stopped while its modules are loaded.
    """
    ending = Ending()
    try:
        streams.open_streams()
        ending.begin()
        code = _run()
    except StoppedError as error:
        code = _fail(error, error.exit_code)
    lost = streams.lost_output()
    if lost is not None and not code:
        code = _fail(
            f"the work is done, but the standard output cannot be written: {lost.strerror}",
            MachineError.exit_code,
        )
    sys.exit(code)


def _run() -> int:
    """The command that the arguments name; its exit code."""
    from lenet.cli.application import Abort, FlagError, InterruptedCommand, app

    try:
        return app(prog_name="lenet", standalone_mode=False) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Abort:  # the library's word for a signal outside of a command
        raise StoppedError("stopped by Ctrl-C", signal.SIGINT) from None
    except FlagError as error:
        # Without a command there is help on the screen, and nothing more to say.
        message = error.format_message()
        return _fail(message, UsageError.exit_code) if message else UsageError.exit_code
    except InterruptedCommand as interrupted:
        stopped = interrupted.__cause__
        if not isinstance(stopped, StoppedError):
            raise
        return _fail(stopped, stopped.exit_code)
    except LenetError as error:
        return _fail(error, error.exit_code)
    except MemoryError as error:
        return _fail(
            f"there is not enough memory for this ({str(error) or 'no more is said'})",
            MachineError.exit_code,
        )
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        return _fail(f"{place}{error.strerror or error}", MachineError.exit_code)


def _fail(reason: object, code: int) -> int:
    """Say why the command ends; with `--debug` also where."""
    if "--debug" in sys.argv[1:]:
        import traceback

        traceback.print_exc()
    print(f"lenet: error: {streams.printable(str(reason))}", file=sys.stderr, flush=True)
    return code
