"""Flags that several commands share.

The choices are written out here, so that `lenet --help` loads no numbers; a test holds them against
the rooms that own them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MACHINE = "Machine"
OWN_DATA = "Your own data"


class EngineName(StrEnum):
    """What `--engine` may be."""

    auto = "auto"
    native = "native"
    eager = "eager"


class SplitName(StrEnum):
    """What `--split` may be."""

    train = "train"
    validation = "validation"
    test = "test"


class ExportedSplit(StrEnum):
    """What `--split` may be where a data set is exported."""

    train = "train"
    test = "test"


class CheckpointName(StrEnum):
    """What `--checkpoint` may be."""

    last = "last"
    best = "best"


class ResizeName(StrEnum):
    """What `--resize` may be."""

    fit = "fit"
    stretch = "stretch"
    ink = "ink"


class FormatName(StrEnum):
    """What `--format` may be."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


class OptimizerName(StrEnum):
    """What `--optimizer` may be."""

    sgd = "sgd"
    adamw = "adamw"
    sdlm = "sdlm"


class ScheduleName(StrEnum):
    """What `--schedule` may be."""

    constant = "constant"
    step = "step"
    cosine = "cosine"
    one_cycle = "one_cycle"
    lecun_1998 = "lecun_1998"


class InitialiserName(StrEnum):
    """What `--initialiser` may be."""

    xavier_uniform = "xavier_uniform"
    lecun_uniform = "lecun_uniform"
    kaiming_uniform = "kaiming_uniform"
    lecun_1998 = "lecun_1998"
    lecun_1998_rates = "lecun_1998_rates"
    lush = "lush"


class LossName(StrEnum):
    """What `--loss` may be."""

    cross_entropy = "cross_entropy"
    mse = "mse"
    map = "map"


class SquaresName(StrEnum):
    """What `--squares` may be."""

    half = "half"
    whole = "whole"


class OrderName(StrEnum):
    """What `--order` may be."""

    shuffled = "shuffled"
    constant = "constant"


class ExportName(StrEnum):
    """What `export --to` may be."""

    onnx = "onnx"
    tflite = "tflite"
    c = "c"
    torch = "torch"
    hub = "hub"


class InputName(StrEnum):
    """What `export --input` may be."""

    uint8 = "uint8"
    float = "float"


def _complete(names: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """Completion of a word out of `names`, which are looked up when they are asked for."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _models() -> list[str]:
    from lenet.network.zoo import ZOO

    return list(ZOO)


def _recipes() -> list[str]:
    from lenet.recipe.library import RECIPES

    return list(RECIPES)


def _data_sets() -> list[str]:
    from lenet.data.published.catalog import CATALOG

    return list(CATALOG)


def _studies() -> list[str]:
    from lenet.studies import built_in

    return list(built_in())


def _runs() -> list[str]:
    from lenet.runs.run import NEWEST, list_runs

    return [NEWEST, *(str(run.path) for run in list_runs())]


complete_data = _complete(_data_sets)
complete_study = _complete(_studies)
complete_run = _complete(_runs)

Model = Annotated[
    str | None,
    typer.Option(
        help="Network (see `lenet models`); by default the recipe's.",
        autocompletion=_complete(_models),
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="Recipe (see `lenet recipes`) or file (TOML); by default the network's own, else "
        "note, for own data auto.",
        autocompletion=_complete(_recipes),
    ),
]
DEFAULT_DATA = "fashion-mnist"
_DATA = "Data set (see `lenet data list`), or a folder or file of your own data"
Data = Annotated[str, typer.Option(help=f"{_DATA}.", autocompletion=complete_data)]
OptionalData = Annotated[
    str | None,
    typer.Option(help=f"{_DATA}; by default {DEFAULT_DATA}.", autocompletion=complete_data),
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
    ResizeName,
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
    EngineName,
    typer.Option(
        help="native is compiled, for the CPU; eager is PyTorch.", rich_help_panel=MACHINE
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto (a GPU where there is one), cpu, cuda, mps.", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int | None, typer.Option(help="Threads; by default all cores.", rich_help_panel=MACHINE)
]


def find_run_folder(name: str) -> Path:
    """The folder of the run that `name` means; says which one, where it is the newest."""
    from lenet.cli.printing import remark
    from lenet.runs.run import find_run

    run = find_run(name)
    if str(run.path) != str(Path(name)):
        remark(f"{name}: {run.path}")
    return run.path


RunFolder = Annotated[
    str,
    typer.Argument(
        help="A run's folder, or last for the newest in runs/.", autocompletion=complete_run
    ),
]
Seen = Annotated[
    bool,
    typer.Option(
        "--views", help="Mean over each image moved by a pixel, and mirrored if it was trained so."
    ),
]
Which = Annotated[
    CheckpointName | None,
    typer.Option(help="best is by validation; by default the best where there is one."),
]
