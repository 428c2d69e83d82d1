"""A collection split for training and test, and looked over: counts, copies, digests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Split
from lenet.data.files import listed
from lenet.data.own.collection import Collection, digest_pixels
from lenet.data.survey import Survey
from lenet.errors import DataError

TEST_SHARE = 1 / 6
"""Of each class, where the data has no test split: MNIST's is 10,000 to 60,000."""

SPLITS = ("train", "validation", "test")

Indices = NDArray[np.int64]


def divide(
    collection: Collection, labels: NDArray[np.int64], seed: int, place: str
) -> tuple[dict[str, Indices], str]:
    """The images of each split, and how they were found, in words.

    Without a test split in the data, a sixth of each class becomes one: the pictures that come
    first in the order of SHA-256(seed, key), at least one where the class has two different ones.
    So the choice depends on the pictures as given, and neither on the names of files nor on the
    size that is chosen; copies of a picture stay on one side, and pictures that are added later
    move few of the others.

    Raises:
        DataError: if nothing is left to train on or to test on.
    """
    everything = np.arange(len(labels), dtype=np.int64)
    if collection.splits is None:
        given, words = {"train": everything}, "no split given"
    else:
        given = {name: everything[collection.splits == name] for name in SPLITS}
        given = {name: indices for name, indices in given.items() if len(indices)}
        words = f"{', '.join(given)} as given"
    if "train" not in given:
        raise DataError(f"{place}: no train split; lenet found {', '.join(given)}")
    if "test" not in given:
        train, test = _cut(collection.keys, labels, given["train"], seed)
        given |= {"train": train, "test": test}
        words += f"; test: a sixth of each class, chosen by split seed {seed}"
    if not len(given["test"]):
        raise DataError(
            f"{place}: no class has two different pictures, so that none is left to test on; add "
            "pictures"
        )
    return given, words


def _cut(
    keys: Sequence[bytes], labels: NDArray[np.int64], indices: Indices, seed: int
) -> tuple[Indices, Indices]:
    """(train, test) of `indices`, both in their order."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[indices]):
        members = indices[labels[indices] == label]
        groups: dict[bytes, list[int]] = {}
        for index in members.tolist():
            key = hashlib.sha256(f"{seed} ".encode() + keys[index]).digest()
            groups.setdefault(key, []).append(index)
        wanted = max(1, round(len(members) * TEST_SHARE))
        taken = 0
        for key in sorted(groups)[:-1]:
            if taken >= wanted:
                break
            chosen[groups[key]] = True
            taken += len(groups[key])
    return indices[~chosen[indices]], indices[chosen[indices]]


def survey(
    collection: Collection,
    labels: NDArray[np.int64],
    splits: dict[str, Indices],
    division: str,
    remarks: tuple[str, ...],
) -> Survey:
    """Count the classes of each split, and find images whose pixels are the same."""
    seen: dict[bytes, str] = {}
    classes: dict[bytes, set[int]] = {}
    pixels = {}
    copies = shared = 0
    for name, indices in splits.items():
        for index in indices.tolist():
            key = digest_pixels(collection.images[index])
            pixels[index] = key
            first = seen.setdefault(key, name)
            if key in classes:
                copies += first == name
                shared += first != name
            classes.setdefault(key, set()).add(int(labels[index]))
    count = len(collection.class_names)
    return Survey(
        prepared=collection.prepared,
        division=division,
        counts={
            name: tuple(np.bincount(labels[indices], minlength=count).tolist())
            for name, indices in splits.items()
        },
        copies=copies,
        shared=shared,
        disputed=sum(len(classes[key]) > 1 for key in pixels.values()),
        left_out=collection.left_out,
        remarks=collection.remarks + remarks,
    )


def absent_classes(
    collection: Collection, labels: NDArray[np.int64], splits: dict[str, Indices]
) -> tuple[str, ...]:
    """Remarks on classes that cannot be learnt, or not be scored."""
    remarks = []
    for name in ("train", "test"):
        counts = np.bincount(labels[splits[name]], minlength=len(collection.class_names))
        absent = [collection.class_names[index] for index in np.flatnonzero(counts == 0)]
        if absent:
            remarks.append(f"classes without an image in the {name} split: {listed(absent)}")
    return tuple(remarks)


def digest(split: Split, class_names: tuple[str, ...]) -> str:
    """SHA-256 over the images, the labels and the names of the classes."""
    content = hashlib.sha256("\0".join(class_names).encode())
    content.update(repr(split.images.shape).encode())
    content.update(np.ascontiguousarray(split.images).data)
    content.update(split.labels.astype("<i8").tobytes())
    return content.hexdigest()
