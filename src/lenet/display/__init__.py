"""Live progress, with three faces: a terminal, a notebook, a pipe or file."""

from __future__ import annotations

import os
import shutil
import sys

from lenet.display.base import (
    Display,
    DownloadBars,
    GuardedDisplay,
    LineDisplay,
    Plan,
    QuietDisplay,
    describe_row,
    epoch_line,
)
from lenet.display.notebook import NotebookDisplay, in_notebook
from lenet.display.terminal import SMALLEST, TerminalDisplay

__all__ = [
    "Display",
    "DownloadBars",
    "GuardedDisplay",
    "LineDisplay",
    "NotebookDisplay",
    "Plan",
    "QuietDisplay",
    "TerminalDisplay",
    "describe_row",
    "epoch_line",
    "in_notebook",
    "open_display",
]


def open_display(quiet: bool = False) -> Display:
    """The face that fits: a notebook's, a live view in a terminal that can show one, else lines."""
    if quiet:
        return QuietDisplay()
    if in_notebook():
        return GuardedDisplay(NotebookDisplay())
    if _can_draw():
        return GuardedDisplay(TerminalDisplay(sys.stdout))
    return GuardedDisplay(LineDisplay(sys.stdout))


def _can_draw() -> bool:
    """Whether stdout is a terminal that is large enough, moves its cursor and has braille."""
    columns, rows = shutil.get_terminal_size()
    try:
        "\u28ff\u2501".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return (
        sys.stdout.isatty()
        and os.environ.get("TERM", "") not in ("", "dumb")
        and columns >= SMALLEST[0]
        and rows >= SMALLEST[1]
    )
