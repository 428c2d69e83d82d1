"""`python -m bench.reproduction`: the networks of 1998, trained as the paper trained them.

`run` trains one row of `ROWS` and adds a line of JSON for each seed to a file, so that what was
done stays when it is stopped; `table` prints what the lines say; `draw` makes the figures of
docs/1998.md; `speed` takes the same steps with both engines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lenet
from bench import timing
from bench.reproduction_figures import draw_all
from bench.seeds import add_flags, add_line, interval, lines, part_of, said
from lenet.data import Dataset, load
from lenet.system import machine

LINES = Path("docs/1998.jsonl")
IMAGES = Path("docs/images")

ROWS: dict[str, tuple[str, int, dict[str, Any], float]] = {
    "lenet1": ("lenet1", 60_000, {}, 1.7),
    "lenet4": ("lenet4", 60_000, {}, 1.1),
    "lenet4-120": ("lenet4-120", 60_000, {}, 1.1),
    "lenet5": ("lenet5-1998", 60_000, {}, 0.95),
    "lenet5-distorted": ("lenet5-1998", 60_000, {"distortions": 9}, 0.8),
    "lenet5-15000": ("lenet5-1998", 15_000, {}, 1.68),
    "lenet5-30000": ("lenet5-1998", 30_000, {}, 1.14),
}
"""By name: the network, how many train images, changes to its recipe, and the paper's test error in
per cent."""

REJECTS = 0.005
"""The error that is left where the least sure answers are rejected: the paper's figure 10."""


def rejected(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of the images to reject, least sure first, for an error of `REJECTS` among the rest.

    Sure is how far the best answer is before the second one: LeCun et al. 1998, section III-D.
    """
    ranked = np.sort(logits, axis=1)
    order = np.argsort(ranked[:, -1] - ranked[:, -2], kind="stable")
    wrong = logits.argmax(axis=1)[order] != labels[order]
    left = np.cumsum(wrong[::-1])[::-1]  # errors among those from each place on
    errors = left / np.arange(len(labels), 0, -1)
    return float(np.argmax(errors <= REJECTS) / len(labels))


def train_one(name: str, seed: int, dataset: Dataset, changes: dict[str, Any]) -> dict[str, Any]:
    """One training: its curves, its wrong answers and its cost."""
    model, count, own, _ = ROWS[name]
    given = part_of(dataset, count, seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trained = lenet.train(
            model=model, data=given, seed=seed, out=Path(folder) / "run", engine="native",
            threads=1, **own, **changes,
        )  # fmt: skip
        assert trained.run is not None
        rows, receipt = trained.run.epochs(), trained.run.receipt()
        last = lenet.load(trained.run.path, which="last")
        logits = last.logits(dataset.test.images)
        on_train = last.evaluate("train", data=given).error_rate
    answers = logits.argmax(axis=1)
    wrong = np.flatnonzero(answers != dataset.test.labels)
    session = receipt["sessions"][-1]
    return {
        "row": name,
        "seed": seed,
        "changes": changes,
        "train": [round(1 - row["train_accuracy"], 6) for row in rows],
        "test": [round(1 - row["test_accuracy"], 6) for row in rows],
        "validation": [
            round(1 - row["validation_accuracy"], 6) for row in rows if "validation_accuracy" in row
        ],
        "train_error": on_train,
        "wrong": [[int(index), int(answers[index])] for index in wrong],
        "rejects": rejected(logits, dataset.test.labels),
        "seconds": round(time.perf_counter() - started, 1),
        "training_seconds": round(session["training_seconds"], 1),
        "patterns_per_second": round(session["training_images"] / session["training_seconds"]),
        "machine": machine.describe(),
    }


def run(flags: argparse.Namespace) -> None:
    dataset, done = load("mnist"), lines(flags.out)
    for seed in range(flags.first, flags.first + flags.seeds):
        if any(
            (line["row"], line["seed"], line["changes"]) == (flags.row, seed, flags.changes)
            for line in done
        ):
            continue
        found = train_one(flags.row, seed, dataset, flags.changes)
        add_line(flags.out, found)
        validation = found["validation"][-1:]
        print(
            flags.row, flags.changes, seed, f"test {100 * found['test'][-1]:.2f} %",
            *(f"validation {100 * error:.2f} %" for error in validation),
            f"train {100 * found['train'][-1]:.2f} %", f"{found['patterns_per_second']}/s",
            flush=True,
        )  # fmt: skip


def groups(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], list[Any]]]:
    """The lines of each row and change together, in the order of the file."""
    keys = {(line["row"], json.dumps(line["changes"])): line["changes"] for line in found}
    for (row, text), changes in keys.items():
        chosen = [
            line for line in found if (line["row"], json.dumps(line["changes"])) == (row, text)
        ]
        yield row, changes, chosen


def table(flags: argparse.Namespace) -> None:
    heads = "row | changes | seeds | test error, % | train error on the fly, % | rejects, % | paper"
    print(f"| {heads} |\n|{'---|' * 7}")
    for row, changes, chosen in groups(lines(flags.out)):
        test = interval([line["test"][-1] for line in chosen])
        train = interval([line["train"][-1] for line in chosen])
        rejects = interval([line["rejects"] for line in chosen])
        paper = ROWS[row][3]
        print(
            f"| {row} | {said(changes)} | {len(chosen)} | {test} | {train} | {rejects} | {paper} |"
        )


def patterns_per_second(engine: str, patterns: int) -> Callable[[], float]:
    """A measurement of steps on one image each, on one thread, as a training takes them.

    By the processor's time, which others on the machine do not count in.
    """
    from lenet.engines import open_engine
    from lenet.network import zoo
    from lenet.network.initialiser import initial_weights
    from lenet.recipe.schedule import epoch_steps
    from lenet.training.epoch import Pass

    spec, recipe = zoo.build("lenet5-1998"), zoo.recipe_of("lenet5-1998")
    opened = open_engine(
        spec, recipe, initial_weights(spec, recipe), engine=engine, device="cpu", threads=1
    )
    train = load("mnist").train
    placed = opened.place(train.images[:10_000], train.labels[:10_000])
    opened.curvature(placed, np.arange(500))

    def measure() -> float:
        started = time.process_time()
        Pass(opened, placed, epoch_steps(recipe, np.arange(patterns), 1), epoch=1).to_end()
        return patterns / (time.process_time() - started)

    return measure


def speed(flags: argparse.Namespace) -> None:
    subjects = {
        "native": patterns_per_second("native", 10_000),
        "PyTorch": patterns_per_second("eager", 500),
    }
    for name, sample in timing.alternate(subjects, flags.rounds, lambda _: None).items():
        print(f"{name}: {sample.as_row()}")


def draw(flags: argparse.Namespace) -> None:
    for path in draw_all(lines(flags.out), load("mnist"), flags.images):
        print(path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reproduction", description=__doc__)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("row", choices=ROWS)
    add_flags(running, LINES)
    running.set_defaults(command=run)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--out", type=Path, default=LINES)
    drawing.add_argument("--images", type=Path, default=IMAGES)
    drawing.set_defaults(command=draw)
    timed = commands.add_parser("speed")
    timed.add_argument("--rounds", type=int, default=5)
    timed.set_defaults(command=speed)
    printing = commands.add_parser("table")
    printing.add_argument("--out", type=Path, default=LINES)
    printing.set_defaults(command=table)
    flags = parser.parse_args()
    flags.command(flags)


if __name__ == "__main__":
    main()
