"""`python -m bench.recipes`: the recipes `best` and `auto`, seed by seed, on the test split.

They are chosen on images held out (`bench.ingredients`); here the test split is looked at once
for each seed, by the network that the training ends with: as the images are, and over views.
`run` adds a line of JSON for each seed to a file, so that what was done stays when it is stopped;
`table` prints what the lines say, and `draw` draws it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import lenet
from bench import best_figures, ingredients
from bench.seeds import add_flags, add_line, interval, lines, part_of, said
from lenet.data import Dataset, load
from lenet.recipe.library import BEST
from lenet.system import machine

LINES = Path("docs/recipes.jsonl")

LEAST_DRAWN = 10
"""Seeds of a row that is drawn."""

DRAWN = {
    "Fashion-MNIST": ("fashion-mnist", "best", 40),
    "MNIST": ("mnist", "best", 20),
}
"""Questions of `bench.ingredients` that are drawn: data, around what, epochs."""


def train_one(
    recipe: str, given: Dataset, seed: int, changes: dict[str, Any], teachers: Sequence[str],
    out: Path,
) -> dict[str, Any]:  # fmt: skip
    """One training, its two scores on the test split, and its cost on one thread."""
    # The monitor of each epoch would be most of the cost of few images.
    watched = given.test.at(np.arange(min(len(given.test), len(given.train))))
    begun = time.process_time()
    trained = lenet.train(
        data=replace(given, test=watched), recipe=recipe, seed=seed, out=out, engine="native",
        threads=1, teacher=teachers, **changes,
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert trained.run is not None
    network = lenet.load(trained.run.path, which="last")
    plain, seen = network.evaluate(data=given), network.evaluate(data=given, views=True)
    return {
        "recipe": recipe,
        "data": given.name,
        "images": len(given.train),
        "seed": seed,
        "changes": changes,
        "teachers": len(teachers),
        "model": network.checkpoint.spec.name,
        "parameters": network.checkpoint.spec.parameters,
        "epochs": network.checkpoint.recipe.epochs,
        "train_loss": trained.run.epochs()[-1]["train_loss"],
        "test": plain.accuracy,
        "over_views": seen.accuracy,
        "processor_seconds": round(seconds, 1),
        "machine": machine.describe(),
    }


def key(line: dict[str, Any]) -> tuple[Any, ...]:
    """What makes it another row of the table."""
    names = ("recipe", "data", "images", "teachers")
    return (*(line[name] for name in names), json.dumps(line["changes"]))


def run(flags: argparse.Namespace) -> None:
    dataset, done = load(flags.data), lines(flags.out)
    if flags.images > len(dataset.train):
        raise SystemExit(f"--images {flags.images}: {flags.data} has {len(dataset.train)} to train")
    wanted = {
        "recipe": flags.recipe, "data": flags.data, "images": flags.images or len(dataset.train),
        "teachers": len(flags.teacher), "changes": flags.changes,
    }  # fmt: skip
    seeds = {line["seed"] for line in done if key(line) == key(wanted)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = flags.keep or Path(scratch)
        for seed in range(flags.first, flags.first + flags.seeds):
            if seed in seeds:
                continue
            given = part_of(dataset, wanted["images"], seed)
            out = folder / f"{flags.recipe}-{flags.data}-{len(given.train)}-{seed}"
            found = train_one(flags.recipe, given, seed, flags.changes, flags.teacher, out)
            add_line(flags.out, found)
            print(
                flags.recipe, flags.data, seed, f"test {100 * found['test']:.2f} %",
                f"over views {100 * found['over_views']:.2f} %",
                f"{found['processor_seconds']:.0f} s", flush=True,
            )  # fmt: skip


def groups(found: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each row of the table, in the order of the file."""
    for each in dict.fromkeys(map(key, found)):
        yield [line for line in found if key(line) == each]


def table(flags: argparse.Namespace) -> None:
    heads = (
        "recipe", "data", "images", "network", "parameters", "teachers", "seeds", "test, %",
        "over views, %", "s",
    )  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for chosen in groups(lines(flags.out)):
        first = chosen[0]
        network = f"{first['model']} {said(first['changes'])}".strip()
        cells = (
            first["recipe"], first["data"], f"{first['images']:,}", network,
            f"{first['parameters']:,}",
            first["teachers"], len(chosen), interval([line["test"] for line in chosen]),
            interval([line["over_views"] for line in chosen]),
            f"{np.median([line['processor_seconds'] for line in chosen]):.0f}",
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")


def draw(flags: argparse.Namespace) -> None:
    """The figures of docs/studies/best.md."""
    of_best = [line for line in lines(flags.out) if line["recipe"] == BEST]
    clothes = [line for line in of_best if line["data"] == "fashion-mnist"]
    rows = {
        f"{'average' if 'model' not in first['changes'] else 'maximum'} pooling\n"
        f"{first['epochs']} epochs": chosen
        for chosen in groups(clothes)
        if len(chosen) >= LEAST_DRAWN
        for first in chosen[:1]
    }
    best_figures.draw_seeds(dict(reversed(rows.items())), flags.folder / "seeds.png")
    found = ingredients.read_rows(ingredients.ROWS)
    tables = {
        f"{title}, {question[-1]} epochs": ingredients.rows_of(found, *question)
        for title, question in DRAWN.items()
    }
    best_figures.draw_ingredients(tables, flags.folder / "ingredients.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recipes", description=__doc__)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("data", help="a name of the catalog")
    running.add_argument("--recipe", choices=("best", "auto"), default="best")
    running.add_argument("--images", type=int, default=0, help="so many of the train images")
    add_flags(running, LINES)
    running.add_argument("--teacher", nargs="*", default=[], help="runs to learn from")
    running.add_argument("--keep", type=Path, help="the folder for the runs; else thrown away")
    running.set_defaults(command=run)
    printing = commands.add_parser("table")
    printing.add_argument("--out", type=Path, default=LINES)
    printing.set_defaults(command=table)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--out", type=Path, default=LINES)
    drawing.add_argument("--folder", type=Path, default=Path("docs/studies/best"))
    drawing.set_defaults(command=draw)
    flags = parser.parse_args()
    flags.command(flags)


if __name__ == "__main__":
    main()
