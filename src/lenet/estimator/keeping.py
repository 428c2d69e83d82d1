"""A fitted classifier as a run, and a run as what a classifier is made of.

What a run has no place for (labels of any type, how rows become pictures, parameters) stands in its
receipt under `classifier`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Engine
from lenet.errors import InputError, RunError
from lenet.estimator.pictures import Form
from lenet.network import Spec, zoo
from lenet.recipe import Recipe
from lenet.recipe.augmentation import Augmentation
from lenet.runs.checkpoint import Checkpoint, DataSource, Position
from lenet.runs.receipt import CLASSIFIER, describe_session, first_receipt
from lenet.runs.run import RECEIPT, Run, create_run
from lenet.system.facts import build

DATA = "scikit-learn"
"""What the data of such a run is called: it was at hand, and is not kept."""

PARAMETERS = (
    "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "label_smoothing",
    "augmentation", "epochs",
)  # fmt: skip
"""What a recipe and a classifier both have, by the same name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What makes a checkpoint a fitted classifier; see the classifier for each.

    `labels` is the NumPy type of `classes`.
    """

    parameters: dict[str, Any]
    classes: Any
    labels: str
    form: Form
    features: int
    feature_names: tuple[str, ...]
    epochs: int
    loss_curve: tuple[float, ...]
    validation_scores: tuple[float, ...]


def plain_values(value: Any) -> Any:
    """A parameter as a file can keep it; a `Recipe` and an `Augmentation` become their fields."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Recipe | Augmentation):
        return asdict(value)
    if isinstance(value, dict):
        return {key: plain_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def label_type(classes: NDArray[Any]) -> str:
    """The type of labels in words that a file can keep.

    Raises:
        InputError: if they are neither numbers nor texts.
    """
    if classes.dtype.kind in "iufbU":
        return classes.dtype.str
    if classes.dtype.kind == "O" and all(isinstance(label, str) for label in classes):
        return "O"
    raise InputError(
        f"labels of type {classes.dtype} as {classes[0]!r} cannot be kept in a run; fit on numbers "
        "or texts"
    )


def label_array(kept: Kept) -> NDArray[Any]:
    """The labels as they were; raises `ValueError` or `TypeError` if they are of another type."""
    kind = np.dtype(kept.labels)
    if kind.kind != "U":
        return np.array(kept.classes, kind)
    found = np.array(kept.classes)  # the width is their own, whatever a file says
    if found.dtype.kind != "U":
        raise ValueError(f"its labels are {found.dtype}, and no texts")
    return found


def keep(path: Path, kept: Kept, spec: Spec, recipe: Recipe, engine: Engine) -> Run:
    """Write a run whose training is over.

    Raises:
        RunError: if the folder is taken or cannot be written.
    """
    state, names = engine.state(), tuple(str(label) for label in kept.classes)
    recipe = replace(recipe, epochs=max(recipe.epochs, kept.epochs))
    position = Position(epoch=recipe.epochs + 1, updates=state.updates)
    checkpoint = Checkpoint(spec, recipe, DataSource(DATA, {}, names), state, position)
    receipt = first_receipt(checkpoint) | {CLASSIFIER: asdict(kept)}
    receipt["sessions"].append(describe_session(engine, position))
    return create_run(path, checkpoint, receipt)


def read_kept(run: Run, which: str | None, *, numbers: bool) -> tuple[Checkpoint, Kept]:
    """The checkpoint of a run, and the classifier that it was, or that it can be.

    Raises:
        RunError: if it cannot be read, or what it says of a classifier does not fit.
    """
    checkpoint, receipt = run.checkpoint(which), run.receipt()
    if CLASSIFIER not in receipt:
        return checkpoint, _as_classifier(run, checkpoint, numbers)
    place = run.path / RECEIPT
    try:
        kept = build(Kept, receipt[CLASSIFIER], CLASSIFIER, complete=True)
        _check(kept, checkpoint.spec)
    except (ValueError, TypeError) as error:
        raise RunError(f"{place}: no classifier can be made of it: {error}") from error
    if kept.parameters.get("pixel_range") is not None:
        kept.parameters["pixel_range"] = tuple(kept.parameters["pixel_range"])
    return checkpoint, kept


def _check(kept: Kept, spec: Spec) -> None:
    """Raises `ValueError` or `TypeError` if it is of another network."""
    found = label_array(kept)
    if found.shape != (spec.classes,):
        raise ValueError(f"it has {found.shape} classes; the network has {spec.classes}")
    if kept.form.input_shape != spec.input_shape:
        raise ValueError(
            f"its pictures are {kept.form.input_shape}; the network takes {spec.input_shape}"
        )
    if not 0 < kept.features <= math.prod(kept.form.shape):
        raise ValueError(f"it has {kept.features} features in pictures of {kept.form.shape}")


def _as_classifier(run: Run, checkpoint: Checkpoint, numbers: bool) -> Kept:
    spec, recipe, rows = checkpoint.spec, checkpoint.recipe, run.epochs()
    names = list(checkpoint.data.class_names)
    scores = [row["validation_accuracy"] for row in rows if "validation_accuracy" in row]
    given = {name: getattr(recipe, name) for name in PARAMETERS}
    # Those of its numbers are left out that a classifier refuses.
    usable = replace(recipe, validation=0, distortions=0)
    given |= {"recipe": usable, "random_state": recipe.seed, "pixel_range": (0.0, 255.0)}
    if spec.name in zoo.ZOO:
        given["model"] = spec.name
    classes = np.arange(len(names)) if numbers else np.array(names)
    return Kept(
        parameters=given,
        classes=classes.tolist(),
        labels=label_type(classes),
        form=Form(spec.input_shape, 0.0, 255.0, enlarged=False),
        features=math.prod(spec.input_shape),
        feature_names=(),
        epochs=len(rows),
        loss_curve=tuple(row["train_loss"] for row in rows),
        validation_scores=tuple(scores),
    )
