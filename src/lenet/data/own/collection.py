"""Images with the names of their classes, before they are split."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.files import SPLIT_NAMES, SUFFIXES
from lenet.data.pictures.convention import Convention
from lenet.data.survey import LeftOut
from lenet.errors import DataError

Shape = tuple[int, int, int]

Target = Callable[[Shape], tuple[Shape, Convention, bool]]
"""From the shape that images are stored in: the one that they get, how, and whether even those that
have it already are made anew."""

MOST_CLASSES = 1000
LONGEST_NAME = 60

SPLIT_FILLERS = frozenset({"set", "data", "dataset", "images", "imgs", "pictures", "split"})
"""Words that folders of a split have beside its name, as `training_set`."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Images uint8 (n, channels, height, width), and their classes' names, texts (n,).

    `keys` (n,) are digests of the pictures as they were given, before they were resized: the same
    picture has the same key however it is read.  `splits` (n,) has the split that each image was
    given in, or is None.  `class_names` are in the order of the labels; a class may have no image.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.str_]
    keys: list[bytes]
    class_names: tuple[str, ...]
    splits: NDArray[np.str_] | None
    convention: Convention
    prepared: str
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()


def split_called(name: str) -> str | None:
    """The split that a folder of this name is, or None: `Train`, `test_set`, `val-images`."""
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    telling = {word.removesuffix("set") for word in words if word not in SPLIT_FILLERS}
    return SPLIT_NAMES.get(telling.pop()) if len(telling) == 1 else None


def digest_pixels(image: NDArray[np.uint8]) -> bytes:
    """A digest of an image uint8 (channels, height, width)."""
    content = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    content.update(np.ascontiguousarray(image).data)
    return content.digest()


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Whole numbers by their value, and names by their letters (Unicode code points)."""
    distinct = set(names)
    if all(re.fullmatch(r"\d{1,9}", name) for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def class_name(text: str, place: str) -> str:
    """A class's name in Unicode's composed form, so that one name is written in one way.

    Raises:
        DataError: if it is empty, not Unicode, or could upset a terminal.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise DataError(
            f"{place}: {text!r} cannot be a class's name: it is empty, not Unicode, or holds "
            "control characters; rename it"
        )
    return name


def short_name(path: Path) -> str:
    """A name for messages, titles and files: the path's last part, without what is unprintable."""
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if "." in suffix and name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    words = "".join(letter if letter.isprintable() else "-" for letter in name).split()
    return "-".join(words)[:LONGEST_NAME] or "data"


def check_classes(names: tuple[str, ...], place: str) -> None:
    """Refuse fewer than two classes, or so many that they are no classes.

    Raises:
        DataError: with the cure.
    """
    if len(names) < 2:
        found = f"only one class, {names[0]!r}" if names else "no class"
        raise DataError(f"{place}: {found}; a network chooses between two classes at least")
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"{place}: {len(names):,} different labels; lenet takes up to {MOST_CLASSES:,} classes"
        )


def describe_shape(shape: Shape) -> str:
    """A shape in words."""
    return f"{shape[2]}x{shape[1]}, {'grey' if shape[0] == 1 else 'colour'}"
