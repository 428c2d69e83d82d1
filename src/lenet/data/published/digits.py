"""The handwritten digits that come with lenet, brought to MNIST's form: no download.

`digits.npz` holds the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak 1998, UCI Machine Learning Repository, doi:10.24432/C50P49, licence CC BY 4.0): 1,797
pictures of 8x8 pixels, grey levels 0 to 16, in the order of scikit-learn's `load_digits`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Dataset, Split, stratified_choice
from lenet.data.pictures.convention import MNIST
from lenet.system import rng

TEST_IMAGES = 360
INK_SIDE, SIDE = 20, 28
"""MNIST's digits fill 20x20 pixels in the middle of 28x28 (LeCun et al. 1998, section III-A)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The digits as they are stored.

    `levels` are uint8 (n, 8, 8) from 0 to 16, `labels` uint8 (n,), and `in_test` is bool (n,): True
    for those of the fixed, stratified test split.
    """

    levels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    in_test: NDArray[np.bool_]


def read_bundle() -> Bundle:
    """All 1,797 digits of Alpaydin and Kaynak 1998, 360 of them in the test split."""
    place = resources.files("lenet.data.published") / "digits.npz"
    with place.open("rb") as file, np.load(file) as bundled:
        levels, labels = bundled["images"].astype(np.uint8), bundled["labels"].astype(np.uint8)
    order = rng.permutation(len(labels), "digits")
    return Bundle(levels, labels, stratified_choice(labels, TEST_IMAGES, order))


def load_digits(class_names: tuple[str, ...]) -> Dataset:
    """The bundled digits in MNIST's form.

    Their digest is that of the enlarged images and the labels, in the order of the bundle.
    """
    bundle = read_bundle()
    images = enlarge(bundle.levels)[:, None]
    split = Split(images, bundle.labels.astype(np.int64))
    train, test = (split.at(np.flatnonzero(mask)) for mask in (~bundle.in_test, bundle.in_test))
    digest = hashlib.sha256(images.tobytes() + split.labels.astype("<i8").tobytes()).hexdigest()
    return Dataset("digits", train, test, class_names, {"digits": digest}, MNIST, flips=False)


def enlarge(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels of 0 to 16 (n, 8, 8) as 28x28 of 0 to 255: smooth ink of 20x20 in the middle."""
    from PIL import Image

    grey = np.clip(levels * (255.0 / 16.0), 0, 255).round().astype(np.uint8)
    images = np.zeros((len(levels), SIDE, SIDE), np.uint8)
    first = (SIDE - INK_SIDE) // 2
    ink = images[:, first : first + INK_SIDE, first : first + INK_SIDE]
    for place, small in zip(ink, grey, strict=True):
        large = Image.fromarray(small).resize((INK_SIDE, INK_SIDE), Image.Resampling.BICUBIC)
        place[:] = np.asarray(large)
    return images
