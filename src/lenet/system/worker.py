"""A worker of `lenet.system.tasks`: a process that does what comes in on its pipe."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from lenet.system.tasks import Outcome, attempt

WATCH_SECONDS = 0.5


def main() -> None:
    """Read a greeting, then one task after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where the driver's threads cannot block it
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _turn_prints_aside()
    with suppress(EOFError, pickle.UnpicklingError, OSError):  # the driver is gone
        parent, name = pickle.load(tasks)  # noqa: S301 - from our own parent
        end_with(parent)
        function = _find(name)
        while True:
            index, item = pickle.load(tasks)  # noqa: S301
            answers.write(_encode(attempt(function, index, item)))
            answers.flush()
    os._exit(0)  # whatever is still to be flushed has no reader any more


def _turn_prints_aside() -> None:
    """What a task prints goes to the standard error: it must not stand between the answers."""
    os.dup2(2, 1)


def _encode(outcome: Outcome) -> bytes:
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # pickle lets many kinds through
        reason = f"its value cannot be sent: {type(error).__name__}: {error}"
        return pickle.dumps(Outcome(outcome.index, error=reason))


def end_with(parent: int) -> None:
    """End this process within a second of its parent, which may be killed without a word."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
