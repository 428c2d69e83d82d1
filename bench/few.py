"""`python -m bench.few`: what a recipe gives on few pictures, by other train images held out.

How `auto` was chosen for photos.  So many of the train images, others for each seed, are learnt by
one arm after the other, and scored on 5,000 of the rest; the test split is never looked at.  Each
training is a line of JSON in a file, so that what was done stays when it is stopped.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.seeds import add_line, learn, lines
from lenet import data
from lenet.prediction.evaluation import evaluate
from lenet.prediction.views import Views
from lenet.recipe import Recipe
from lenet.recipe.augmentation import Augmentation
from lenet.recipe.library import MANY_HANDS, automatic
from lenet.studies.statistics import compare
from lenet.training.choice import subject_of
from lenet.training.setup import set_up

LINES = Path("docs/few.jsonl")
HELD_OUT = 5_000
CONTROL = "nothing erased"

UNERASED = {"augmentation": {"erase": 0.0, "erase_side": Augmentation().erase_side}}
WIDE = {"erase": 1.0, "erase_side": 0.5}
ARMS: dict[str, tuple[int, dict[str, Any]]] = {
    CONTROL: (1, {}),
    "twice as long": (2, {}),
    "four times as long": (4, {}),
    "a quarter erased": (1, {"augmentation": {"erase": 0.25}}),
    "half erased": (1, {"augmentation": {"erase": 0.5}}),
    "half erased, twice as long": (2, {"augmentation": {"erase": 0.5}}),
    "half erased, four times as long": (4, {"augmentation": {"erase": 0.5}}),
    "all erased": (1, {"augmentation": {"erase": 1.0}}),
    "all erased, sides up to half": (1, {"augmentation": WIDE}),
    "all erased, sides up to 0.6": (1, {"augmentation": {"erase": 1.0, "erase_side": 0.6}}),
    "sides up to half, twice as long": (2, {"augmentation": WIDE}),
    "sides up to half, four times as long": (4, {"augmentation": WIDE}),
    "average pooling": (1, {"network": {"pooling": "average"}}),
    "average pooling, decay 0.05": (1, {"network": {"pooling": "average"}, "weight_decay": 0.05}),
    "SiLU": (1, {"network": {"activation": "silu", "head_activation": "silu"}}),
    "decay 0.05": (1, {"weight_decay": 0.05}),
    "decay 0.1": (1, {"weight_decay": 0.1}),
    "mirrored": (1, {"augmentation": {"flip": True}}),
    "lit otherwise": (1, {"augmentation": {"brightness": 0.1, "contrast": 0.2}}),
    "moved by 2": (1, {"augmentation": {"shift": 2}}),
    "bent": (1, {"augmentation": {"elastic": 20.0}}),
    "squeezed": (1, {"augmentation": {"squeeze": 0.1}}),
    "as where there are many": (1, {"augmentation": MANY_HANDS}),
    "bent by 30, four times as long": (4, {"augmentation": {"elastic": 30.0}}),
    "turned by 18 degrees, four times as long": (4, {"augmentation": {"rotation": 18.0}}),
    "half erased, sides up to 0.3, four times as long": (
        4,
        {"augmentation": {"erase": 0.5, "erase_side": 0.3}},
    ),
}
"""How many times as long as the control, and what else is changed of it."""


def passes(images: int, factor: int) -> int:
    """At least 12, and as many as show 48,000 images, so many times; 1,500 at most."""
    return min(1500, factor * max(12, math.ceil(48_000 / images)))


def measure(given: data.Dataset, images: int, seed: int, arm: str) -> dict[str, Any]:
    """One training, and its scores on the images held out."""
    chosen = np.random.default_rng(1000 + seed).permutation(len(given.train))
    learnt = given.train.at(np.sort(chosen[:images]))
    held = given.train.at(np.sort(chosen[-HELD_OUT:]))
    few = replace(given, train=learnt, test=held)
    factor, changes = ARMS[arm]
    network = changes.get("network", {})
    numbers = automatic(subject_of(few, {}), None)
    same = {"seed": seed, "epochs": passes(images, factor)}
    recipe = Recipe().with_changes(numbers).with_changes(same | UNERASED)
    recipe = recipe.with_changes({name: changes[name] for name in changes if name != "network"})
    ready = set_up("lenet5-relu", few, recipe, changes=network, device="cpu", threads=1)
    learn(ready.engine, learnt, recipe)
    plain, views = evaluate(ready.engine, held), Views(edge=True)
    return {
        "data": given.name,
        "images": images,
        "arm": arm,
        "seed": seed,
        "accuracy": plain.accuracy,
        "loss": round(plain.loss, 4),
        "over_views": evaluate(ready.engine, held, views).accuracy,
    }


def table(found: list[dict[str, Any]]) -> str:
    """The control's accuracy, and how far each arm is from it over the seeds that both have."""
    sizes = sorted({line["images"] for line in found})
    scores: dict[tuple[str, int], dict[int, float]] = {}
    for line in found:
        scores.setdefault((line["arm"], line["images"]), {})[line["seed"]] = 100 * line["accuracy"]
    rows = [
        f"| what | {' | '.join(f'{size:,}' for size in sizes)} |",
        f"|{'---|' * (len(sizes) + 1)}",
    ]
    for arm in dict.fromkeys(line["arm"] for line in found):
        cells = [
            _cell(scores.get((arm, size), {}), scores.get((CONTROL, size), {}), arm)
            for size in sizes
        ]
        rows.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(own: dict[int, float], control: dict[int, float], arm: str) -> str:
    seeds = sorted(own.keys() & control.keys())
    if not seeds:
        return ""
    if arm == CONTROL:
        return f"{np.mean([own[seed] for seed in seeds]):.2f} ({len(seeds)})"
    mine, others = (np.array([each[seed] for seed in seeds]) for each in (own, control))
    if len(seeds) == 1:
        return f"{(mine - others)[0]:+.2f} (1)"
    pair = compare([mine], others)[0]
    return f"{pair.mean:+.2f}, {pair.low:+.2f} to {pair.high:+.2f} ({len(seeds)})"


def fill(flags: argparse.Namespace) -> None:
    """Add the lines that are asked for and not there."""
    given = data.load(flags.data)
    if max(flags.images) + HELD_OUT > len(given.train):
        raise SystemExit(
            f"--images: of the {len(given.train):,} of {flags.data} {HELD_OUT:,} are held out"
        )
    there = {(line["data"], line["images"], line["arm"], line["seed"]) for line in lines(flags.out)}
    for images in flags.images:
        for seed in range(flags.seeds):
            for arm in flags.arms:
                if (flags.data, images, arm, seed) not in there:
                    add_line(flags.out, measure(given, images, seed, arm))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.few", description=__doc__)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--images", type=int, nargs="*", default=[], help="none: the table alone")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS))
    parser.add_argument("--out", type=Path, default=LINES, help="what is there is kept")
    flags = parser.parse_args()
    if flags.images:
        fill(flags)
    print(table([line for line in lines(flags.out) if line["data"] == flags.data]))


if __name__ == "__main__":
    main()
