"""A data set in memory: splits of images and labels, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import AS_GIVEN, Convention
from lenet.data.reading import Origin
from lenet.data.survey import Survey
from lenet.errors import UsageError
from lenet.system import rng


@dataclass(frozen=True, slots=True)
class Split:
    """Images uint8 (n, channels, height, width) and labels int64 (n,), 0 to classes - 1."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"<lenet.data.Split {len(self)} images {shape}>"

    def at(self, indices: NDArray[np.int64]) -> Split:
        """The images and labels at `indices`, copied."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set.

    `digests` maps each file's name to the SHA-256 of its payload, or for own data each split to
    that of its images and labels; `convention` is how its pictures were made.  `validation` is
    there if the data came with one.  Own data has an `origin`, and a `survey` of what was found.
    `flips` says whether a picture mirrored left to right still shows its class; None: who knows.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    digests: dict[str, str] = field(default_factory=dict)
    convention: Convention = AS_GIVEN
    validation: Split | None = None
    origin: Origin | None = None
    survey: Survey | None = None
    flips: bool | None = None

    def __repr__(self) -> str:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = ", ".join(f"{len(each)} {name}" for name, each in splits.items() if each)
        shape = "x".join(map(str, self.train.images.shape[1:]))
        return f"<lenet.Dataset {self.name}, {len(self.class_names)} classes, {counts}, {shape}>"


def training_splits(dataset: Dataset, count: int, seed: int) -> tuple[Split, Split]:
    """(train, validation): the validation split of the data, or `count` images held out of train.

    Raises:
        UsageError: if the data has its own and images are to be held out.
    """
    if dataset.validation is None:
        return hold_out(dataset.train, count, seed)
    if count:
        raise UsageError(
            f"validation = {count}: {dataset.name} comes with {len(dataset.validation)} validation "
            "images; leave it out"
        )
    return dataset.train, dataset.validation


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Split off `count` images, each class in proportion; (rest, held out), both in file order."""
    if count == 0:
        return split, split.at(np.zeros(0, np.int64))
    return stratified_split(split, count, rng.permutation(len(split), seed, "hold out"))


def stratified_split(split: Split, count: int, order: NDArray[np.int64]) -> tuple[Split, Split]:
    """(rest, chosen): `count` images in proportion to the classes; see `stratified_choice`."""
    chosen = stratified_choice(split.labels, count, order)
    return split.at(np.flatnonzero(~chosen)), split.at(np.flatnonzero(chosen))


def stratified_choice(
    labels: NDArray[np.int64], count: int, order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """True for `count` of the `labels` (n,), in proportion to the classes, first in `order` first.

    Shares are rounded by largest remainder, so the counts add up to `count` exactly.
    """
    sizes = np.bincount(labels)
    exact = sizes * (count / len(labels))
    shares = np.floor(exact).astype(np.int64)
    left = count - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:left]] += 1
    ordered = labels[order]
    chosen = np.concatenate([order[ordered == label][:share] for label, share in enumerate(shares)])
    mask = np.zeros(len(labels), bool)
    mask[chosen] = True
    return mask
