"""`python -m bench.best`: the recipe `best` with all train images, seed by seed, on the test split.

The recipe is chosen on images held out (`bench.ingredients`); here the test split is looked at once
for each seed, by the network that the training ends with: as the images are, and over views.
`run` adds a line of JSON for each seed to a file, so that what was done stays when it is stopped;
`table` prints what the lines say.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lenet
from bench.seeds import add_flags, add_line, interval, lines, said
from lenet.system import machine

LINES = Path("docs/studies/best/test.jsonl")


def train_one(
    data: str, seed: int, changes: dict[str, Any], teachers: Sequence[str], folder: Path
) -> dict[str, Any]:
    """One training, its two scores on the test split, and its cost on one thread."""
    begun = time.process_time()
    trained = lenet.train(
        data=data, recipe="best", seed=seed, out=folder / f"{data}-{seed}", engine="native",
        threads=1, teacher=teachers, **changes,
    )  # fmt: skip
    seconds = time.process_time() - begun
    assert trained.run is not None
    network = lenet.load(trained.run.path, which="last")
    plain, seen = network.evaluate(), network.evaluate(views=True)
    return {
        "data": data,
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
    return line["data"], line["model"], json.dumps(line["changes"]), line["teachers"]


def run(flags: argparse.Namespace) -> None:
    there = {
        (line["data"], line["seed"], line["changes"] == flags.changes, line["teachers"])
        for line in lines(flags.out)
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = flags.keep or Path(scratch)
        for seed in range(flags.first, flags.first + flags.seeds):
            if (flags.data, seed, True, len(flags.teacher)) in there:
                continue
            found = train_one(flags.data, seed, flags.changes, flags.teacher, folder)
            add_line(flags.out, found)
            print(
                flags.data, seed, f"test {100 * found['test']:.2f} %",
                f"over views {100 * found['over_views']:.2f} %",
                f"{found['processor_seconds']:.0f} s", flush=True,
            )  # fmt: skip


def groups(found: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each row of the table, in the order of the file."""
    for each in dict.fromkeys(map(key, found)):
        yield [line for line in found if key(line) == each]


def table(flags: argparse.Namespace) -> None:
    heads = ("data", "network", "parameters", "teachers", "seeds", "test, %", "over views, %", "s")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for chosen in groups(lines(flags.out)):
        first = chosen[0]
        network = f"{first['model']} {said(first['changes'])}".strip()
        cells = (
            first["data"], network, f"{first['parameters']:,}",
            first["teachers"], len(chosen), interval([line["test"] for line in chosen]),
            interval([line["over_views"] for line in chosen]),
            f"{np.median([line['processor_seconds'] for line in chosen]):.0f}",
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.best", description=__doc__)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("data", choices=("fashion-mnist", "mnist"))
    add_flags(running, LINES)
    running.add_argument("--teacher", nargs="*", default=[], help="runs to learn from")
    running.add_argument("--keep", type=Path, help="the folder for the runs; else thrown away")
    running.set_defaults(command=run)
    printing = commands.add_parser("table")
    printing.add_argument("--out", type=Path, default=LINES)
    printing.set_defaults(command=table)
    flags = parser.parse_args()
    flags.command(flags)


if __name__ == "__main__":
    main()
