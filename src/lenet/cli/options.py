"""Flags that several commands share, and how a command speaks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

MACHINE = "Machine"
OWN_DATA = "Your own data"
Model = Annotated[str, typer.Option(help="Network; see `lenet models`.")]
Data = Annotated[
    str,
    typer.Option(help="Data set (see `lenet data list`), or a folder or file of your own data."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder with the data set's files, looked at first.")
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Height and width of images; by default 28 for pictures.", rich_help_panel=OWN_DATA
    ),
]
Channels = Annotated[
    int | None, typer.Option(help="1 for grey, 3 for colour.", rich_help_panel=OWN_DATA)
]
Resize = Annotated[
    str,
    typer.Option(
        help="fit (proportions kept), stretch, or ink (found and centred, for characters).",
        rich_help_panel=OWN_DATA,
    ),
]
SplitSeed = Annotated[
    int,
    typer.Option(help="Chooses the test images where there is no test split.",
                 rich_help_panel=OWN_DATA),
]  # fmt: skip
Engine = Annotated[
    str,
    typer.Option(help="auto, native (compiled, CPU) or eager (PyTorch).", rich_help_panel=MACHINE),
]
Device = Annotated[
    str,
    typer.Option(help="auto (a GPU where there is one), cpu, cuda, mps.", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int | None, typer.Option(help="Threads; by default all cores.", rich_help_panel=MACHINE)
]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder.")]
Which = Annotated[
    str | None,
    typer.Option(help="last or best (by validation); by default the best where there is one."),
]


def say(text: str) -> None:
    """Print to stdout; a reader that has closed the pipe has seen enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
