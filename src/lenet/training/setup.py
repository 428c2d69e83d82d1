"""What every training begins with: a network that fits the data, in an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lenet.data import Dataset, Split, training_splits
from lenet.data.reading import SIDE
from lenet.engines import check_engine, open_engine
from lenet.engines.base import Engine
from lenet.errors import InputError, RecipeError, SpecError, UsageError
from lenet.network import Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.runs.checkpoint import Checkpoint, DataSource, Position


@dataclass(frozen=True, slots=True)
class Setup:
    """A training before its first step."""

    dataset: Dataset
    spec: Spec
    recipe: Recipe
    engine: Engine

    def first_checkpoint(self) -> Checkpoint:
        """The training as it is now, to be kept."""
        source = DataSource.of(self.dataset)
        return Checkpoint(self.spec, self.recipe, source, self.engine.state(), Position())


def set_up(
    model: str | Spec,
    dataset: Dataset,
    recipe: Recipe,
    *,
    changes: Mapping[str, str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Setup:
    """The network `model` for the images of `dataset`, with the recipe's initial weights.

    `model` is a row of the zoo, with `changes` to it, or a network of the caller's own.

    Raises:
        UsageError: if there is no such network, or it cannot read the data.
        RecipeError: if too few images are left to train on, or the recipe mirrors images of a data
            set where that makes another class.
        EngineError: as `open_engine`.
    """
    spec = network_for(model, dataset, recipe, changes)
    check_engine(spec, engine=engine, device=device)
    weights = initial_weights(spec, recipe)
    opened = open_engine(spec, recipe, weights, engine=engine, device=device, threads=threads)
    return Setup(dataset, spec, recipe, opened)


def network_for(
    model: str | Spec, dataset: Dataset, recipe: Recipe, changes: Mapping[str, str] | None = None
) -> Spec:
    """The network that `set_up` would train, where recipe, data and network go together.

    Raises:
        UsageError, RecipeError: as `set_up`.
    """
    hold_out_images(dataset, recipe)
    check_flip(dataset, recipe)
    spec = _fitting(model, dataset, changes, recipe)
    check_loss(spec, recipe)
    return spec


def hold_out_images(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    """(train, validation) as the recipe cuts them.

    Raises:
        RecipeError: if no image would be left to train on.
        UsageError: as `training_splits`.
    """
    if recipe.validation >= len(dataset.train):
        raise RecipeError(
            f"validation = {recipe.validation}: {dataset.name} has only {len(dataset.train)} train "
            "images, and some must be left to train on"
        )
    return training_splits(dataset, recipe.validation, recipe.seed)


def check_loss(spec: Spec, recipe: Recipe) -> None:
    """Refuse a loss that the network's outputs do not have.

    Raises:
        RecipeError: if it is one of distances and they are none, or are squared otherwise.
    """
    distances = spec.distances
    if distances is None and recipe.squares != Recipe().squares:
        raise RecipeError(
            f"squares = {recipe.squares!r}: {spec.name} ends in no distances; leave it out, or use "
            "a network that ends in radial_basis, such as lenet5-1998"
        )
    if distances is not None and distances.squares != recipe.squares:
        raise RecipeError(
            f"squares = {recipe.squares!r}: {spec.name} has them {distances.squares}; say the same "
            "in both"
        )
    if recipe.loss != "cross_entropy" and distances is None:
        raise RecipeError(
            f"loss = {recipe.loss!r}: {spec.name} ends in no distances; use loss 'cross_entropy', "
            "or a network that ends in radial_basis, such as lenet5-1998"
        )


def check_flip(dataset: Dataset, recipe: Recipe) -> None:
    """Refuse to mirror pictures that then show something else.

    Raises:
        RecipeError: if it is known of the data set that they do.
    """
    if recipe.augmentation.flip and dataset.flips is False:
        raise RecipeError(
            f"augmentation: flip = true: mirrored, a picture of {dataset.name} does not show its "
            "class any more; leave flip out"
        )


def _fitting(
    model: str | Spec, dataset: Dataset, changes: Mapping[str, str] | None, recipe: Recipe
) -> Spec:
    shape, classes = dataset.train.images.shape[1:], len(dataset.class_names)
    if isinstance(model, str):
        channels, height, width = shape
        try:
            return zoo.build(
                model,
                channels=channels,
                height=height,
                width=width,
                classes=classes,
                changes=changes,
                squares=recipe.squares,
            )
        except SpecError as error:
            if dataset.survey is None or min(height, width) >= SIDE:
                raise
            asked = dataset.origin is not None and dataset.origin.reading.size is not None
            made = "as was asked for" if asked else "as they are stored"
            raise SpecError(
                f"{error}: the images of {dataset.name} are {width}x{height} {made}; "
                f"make them larger with --size {SIDE} (Python: reading=Reading(size={SIDE})), "
                "for a study in the file itself"
            ) from error
    if not isinstance(model, Spec):
        raise InputError(
            f"model is of type {type(model).__name__}; it is a name (lenet models) or a Spec"
        )
    if model.input_shape != shape or model.classes != classes:
        raise UsageError(
            f"{model.name} takes images {model.input_shape} in {model.classes} classes; "
            f"{dataset.name} has {shape} in {classes}: give a network that fits, or other data"
        )
    return model
