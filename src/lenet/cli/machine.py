"""Commands about lenet and this machine: `models`, `recipes`, `doctor`."""

from __future__ import annotations

from pathlib import Path

from lenet.cli.options import DataDir
from lenet.cli.printing import say, table


def models() -> None:
    """List the networks with their sizes."""
    say(_models())


def recipes() -> None:
    """List the recipes that have a name: what each is for, what it costs and reached."""
    say(_recipes())


def doctor(data_dir: DataDir = None) -> None:
    """Say what this machine has: versions, engines, devices, threads, cache, data sets."""
    say(_doctor(data_dir))


def _models() -> str:
    """Every network of the zoo for 28x28 pictures and 10 classes."""
    from lenet.network import zoo

    rows = []
    for name, row in zoo.ZOO.items():
        spec = zoo.build(name)
        counts = (spec.parameters, spec.connections, spec.multiply_adds)
        rows.append([name, *(f"{count:,}" for count in counts), row.title])
    headings = ["model", "parameters", "connections", "multiply-adds", "what it is"]
    return table(headings, rows, " rrr")


def _recipes() -> str:
    """Every recipe of the library."""
    from lenet.recipe.library import RECIPES

    rows = [
        [name, ", ".join(dict.fromkeys(row.models.values())), row.cost, row.result, row.purpose]
        for name, row in RECIPES.items()
    ]
    return table(["recipe", "model", "cost", "result", "what it is for"], rows)


def _doctor(data_dir: Path | None = None) -> str:
    """What this machine has."""
    from lenet import data, engines
    from lenet.cli.data import describe_sets
    from lenet.system import machine

    facts = {**machine.versions(), **{key: str(value) for key, value in machine.describe().items()}}
    facts |= {f"engine {name}": reason for name, reason in engines.availability().items()}
    facts["device (auto)"] = engines.pick_device()
    facts["cache folder"] = str(data.cache_folder())
    return table(["what", "here"], list(facts.items())) + "\n\n" + describe_sets(data_dir)
