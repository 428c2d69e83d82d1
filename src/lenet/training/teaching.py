"""Soft targets: what trained networks say of the images that another one is to learn from.

Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Dataset, Split
from lenet.data.files import listed
from lenet.errors import RecipeError, RunError, UsageError
from lenet.prediction.evaluation import open_network
from lenet.prediction.metrics import log_probabilities
from lenet.recipe import Recipe
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import find_run


@final
@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network that another one learns from: its run, and a digest of its weights."""

    run: str
    sha256: str
    checkpoint: Checkpoint

    def facts(self) -> dict[str, Any]:
        """For a receipt, by which it is found again."""
        return {"run": self.run, "sha256": self.sha256}


def find_teachers(runs: str | Path | Sequence[str | Path]) -> tuple[Teacher, ...]:
    """The network of one run or of several, each by its best checkpoint where there is one.

    Raises:
        RunError: if there is no such run, or it cannot be read.
    """
    several = runs if isinstance(runs, list | tuple) else (runs,)
    return tuple(_teacher(find_run(run).path) for run in several)


def find_again(facts: Sequence[dict[str, Any]], place: Path) -> tuple[Teacher, ...]:
    """The teachers that a receipt names, as they were.

    Raises:
        RunError: if one is gone, or is another network by now.
    """
    found = []
    for each in facts:
        teacher = _teacher(Path(each["run"]))
        if teacher.sha256 != each["sha256"]:
            raise RunError(
                f"{place}: its teacher {each['run']} is another network than when the training "
                "began; put that run back as it was, or train anew"
            )
        found.append(teacher)
    return tuple(found)


def _teacher(path: Path) -> Teacher:
    checkpoint, digest = find_run(path).checkpoint(), hashlib.sha256()
    for name, array in sorted(checkpoint.weights.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return Teacher(str(path.absolute()), digest.hexdigest(), checkpoint)


def check_teachers(teachers: Sequence[Teacher], dataset: Dataset) -> None:
    """Refuse teachers of something else.

    Raises:
        UsageError: if one reads other images, or knows other classes.
    """
    shape, names = dataset.train.images.shape[1:], dataset.class_names
    for teacher in teachers:
        spec, theirs = teacher.checkpoint.spec, teacher.checkpoint.data.class_names
        if spec.input_shape != shape or theirs != names:
            raise UsageError(
                f"teacher {teacher.run} takes images {spec.input_shape} and knows the classes "
                f"{listed(theirs)}; {dataset.name} has {shape} and {listed(names)}: name a run "
                "that was trained on such data"
            )


def check_taught(teachers: Sequence[Teacher], recipe: Recipe, named: Collection[str]) -> None:
    """Refuse a recipe that cannot learn what a teacher says.

    Raises:
        RecipeError: if its loss knows labels alone, or it sees images that no teacher has seen, or
            what a teacher's answers count for was named and there is no teacher, or a smoothing of
            labels and there is one.
    """
    alone = [] if teachers else sorted({"teacher_share", "temperature"}.intersection(named))
    if alone:
        raise RecipeError(f"{alone[0]}: it is for what a teacher says; name one, or leave it out")
    if teachers and recipe.label_smoothing > 0 and "label_smoothing" in named:
        raise RecipeError(
            f"label_smoothing = {recipe.label_smoothing}: it is for labels alone, and what a "
            "teacher says is not smoothed; leave it out, or raise temperature"
        )
    if teachers and recipe.loss != "cross_entropy":
        raise RecipeError(
            f"loss = {recipe.loss!r}: it learns labels, and no teacher's answers; use loss "
            "'cross_entropy', or leave the teacher out"
        )
    if teachers and recipe.distortions:
        raise RecipeError(
            f"distortions = {recipe.distortions}: a teacher answers to the images themselves; "
            "leave one of them out"
        )


def soft_targets(
    teachers: Sequence[Teacher],
    train: Split,
    recipe: Recipe,
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> NDArray[np.float32] | None:
    """Of each image a probability for each class, float32 (n, classes); None without teachers.

    The mean over the teachers of softmax(logits / `temperature`) counts for `teacher_share`, the
    label for the rest.
    """
    if not teachers:
        return None
    total = np.zeros((len(train), teachers[0].checkpoint.spec.classes))
    for teacher in teachers:
        network = open_network(teacher.checkpoint, engine=engine, device=device, threads=threads)
        logits = network.logits(network.place(train.images))
        total += np.exp(log_probabilities(logits / np.float32(recipe.temperature)))
    targets = recipe.teacher_share * total / len(teachers)
    targets[np.arange(len(train)), train.labels] += 1.0 - recipe.teacher_share
    return targets.astype(np.float32)
