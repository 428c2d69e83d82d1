"""Text on stdout, remarks on stderr, tables as columns."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from lenet.system.streams import printable

WIDTH = 100_000
"""Letters of a table at most: where it is wider, every column is cut, and short ones are gone."""


def say(text: str) -> None:
    """Print to stdout; control characters in names are escaped."""
    print(printable(text), flush=True)


def remark(text: str) -> None:
    """Print to stderr, for what is said beside the answer."""
    print(f"lenet: {printable(text)}", file=sys.stderr, flush=True)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as a remark, without the place in the code."""
    remark(f"warning: {message}")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> str:
    """Columns of text; `right` holds one letter a column, `r` for those aligned to the right."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for heading, side in zip(headings, right.ljust(len(headings)), strict=True):
        drawn.add_column(heading, justify="right" if side == "r" else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, markup=False, highlight=False).print(drawn)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
