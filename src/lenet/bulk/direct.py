"""Answers to pictures at hand in Python."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.bulk.network import BATCH, Answer, Network, Prepared, answer
from lenet.bulk.reading import prepare_image, prepare_picture, read_regular
from lenet.errors import UsageError

Picture = str | Path | bytes | NDArray[np.uint8]
"""A file, the content of one, or uint8 (height, width) or (channels, height, width)."""


def answer_pictures(network: Network, pictures: Iterable[Picture], top: int = 1) -> list[Answer]:
    """One answer a picture, in order.

    Raises:
        FormatError: at the first one that cannot be read.
        UsageError: if one is none of `Picture`, or `top` is not 1 to the number of classes.
    """
    if not 1 <= top <= len(network.class_names):
        raise UsageError(f"top = {top}: this network has {len(network.class_names)} classes")
    prepared = (_prepare(network, picture, index) for index, picture in enumerate(pictures))
    answers: list[Answer] = []
    while batch := list(islice(prepared, BATCH)):
        answers += answer(network, batch, top)
    return answers


def _prepare(network: Network, picture: Picture, index: int) -> Prepared:
    if isinstance(picture, str | Path):
        return prepare_picture(network, read_regular(Path(picture), str(picture)), str(picture))
    name = f"picture {index}"
    if isinstance(picture, bytes):
        return prepare_picture(network, picture, name)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim in (2, 3):
        image = picture[None] if picture.ndim == 2 else picture
        if len(image) in (1, 3):
            return prepare_image(network, image, name)
    found = (
        f"{picture.dtype} {picture.shape}"
        if isinstance(picture, np.ndarray)
        else type(picture).__name__
    )
    raise UsageError(
        f"{name} is {found}: give a path, bytes, or uint8 (height, width) or (channels, height, "
        "width) with 1 or 3 channels"
    )
