"""Commands about data sets: `data list`, `get`, `verify`, `show`, `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lenet.cli.options import (
    Channels,
    DataDir,
    ExportedSplit,
    Resize,
    ResizeName,
    Size,
    SplitSeed,
    complete_data,
)
from lenet.cli.printing import say, table

if TYPE_CHECKING:
    from lenet.data import Dataset, Verification

app = typer.Typer(no_args_is_help=True, help="Find, fetch, check and look at data sets.")


@app.command("list")
def list_sets(data_dir: DataDir = None) -> None:
    """List the data sets and where each one is."""
    say(describe_sets(data_dir))


@app.command("get")
def get(
    name: Annotated[
        str, typer.Argument(help="Data set; see `lenet data list`.", autocompletion=complete_data)
    ],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch even what is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fetch a data set from its publisher's mirrors, unless it is here already."""
    from lenet import data
    from lenet.show.live import download_bars

    with download_bars() as bars:
        progress = None if quiet else bars
        location = data.get(name, data_dir, progress=progress, force=force)
    say(f"{name} is in {location.folder}")


@app.command("verify")
def verify(
    name: Annotated[
        str, typer.Argument(help="Data set; see `lenet data list`.", autocompletion=complete_data)
    ],
    data_dir: DataDir = None,
) -> None:
    """Hash every file of a data set again and compare with the published digests."""
    from lenet import data

    say(_verification(name, data.verify(name, data_dir)))


@app.command("show")
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="Data set, or a folder or file of your own data.", autocompletion=complete_data
        ),
    ],
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = ResizeName.fit,
    split_seed: SplitSeed = 0,
    recipe: Annotated[
        str | None,
        typer.Option(help="Recipe or file: draw what becomes of the images in it, epoch by epoch."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Picture to write; by default NAME.png here.")
    ] = None,
) -> None:
    """Save a contact sheet, examples of every class; and count what is in your own data."""
    from lenet import data
    from lenet.show.figures import Drawer, check_place, contact_sheet
    from lenet.show.live import download_bars

    reading = data.Reading(size, channels, resize, split_seed)
    with download_bars() as progress:
        dataset = data.load(name, data_dir, reading=reading, progress=progress)
    picture = out or Path(f"{dataset.name}.png")
    check_place(picture, Drawer.SHOW)
    train, said = dataset.train, _own_data(dataset)
    if recipe is None:
        contact_sheet(
            train.images, train.labels, dataset.class_names, dataset.name, picture,
            light_ink=dataset.convention.light_ink,
        )  # fmt: skip
    else:
        said += f"{_draw_changes(dataset, recipe, picture)}\n"
    say(f"{said}picture: {picture}")


def _draw_changes(dataset: Dataset, recipe: str, picture: Path) -> str:
    """Draw the first image of every class, and what becomes of it; say by which numbers."""
    from lenet.data.augmentation import augment
    from lenet.show.figures import augmentation_sheet
    from lenet.training.choice import choose_recipe, find_recipe
    from lenet.training.setup import check_flip

    chosen = choose_recipe(find_recipe(recipe, {}), dataset, {}).recipe
    check_flip(dataset, chosen)
    augmentation_sheet(
        dataset.train.images,
        dataset.train.labels,
        dataset.class_names,
        f"{dataset.name}: originals, and epochs of {recipe}",
        picture,
        lambda images, indices, epoch: augment(
            images, indices, chosen.augmentation, seed=chosen.seed, epoch=epoch
        ),
        light_ink=dataset.convention.light_ink,
    )
    return f"augmentation: {chosen.augmentation}"


@app.command("export")
def export(
    name: Annotated[
        str, typer.Argument(help="Data set; see `lenet data list`.", autocompletion=complete_data)
    ],
    folder: Annotated[Path, typer.Argument(help="New folder for the pictures.")],
    split: Annotated[ExportedSplit, typer.Option(help="Which images.")] = ExportedSplit.test,
    count: Annotated[int | None, typer.Option(min=1, help="The first N; by default all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a data set as PNG files, one sub-folder a class."""
    from lenet import data

    written = data.export(data.load(name, data_dir), split, folder, count)
    say(f"{written} pictures are in {folder}")


def describe_sets(data_dir: Path | None = None) -> str:
    """Every row of the catalog, and where it is on this machine."""
    from lenet import data

    rows = []
    for name, entry in data.CATALOG.items():
        location = data.locate(name, data_dir)
        where = "not here; fetched when it is used" if location is None else str(location.folder)
        where = "bundled" if entry.is_bundled else where
        rows.append([name, str(len(entry.class_names)), entry.title, where])
    return table(["name", "classes", "what it is", "where"], rows, " r")


def _verification(name: str, rows: Sequence[Verification]) -> str:
    """Each file's SHA-256, and whether it is the published one."""
    if not rows:
        return f"{name} comes with lenet: there are no files to verify"
    shown = [
        [
            str(row.path),
            row.sha256,
            "as published"
            if row.expected == f"sha256:{row.sha256}"
            else f"out of the published {row.expected}",
        ]
        for row in rows
    ]
    return table(["file", "SHA-256 of the payload", "verdict"], shown)


def _own_data(dataset: Dataset) -> str:
    """Classes by split, how images and splits were made, copies, and what cannot be used."""
    survey = dataset.survey
    if survey is None:
        return ""
    columns = list(zip(*survey.counts.values(), strict=True))
    rows = [
        [name, *(f"{count:,}" for count in counts)]
        for name, counts in zip(dataset.class_names, columns, strict=True)
    ]
    rows.append(["all", *(f"{sum(counts):,}" for counts in survey.counts.values())])
    lines = [
        table(["class", *survey.counts], rows, " " + "r" * len(survey.counts)),
        "",
        f"images: {survey.prepared}",
        f"splits: {survey.division}",
        f"same pixels again: {survey.copies:,} in a split, {survey.shared:,} across splits, "
        f"{survey.disputed:,} in two classes",
    ]
    lines += [f"left out: {row.path}: {row.reason}" for row in survey.left_out]
    return "\n".join([*lines, "", ""])
