"""Ctrl-C, SIGTERM, SIGHUP: a wish that a training honours after its current step, else an end."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from lenet.errors import StoppedError

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""A terminal that is closed sends SIGHUP; Windows has none."""

WORDS = {"SIGINT": "Ctrl-C"}

PATIENCE = 3.0
"""Seconds after a first signal in which further ones say nothing new: whoever stops a command
presses twice, or sends SIGTERM after Ctrl-C."""


class Interruption:
    """While entered, the first signal sets `number`; one after `PATIENCE` ends the work at once.

    A signal that the process was told to ignore (by nohup, say) stays ignored.  Outside the main
    thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._noted = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._before = _install(self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._noted = number, time.monotonic()
        elif time.monotonic() - self._noted > PATIENCE:
            raise StoppedError(describe(number), number)


class Ending:
    """For a command: the first signal raises `StoppedError` wherever it is.

    While the command then cleans up, further signals change nothing for `PATIENCE` seconds; after
    those, one ends the process on the spot.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._raised = 0.0

    def begin(self) -> None:
        """From now on, to the end of the process."""
        _install(self._stop)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.number is None:
            self.number, self._raised = number, time.monotonic()
            raise StoppedError(describe(number), number)
        if time.monotonic() - self._raised > PATIENCE:
            os._exit(128 + number)


def describe(number: int) -> str:
    """What happened, in words."""
    name = signal.Signals(number).name
    return f"stopped by {WORDS.get(name, name)}"


def _install(handler: Any) -> dict[int, Any]:
    """Hear the signals that are not ignored; the handlers before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}
