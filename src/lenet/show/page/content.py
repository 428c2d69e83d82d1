"""What a page carries: networks, test images, the bundled digits, and what it says of them."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lenet import data as data_sets
from lenet.data import CATALOG, Dataset, Source, Split, locate
from lenet.data.published.digits import read_bundle
from lenet.errors import DataError, UsageError
from lenet.prediction.evaluation import check_fit, evaluate, load_data, open_network
from lenet.prediction.metrics import SURE
from lenet.recipe import Recipe
from lenet.recipe.augmentation import Augmentation
from lenet.runs import checkpoint as checkpoints
from lenet.runs.checkpoint import Checkpoint, DataSource
from lenet.system.facts import field_types

MOST_EXAMPLES, MOST_BYTES = 200, 28_000
"""Test images in a page, and what they may take of it, compressed."""

LANGUAGES = ("en", "zh")

DIGITS_RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=0.2)
"""For the bundled digits: the note's has too few steps for 1,437 images."""

TRAINED_BY: dict[str, tuple[Any, ...]] = {
    "initialiser": ("xavier_uniform", "lecun_uniform", "kaiming_uniform"),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("constant", "step", "cosine", "one_cycle"),
    "loss": ("cross_entropy",),
    "order": ("shuffled",),
    "distortions": (0,),
}
"""The choices of a recipe by which a page can train; by others it would end with other bytes."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A network of the page, and what it is called there."""

    name: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Content:
    """What the page knows as JSON values (`facts`), and what it carries as bytes, compressed."""

    title: str
    facts: dict[str, Any]
    packs: dict[str, bytes]
    links: tuple[tuple[str, str], ...] = ()


def gather(
    shown: Sequence[Shown],
    data_dir: str | Path | None = None,
    data: Source | None = None,
    *,
    fetch: bool,
    links: Sequence[tuple[str, str]] = (),
) -> Content:
    """The content of a page of the networks `shown`; `links` are (text, address) of its foot.

    With `fetch`, data that is not here is downloaded; where it cannot be had there are no test
    images.

    Raises:
        UsageError: if the networks do not take the same pictures, have other classes, or have
            layers that the page does not know, or `data` does not fit.
        DataError: if `data` cannot be read.
    """
    first = shown[0].checkpoint
    for each in shown:
        _check(each.checkpoint, first)
    dataset = _find_data(first, data_dir, data, fetch=fetch)
    test = None if dataset is None else dataset.test
    chosen, labels, images = _choose(test, first.spec.classes)
    digits = data_sets.load("digits")
    facts = {
        "networks": [_network(each, test) for each in shown],
        "examples": {"labels": labels, "indices": chosen},
        "training": _training(first, digits),
        "words": {name: _read_json(f"words/{name}.json") for name in LANGUAGES},
    }
    packs = {
        "kernels": _compress(_part("lenet.wasm").read_bytes()),
        "digits": _compress(_pack_digits()),
        "examples": images,
    }
    for number, each in enumerate(shown):
        packs[f"network-{number}"] = _compress(_pack_weights(each.checkpoint))
    return Content(first.title, facts, packs, tuple(links))


def _check(checkpoint: Checkpoint, first: Checkpoint) -> None:
    spec = checkpoint.spec
    if spec.of_1998 is not None:
        raise UsageError(
            f"{spec.name}: the page does not know {spec.of_1998}; look into it with lenet explain"
        )
    ours = (spec.input_shape, checkpoint.data.class_names)
    if ours != (first.spec.input_shape, first.data.class_names):
        raise UsageError(
            f"{first.spec.name} on {first.data.name} and {spec.name} on {checkpoint.data.name} do "
            "not take the same pictures to the same classes: write a page for each"
        )


def _find_data(
    checkpoint: Checkpoint, data_dir: str | Path | None, data: Source | None, *, fetch: bool
) -> Dataset | None:
    """The network's own data, or None where it cannot be had (with a warning where it should)."""
    source = checkpoint.data
    if data is not None:
        dataset = load_data(checkpoint, data, data_dir)
        check_fit(checkpoint, dataset)
        return dataset
    if not fetch and source.origin is None and not _is_here(source.name, data_dir):
        return None
    try:
        return source.load(data_dir)
    except DataError as error:
        if fetch:
            warnings.warn(f"the page will carry no test images: {error}", stacklevel=4)
        return None


def _is_here(name: str, data_dir: str | Path | None) -> bool:
    """Whether a data set is on this machine; data that was at hand in a training is nowhere."""
    if name not in CATALOG:
        return False
    folder = None if data_dir is None else Path(data_dir)
    return CATALOG[name].is_bundled or locate(name, folder) is not None


def _choose(test: Split | None, classes: int) -> tuple[list[int], list[int], bytes]:
    """Indices and labels of the first images of each class, and the images, compressed."""
    if test is None:
        return [], [], _compress(b"")
    each = max(1, MOST_EXAMPLES // classes)
    while True:
        found = [np.flatnonzero(test.labels == label)[:each] for label in range(classes)]
        chosen = np.sort(np.concatenate(found)[: max(MOST_EXAMPLES, classes)])
        images = _compress(test.images[chosen].tobytes())
        if len(images) <= MOST_BYTES or each == 1:
            return chosen.tolist(), test.labels[chosen].tolist(), images
        each = max(1, each * 3 // 4)


def _network(shown: Shown, test: Split | None) -> dict[str, Any]:
    checkpoint = shown.checkpoint
    scores = None if test is None else evaluate(open_network(checkpoint, device="cpu"), test)
    return {
        "name": shown.name,
        "title": checkpoint.title,
        "spec": checkpoint.spec.to_dict(),
        "class_names": checkpoint.data.class_names,
        "convention": asdict(checkpoint.data.convention),
        "sure": SURE,
        "accuracy": None if scores is None else scores.accuracy,
        "count": 0 if scores is None else scores.count,
        "data": checkpoint.data.name,
        "recipe": _differences(checkpoint.recipe),
        "digest": checkpoints.digest(checkpoint),
    }


def _differences(recipe: Recipe) -> str:
    """The fields of a recipe that a person reads first."""
    first = ("epochs", "batch_size", "learning_rate", "optimizer", "seed")
    usual = Recipe()
    names = [each.name for each in fields(recipe)]
    more = [name for name in names if getattr(recipe, name) != getattr(usual, name)]
    shown = [name for name in dict.fromkeys([*first, *more]) if name != "augmentation"]
    said = [f"{name} {getattr(recipe, name)}" for name in shown]
    return ", ".join(said if recipe.augmentation.is_none else [*said, "images changed each epoch"])


def _training(checkpoint: Checkpoint, digits: Dataset) -> dict[str, Any]:
    own = replace(checkpoint.recipe, validation=0, averaging=0.0, augmentation=Augmentation())
    if any(getattr(own, name) not in choices for name, choices in TRAINED_BY.items()):
        own = Recipe()
    on_digits = checkpoint.data.name == digits.name
    return {
        "recipes": {
            "digits": asdict(own if on_digits else DIGITS_RECIPE),
            "files": asdict(Recipe() if on_digits else own),
        },
        "floats": {"recipe": _floats(Recipe), "augmentation": _floats(Augmentation)},
        "digits": asdict(DataSource.of(digits)),
        "digits_count": len(digits.train),
        "sources": [
            asdict(_published(name)) for name in CATALOG if name != digits.name and _is_told(name)
        ],
    }


def _floats(kind: type[Any]) -> list[str]:
    """The fields of a data class that are floats, which JSON does not tell from whole numbers."""
    return [name for name, each in field_types(kind).items() if each is float]


def _is_told(name: str) -> bool:
    """Whether its files can be told by their published digests, and the page can read them."""
    files = CATALOG[name].files
    return bool(files) and all(file.sha256 is not None for file in files)


def _published(name: str) -> DataSource:
    entry = CATALOG[name]
    digests = {file.name: file.sha256 or "" for file in entry.files}
    return DataSource(entry.name, digests, entry.class_names, entry.convention)


def _pack_weights(checkpoint: Checkpoint) -> bytes:
    """All weights in the order of the layers, the first bytes of all floats first, and so on."""
    weights = checkpoint.weights
    names = checkpoint.spec.weight_shapes()
    flat = np.concatenate([weights[name].ravel() for name in names]).astype("<f4")
    return flat.view(np.uint8).reshape(-1, 4).T.tobytes()


def _pack_digits() -> bytes:
    """For each digit its label, with 128 added in the test split; then all 8x8 levels, 0 to 16."""
    bundle = read_bundle()
    marks = bundle.labels + np.uint8(128) * bundle.in_test.astype(np.uint8)
    return marks.tobytes() + bundle.levels.tobytes()


def _part(name: str) -> Any:
    return resources.files("lenet.show.page").joinpath(name)


def _read_json(name: str) -> dict[str, str]:
    words: dict[str, str] = json.loads(_part(name).read_text(encoding="utf-8"))
    return words


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)
