"""scikit-learn's bundled handwritten digits, brought to MNIST's form: no download."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from lenet import rng
from lenet.data.convention import MNIST
from lenet.data.dataset import Dataset, Split, stratified_split

TEST_IMAGES = 360
INK_SIDE, SIDE = 20, 28
"""MNIST's digits fill 20x20 pixels in the middle of 28x28 (LeCun et al. 1998, section III-A)."""


def load_digits(class_names: tuple[str, ...]) -> Dataset:
    """The 1,797 digits of Alpaydin and Kaynak 1998 with a fixed, stratified test split of 360.

    Their digest is that of the enlarged images and the labels, in the order of the bundle.
    """
    from sklearn.datasets import load_digits as load_bundled

    bundled = load_bundled()
    images = np.stack([enlarge(image) for image in bundled.images])[:, None]
    split = Split(images, bundled.target.astype(np.int64))
    train, test = stratified_split(split, TEST_IMAGES, rng.permutation(len(split), "digits"))
    digest = hashlib.sha256(images.tobytes() + split.labels.astype("<i8").tobytes()).hexdigest()
    return Dataset("digits", train, test, class_names, {"digits": digest}, MNIST)


def enlarge(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """An 8x8 picture of 0 to 16 as 28x28 of 0 to 255: ink of 20x20, smooth, in the middle."""
    from PIL import Image

    grey = Image.fromarray(np.clip(image * (255.0 / 16.0), 0, 255).round().astype(np.uint8))
    ink = np.asarray(grey.resize((INK_SIDE, INK_SIDE), Image.Resampling.BICUBIC))
    border = (SIDE - INK_SIDE) // 2
    return np.pad(ink, border)
