"""Live progress, with three faces: a terminal, a notebook, a pipe or file.

Kept here: what is seen while a training runs.  It may know what a training tells its watchers, and
the chart; it knows no figure and no report.
"""

from __future__ import annotations

import os
import shutil
import sys

from lenet.show.live.base import (
    Display,
    DownloadBars,
    GuardedDisplay,
    LineDisplay,
    describe_row,
    download_bars,
    epoch_line,
)
from lenet.show.live.notebook import NotebookDisplay, in_notebook
from lenet.show.live.terminal import SMALLEST, TerminalDisplay

__all__ = [
    "Display",
    "DownloadBars",
    "GuardedDisplay",
    "LineDisplay",
    "NotebookDisplay",
    "TerminalDisplay",
    "describe_row",
    "download_bars",
    "epoch_line",
    "in_notebook",
    "open_display",
]


def open_display(quiet: bool = False) -> Display:
    """The face that fits: a notebook's, a live view in a terminal that can show one, else lines."""
    if quiet:
        return Display()
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
