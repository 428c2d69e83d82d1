"""The command that writes a page in which a network can be watched: `page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import DataDir, Which, complete_run
from lenet.cli.printing import say


def page(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN2]",
            help="A run's folder, or last for the newest in runs/; a second one stands beside it.",
            autocompletion=complete_run,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="By default page.html in the first run's folder.")
    ] = None,
    data_dir: DataDir = None,
    checkpoint: Which = None,
) -> None:
    """Write one HTML file in which the network can be drawn for, watched and trained, offline."""
    from lenet.show.page import write_page

    path = write_page(runs, out, data_dir=data_dir, which=checkpoint)
    say(f"page: {path} ({path.stat().st_size / 1000:,.0f} kB)")
