"""Recipes by name: what each is for, and its numbers, which may depend on what is to be learnt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from lenet.errors import RecipeError
from lenet.recipe.recipe import Recipe, check_changes

KINDS = INK, PHOTO, TABLE = "ink", "photo", "table"
"""What there may be to learn; see `Subject`."""

NOTE, AUTO, BEST = "note", "auto", "best"


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be learnt, as far as a recipe may depend on it.

    `images` are those to train on.  `kind` is "ink" (characters and drawings: strokes on a plain
    ground), "photo" (pictures of any other sort) or "table" (rows of numbers that are no picture).
    `flips` says whether a mirrored picture still shows its class.
    """

    images: int
    classes: int
    kind: str
    flips: bool = False


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A named recipe: what it is for, what it costs and reached, its networks, and its numbers.

    There is a network for each of `KINDS`; the numbers come from the subject, and from the
    optimizer if another one is asked for.
    """

    purpose: str
    cost: str
    result: str
    models: dict[str, str]
    numbers: Callable[[Subject, str | None], dict[str, Any]]


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe that a training gets, the network that goes with it, and where it came from.

    `name` is that of a row of `RECIPES`, or empty where the numbers were given; `subject` is what
    they were derived from, if they were.
    """

    name: str
    model: str
    recipe: Recipe
    subject: Subject | None = None


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True, "learning_rate": 0.05, "weight_decay": 5e-4},
    "adamw": {"learning_rate": 0.004, "weight_decay": 0.02},
}
"""What goes with each, in `auto`."""

SGD_OF_MANY = {"momentum": 0.9, "nesterov": True, "learning_rate": 0.1, "weight_decay": 1e-4}
"""What goes with it in `best`."""

HANDS = {
    "shift": 2, "scale": 0.15, "squeeze": 0.15, "shear": 0.2, "rotation": 12.0, "elastic": 20.0,
    "border": "edge",
}  # fmt: skip
"""What becomes of characters: hands differ so."""

MANY_HANDS = {
    "shift": 1, "scale": 0.1, "squeeze": 0.1, "shear": 0.1, "rotation": 10.0, "elastic": 20.0,
}  # fmt: skip
"""The same where there are many characters already."""

MANY_SCENES = {"shift": 1, "erase": 0.5}
"""What becomes of other pictures where there are many already."""

SCENES = {"shift": 1, "scale": 0.1, "rotation": 3.0, "border": "edge"}
"""What becomes of other pictures: cameras stand so."""

FEW, FEW_SCENES = 5_000, {**SCENES, "erase": 1.0, "erase_side": 0.5}
"""Up to so many of them each loses a part, lest one corner tell its class."""


class Passes(NamedTuple):
    """How many images a training sees, as long as its passes are `least` to `most`."""

    seen: int
    least: int
    most: int


PASSES = {INK: Passes(96_000, 12, 1_500), PHOTO: Passes(192_000, 24, 500)}

BATCHES = ((5_000, 32), (20_000, 64))
"""Up to so many images, so many in a step; 128 beyond."""


def automatic(subject: Subject, optimizer: str | None) -> dict[str, Any]:
    """The rule of `auto`; docs/recipes.md says what it was chosen by."""
    optimizer = optimizer or "adamw"
    if subject.kind == TABLE:
        return _table(subject.images, optimizer)
    size = next((size for most, size in BATCHES if subject.images <= most), 128)
    passes = PASSES[subject.kind]
    # Fewer images than fill a batch make steps no better than a batch would.
    wanted = math.ceil(passes.seen / max(subject.images, size))
    return {
        "optimizer": optimizer,
        **OPTIMIZERS.get(optimizer, {}),
        "epochs": min(max(wanted, passes.least), passes.most),
        "batch_size": min(size, subject.images),
        "schedule": "one_cycle",
        "label_smoothing": 0.05,
        "augmentation": _changes(subject),
    }


def _changes(subject: Subject) -> dict[str, Any]:
    if subject.kind == INK:
        return HANDS
    return FEW_SCENES if subject.images <= FEW else SCENES


def _table(images: int, optimizer: str) -> dict[str, Any]:
    """Rows of numbers are not changed: nobody knows what would still be the same row."""
    batch_size = 64
    steps = math.ceil(images / batch_size)
    return {
        "optimizer": optimizer,
        **OPTIMIZERS.get(optimizer, {}),
        "epochs": max(10, math.ceil(400 / steps)),
        "batch_size": batch_size,
        "schedule": "cosine",
    }


def most_accurate(subject: Subject, optimizer: str | None) -> dict[str, Any]:
    """The numbers of `best`; docs/studies/best.md has what each gives."""
    is_ink, optimizer = subject.kind == INK, optimizer or "adamw"
    others = OPTIMIZERS | {"sgd": SGD_OF_MANY}
    return {
        "epochs": 120 if is_ink else 240,
        "batch_size": 128,
        **others.get(optimizer, {}),
        **({"weight_decay": 0.02 if is_ink else 0.05} if optimizer == "adamw" else {}),
        "optimizer": optimizer,
        "schedule": "one_cycle",
        "label_smoothing": 0.05,
        "augmentation": _changes_of_many(subject),
    }


def _changes_of_many(subject: Subject) -> dict[str, Any]:
    if subject.kind == TABLE:  # as in `_table`
        return {}
    return MANY_HANDS if subject.kind == INK else {**MANY_SCENES, "flip": subject.flips}


RECIPES: dict[str, Row] = {
    NOTE: Row(
        "the note's: plain SGD, ten epochs; the default for data sets by name",
        "9 s on two cores",
        "Fashion-MNIST 0.870 (10 seeds)",
        dict.fromkeys(KINDS, "lenet5"),
        lambda *_: {},
    ),
    AUTO: Row(
        "numbers derived from the images; the default for your own data",
        "6 to 13 s a core",
        "digits 0.999 (10 seeds)",
        dict.fromkeys(KINDS, "lenet5-relu"),
        automatic,
    ),
    BEST: Row(
        "the most accurate for 61,706 parameters",
        "9 min of a core",
        "Fashion-MNIST 0.933 (20 seeds)",
        {INK: "lenet5-relu", PHOTO: "lenet5-average", TABLE: "lenet5-relu"},
        most_accurate,
    ),
}

OTHERWISE = "lenet5"
"""The network of a recipe that says nothing of one."""


def find(wanted: Recipe | str | Path, changes: dict[str, Any]) -> Recipe | str:
    """The recipe that is `wanted`, read if it is a file, or the name of one in `RECIPES`.

    The `changes` are looked at already, before anybody waits for data.

    Raises:
        RecipeError: if there is no such recipe, or it cannot be read, or a change cannot work.
    """
    if isinstance(wanted, str) and wanted in RECIPES:
        check_changes(changes, "arguments")
        return wanted
    if isinstance(wanted, Recipe):
        return wanted.with_changes(changes)
    if not isinstance(wanted, str | Path):
        raise RecipeError(
            f"recipe is of type {type(wanted).__name__}; it is a name, a file or a Recipe, and "
            "single numbers are named beside it, as epochs=3"
        )
    path = Path(wanted)
    if not path.exists() and path.suffix != ".toml":
        raise RecipeError(
            f"no recipe is called {str(wanted)!r}; known are {', '.join(RECIPES)}; and no such "
            "file is here"
        )
    return Recipe.read(path).with_changes(changes, "arguments")


def choose(wanted: Recipe | str, subject: Subject, changes: dict[str, Any]) -> Choice:
    """What `find` found, for a subject.

    Raises:
        RecipeError: if a change cannot work with the other numbers.
    """
    if isinstance(wanted, Recipe):
        return Choice("", OTHERWISE, wanted)
    row = RECIPES[wanted]
    numbers = row.numbers(subject, changes.get("optimizer"))
    recipe = Recipe().with_changes(numbers).with_changes(changes, "arguments")
    return Choice(wanted, row.models[subject.kind], recipe, subject)
