"""What the live view costs a training, in examples a second."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import tempfile
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import lenet
from lenet.runs import receipt
from lenet.show.live import Display, TerminalDisplay

EPOCHS = 3


def subjects() -> dict[str, Callable[[], float]]:
    """The note's training on the native engine, without a display and in a pseudo-terminal."""
    return {"no display": lambda: _train(Display()), "live view": _train_in_terminal}


def _train(display: Display) -> float:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = lenet.train(epochs=EPOCHS, out=out, engine="native", display=display).run
        return receipt.examples_per_second(run.receipt())


def _train_in_terminal() -> float:
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    screen = threading.Thread(target=_drain, args=(reader,))
    screen.start()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        speed = _train(TerminalDisplay(stream))
    screen.join()
    os.close(reader)
    return speed


def _drain(reader: int) -> None:
    """Read what is drawn, as a terminal would, until the other end is closed."""
    try:
        while os.read(reader, 65536):
            pass
    except OSError:  # Linux says so when the last writer has gone
        return
