"""Which recipe a training gets, and which network, where nobody said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lenet.data import CATALOG, Dataset
from lenet.data.kind import kind_of
from lenet.network import Spec, zoo
from lenet.recipe import Recipe
from lenet.recipe.library import AUTO, NOTE, Choice, Subject, choose, find
from lenet.recipe.recipe import check_used

Wanted = Recipe | str | Path | None
"""A recipe, the name of one, a file, or whatever suits the data."""


def find_recipe(
    wanted: Wanted, changes: dict[str, Any], model: str | Spec | None = None
) -> Recipe | str | None:
    """What is known before the data are: see `lenet.recipe.library.find`.

    Where nothing is wanted, a network of the zoo brings its own recipe, if it has one.

    Raises:
        RecipeError: as that.
        UsageError: if the zoo has no such network.
    """
    if wanted is not None:
        return find(wanted, changes)
    own = zoo.recipe_of(model) if isinstance(model, str) else Recipe()
    by_hand = _is_for_plain_sgd(changes)
    if own != Recipe() and not (by_hand and own == AUTO):
        return find(own, changes)
    find(NOTE if by_hand else AUTO, changes)
    return None


def choose_recipe(found: Recipe | str | None, dataset: Dataset, changes: dict[str, Any]) -> Choice:
    """The numbers of a training; None means "note" for data of the catalog, "auto" for any other.

    A learning rate or a momentum by hand is one for plain SGD, which is the note's, unless an
    optimizer is named too: with what "auto" would choose it could only diverge.

    Raises:
        RecipeError: if a change cannot work with the other numbers, or they make no use of it.
    """
    if found is None:
        found = NOTE if is_published(dataset) or _is_for_plain_sgd(changes) else AUTO
    choice = choose(found, subject_of(dataset, changes), changes)
    check_used(choice.recipe, changes)
    return choice


def _is_for_plain_sgd(changes: dict[str, Any]) -> bool:
    return "optimizer" not in changes and not changes.keys().isdisjoint(
        ("learning_rate", "momentum", "nesterov")
    )


def subject_of(dataset: Dataset, changes: dict[str, Any]) -> Subject:
    """What there is to be learnt, after `changes` have held some images out."""
    held_out = int(changes.get("validation") or 0)
    kind = kind_of(dataset.train.images, dataset.convention)
    count = max(1, len(dataset.train) - held_out)
    return Subject(count, len(dataset.class_names), kind, bool(dataset.flips))


def is_published(dataset: Dataset) -> bool:
    """Whether it is a data set of the catalog, as it was published."""
    return dataset.name in CATALOG and dataset.survey is None
