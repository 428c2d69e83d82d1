"""What becomes of a command that is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer

from lenet.cli.printing import remark

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class _StoppedError(KeyboardInterrupt):
    """A signal came; no `Exception`, so that nothing takes it for a fault of the work."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stopping(sentence: str) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the block, then say `sentence` and exit with 128 + number.

    What the block holds is given back first; further signals do not disturb that.
    """
    names = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise _StoppedError(number)

    for number in names:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            before[number] = signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        number = getattr(error, "number", signal.SIGINT)
        with suppress(OSError):  # after SIGHUP there may be no terminal any more
            remark(f"stopped by {signal.Signals(number).name}; {sentence}")
        raise typer.Exit(128 + number) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
