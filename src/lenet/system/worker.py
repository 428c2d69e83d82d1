"""A worker of `lenet.system.tasks`: a process that does what comes in on its pipe."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from importlib import import_module
from typing import Any

from lenet.system.tasks import attempt

WATCH_SECONDS = 0.5


def main() -> None:
    """Read a greeting, then one task after the other, until the pipe is closed."""
    # Ctrl-C goes to every process of a terminal; the driver decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a task prints must not stand between the answers.
    os.dup2(2, 1)
    parent, sys.path[:], name = pickle.load(tasks)  # noqa: S301 - from our own parent
    end_with(parent)
    function = _find(name)
    while True:
        try:
            index, item = pickle.load(tasks)  # noqa: S301
        except EOFError:
            return
        answers.write(pickle.dumps(attempt(function, index, item)))
        answers.flush()


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


if __name__ == "__main__":
    main()
