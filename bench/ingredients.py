"""`python -m bench.ingredients`: what each ingredient of `best` gives, on validation images alone.

Every arm changes one thing of a recipe and is trained with the same seeds: the same held-out
images, order and, where the shapes are alike, initial weights.  The test split is never looked at.
`--around best` leaves ingredients out of `best`; `--around max` does so of what it was for clothes
before it had average pooling and more decay; `--around start` is how that was found.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.seeds import learn
from lenet import data
from lenet.prediction.evaluation import evaluate
from lenet.prediction.views import Views
from lenet.recipe import Recipe
from lenet.recipe.library import BEST, MANY_HANDS, OPTIMIZERS, RECIPES, most_accurate
from lenet.studies.statistics import compare
from lenet.system.files import write_whole
from lenet.training.choice import subject_of
from lenet.training.setup import hold_out_images, set_up

ROWS = Path("docs/studies/best/ingredients.csv")
TYPES: dict[str, Callable[[str], Any]] = {
    "data": str, "around": str, "arm": str, "seed": int, "epochs": int,
}  # fmt: skip
"""Of a row's fields; the others are numbers with fractions."""

VALIDATION = 10_000

START: dict[str, Any] = {
    "batch_size": 128, "momentum": 0.9, "nesterov": True, "learning_rate": 0.1,
    "schedule": "one_cycle", "weight_decay": 1e-4, "label_smoothing": 0.05,
}  # fmt: skip
"""With `lenet5-relu`, clothes moved by a pixel and mirrored, characters as by many hands."""

ADAMW: dict[str, Any] = {
    "optimizer": "adamw", "momentum": 0.0, "nesterov": False, **OPTIMIZERS["adamw"],
}  # fmt: skip
SILU, AVERAGE = {"activation": "silu", "head_activation": "silu"}, {"pooling": "average"}

FROM_START: dict[str, dict[str, Any]] = {
    "start": {},
    "no shift": {"augmentation": {"shift": 0}},
    "shift of 2": {"augmentation": {"shift": 2}},
    "no flip": {"augmentation": {"flip": False}},
    "bent": {"augmentation": {"scale": 0.1, "rotation": 5.0}},
    "erased": {"augmentation": {"erase": 0.25}},
    "lit": {"augmentation": {"brightness": 0.1, "contrast": 0.2}},
    "labels as they are": {"label_smoothing": 0.0},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "decay 5e-4": {"weight_decay": 5e-4},
    "no decay": {"weight_decay": 0.0},
    "rate 0.05": {"learning_rate": 0.05},
    "rate 0.2": {"learning_rate": 0.2},
    "batch 64": {"batch_size": 64},
    "batch 256": {"batch_size": 256},
    "cosine": {"schedule": "cosine"},
    "kaiming": {"initialiser": "kaiming_uniform"},
    "averaged weights": {"averaging": 0.999},
    "silu": {"network": SILU},
    "tanh": {"network": {"activation": "tanh", "head_activation": "tanh"}},
    "leaky_relu": {"network": {"activation": "leaky_relu", "head_activation": "leaky_relu"}},
    "average pooling": {"network": AVERAGE},
    "adamw": ADAMW,
    "adamw, rate 0.002": {**ADAMW, "learning_rate": 0.002},
    "adamw, batch 64": {**ADAMW, "batch_size": 64},
    "adamw, a quarter erased": {**ADAMW, "augmentation": {"erase": 0.25}},
    "adamw, half erased": {**ADAMW, "augmentation": {"erase": 0.5}},
    "adamw, all erased": {**ADAMW, "augmentation": {"erase": 1.0}},
    "adamw, silu": {**ADAMW, "network": SILU},
    "adamw, average pooling": {**ADAMW, "network": AVERAGE},
    "adamw, silu, average pooling": {**ADAMW, "network": {**SILU, **AVERAGE}},
}
"""What each arm changes of `START`, the first one nothing; `network` are changes to the row of the
zoo."""

SGD: dict[str, Any] = {
    "optimizer": "sgd",
    **{name: START[name] for name in ("momentum", "nesterov", "learning_rate", "weight_decay")},
}
PICTURES: dict[str, dict[str, Any]] = {
    "best": {},
    "SGD": SGD,
    "no decay": {"weight_decay": 0.0},
    "labels as they are": {"label_smoothing": 0.0},
    "averaged weights": {"averaging": 0.999},
    "silu": {"network": SILU},
    "no shift": {"augmentation": {"shift": 0}},
}
"""What is asked of any pictures."""

CLOTHES: dict[str, dict[str, Any]] = {
    "shift of 2": {"augmentation": {"shift": 2}},
    "no flip": {"augmentation": {"flip": False}},
    "nothing erased": {"augmentation": {"erase": 0.0}},
}
CHARACTERS: dict[str, dict[str, Any]] = {
    "not bent": {"augmentation": {"elastic": 0.0}},
    "bent alone": {"augmentation": {name: 0 for name in MANY_HANDS if name != "elastic"}},
    "as they are": {"augmentation": dict.fromkeys(MANY_HANDS, 0)},
    "a quarter erased": {"augmentation": {"erase": 0.25}},
}
FROM_MAX: dict[str, dict[str, Any]] = {
    **PICTURES,
    "average pooling": {"network": AVERAGE},
    "decay 0.05": {"weight_decay": 0.05},
}
"""With maximum pooling, as for characters."""

FROM_AVERAGE: dict[str, dict[str, Any]] = {
    **PICTURES,
    "maximum pooling": {"network": {"pooling": "max"}},
    "maximum pooling, decay 0.02": {"network": {"pooling": "max"}, "weight_decay": 0.02},
    "decay 0.02": {"weight_decay": 0.02},
    "decay 0.1": {"weight_decay": 0.1},
    "silu, decay 0.02": {"network": SILU, "weight_decay": 0.02},
    **CLOTHES,
}
"""With average pooling, as for photos."""


def arms_around(recipe: str, dataset: data.Dataset) -> dict[str, dict[str, Any]]:
    """The arms that change `recipe`, a choice of `--around`, by name; the first is the control."""
    if recipe == "start":
        return FROM_START
    if recipe == "best" and dataset.flips:
        return FROM_AVERAGE
    return FROM_MAX | (CLOTHES if dataset.flips else CHARACTERS)


def what_changes(recipe: str, dataset: data.Dataset) -> tuple[str, dict[str, Any]]:
    """The network and the numbers that the arms change."""
    if recipe == "start":
        moved = {"shift": 1, "flip": True} if dataset.flips else MANY_HANDS
        return "lenet5-relu", {**START, "augmentation": moved}
    subject = subject_of(dataset, {"validation": VALIDATION})
    numbers = most_accurate(subject, None)
    if recipe == "max":
        return "lenet5-relu", {**numbers, **OPTIMIZERS["adamw"]}
    return RECIPES[BEST].models[subject.kind], numbers


def measure(
    around: str, name: str, dataset: data.Dataset, seed: int, epochs: int
) -> dict[str, Any]:
    """One training of an arm, and its scores on the images held out."""
    changes: dict[str, Any] = dict(arms_around(around, dataset)[name])
    network: Mapping[str, str] = changes.pop("network", {})
    same = {"epochs": epochs, "seed": seed, "validation": VALIDATION}
    model, numbers = what_changes(around, dataset)
    recipe = Recipe().with_changes(numbers).with_changes(same | changes)
    ready = set_up(model, dataset, recipe, changes=network, device="cpu", threads=1)
    train, validation = hold_out_images(dataset, recipe)
    started = time.perf_counter()
    last = learn(ready.engine, train, recipe)
    seconds = time.perf_counter() - started
    plain = evaluate(ready.engine, validation)
    views = Views(flips=bool(dataset.flips))
    return {
        "data": dataset.name,
        "around": around,
        "arm": name,
        "seed": seed,
        "epochs": epochs,
        "train_loss": round(last.mean_loss, 4),
        "accuracy": plain.accuracy,
        "loss": round(plain.loss, 4),
        "over_views": evaluate(ready.engine, validation, views).accuracy,
        "seconds": round(seconds, 1),
    }


def scores_by_seed(rows: list[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """The rows of each arm by their seeds, in the order of the file."""
    return {
        name: {row["seed"]: row for row in rows if row["arm"] == name}
        for name in dict.fromkeys(row["arm"] for row in rows)
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Each arm against the recipe itself, or the first one, over the seeds that both have."""
    lines = ["| arm | validation | over views | difference | 95 % | p | pairs |", "|---" * 7 + "|"]
    scores = scores_by_seed(rows)
    start = next((name for name in ("best", "start") if name in scores), next(iter(scores)))
    for name, found in scores.items():
        seeds = sorted(found.keys() & scores[start].keys())
        plain, views = (
            100 * np.array([found[seed][key] for seed in seeds])
            for key in ("accuracy", "over_views")
        )
        cells = f"| {name} | {plain.mean():.2f} | {views.mean():.2f} |"
        control = 100 * np.array([scores[start][seed]["accuracy"] for seed in seeds])
        if name == start or len(seeds) < 2:
            differs = f"{(plain - control).mean():+.2f}"
            lines.append(f"{cells} {differs if name != start else ''} | | | {len(seeds)} |")
            continue
        pair = compare([plain], control)[0]
        lines.append(
            f"{cells} {pair.mean:+.2f} | {pair.low:+.2f} to {pair.high:+.2f} | {pair.p:.3f} | "
            f"{len(seeds)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ingredients", description=__doc__)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--around", choices=("best", "max", "start"), default="best")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--arms", nargs="*", help="by default all; the first is the control")
    parser.add_argument("--out", type=Path, default=ROWS, help="what is there is kept")
    flags = parser.parse_args()
    dataset = data.load(flags.data, flags.data_dir)
    rows = read_rows(flags.out) if flags.out.exists() else []
    arms = flags.arms or list(arms_around(flags.around, dataset))
    asked = (dataset.name, flags.around, flags.epochs)
    there = {(row["arm"], row["seed"]) for row in rows_of(rows, *asked)}
    for seed in range(flags.seeds):
        for name in arms:
            if (name, seed) in there:
                continue
            rows.append(measure(flags.around, name, dataset, seed, flags.epochs))
            print(rows[-1], file=sys.stderr, flush=True)
            write_rows(flags.out, rows)
    print(table(rows_of(rows, *asked)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that `measure` gave, with its types."""
    with open(path, newline="") as file:
        return [
            {name: TYPES.get(name, float)(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def rows_of(
    rows: list[dict[str, Any]], data_name: str, around: str, epochs: int
) -> list[dict[str, Any]]:
    """The rows of one question."""
    asked = (data_name, around, epochs)
    return [row for row in rows if (row["data"], row["around"], row["epochs"]) == asked]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the file by these."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue())


if __name__ == "__main__":
    main()
