"""Commands about data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import Channels, DataDir, Resize, Size, SplitSeed, say

app = typer.Typer(no_args_is_help=True, help="Find, fetch, check and look at data sets.")


@app.command("list")
def list_sets(data_dir: DataDir = None) -> None:
    """List the data sets and where each one is."""
    from lenet import tables

    say(tables.data_sets(data_dir))


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch even what is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fetch a data set from its publisher's mirrors, unless it is here already."""
    from lenet import data
    from lenet.display import DownloadBars

    bars = DownloadBars()
    try:
        progress = None if quiet else bars.show
        location = data.get(name, data_dir, progress=progress, force=force)
    finally:
        bars.stop()
    say(f"{name} is in {location.folder}")


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    data_dir: DataDir = None,
) -> None:
    """Hash every file of a data set again and compare with the published digests."""
    from lenet import data, tables

    say(tables.verification(name, data.verify(name, data_dir)))


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Data set, or a folder or file of your own data.")],
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = "fit",
    split_seed: SplitSeed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Picture to write; by default NAME.png here.")
    ] = None,
) -> None:
    """Save a contact sheet, examples of every class; and count what is in your own data."""
    from lenet import data, plots, tables

    dataset = data.load(name, data_dir, reading=data.Reading(size, channels, resize, split_seed))
    picture = out or Path(f"{dataset.name}.png")
    train = dataset.train
    plots.contact_sheet(train.images, train.labels, dataset.class_names, dataset.name, picture)
    say(f"{tables.own_data(dataset)}picture: {picture}")


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the pictures.")],
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    count: Annotated[int | None, typer.Option(min=1, help="The first N; by default all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a data set as PNG files, one sub-folder a class."""
    from lenet import data

    written = data.export(data.load(name, data_dir), split, folder, count)
    say(f"{written} pictures are in {folder}")
