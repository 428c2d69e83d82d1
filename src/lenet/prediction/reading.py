"""Inputs into images for the network; what cannot be read is a `FormatError` with its reason."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.arrays import settle_one
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import (
    is_heif,
    known_formats,
    no_warnings,
    prepare,
    read_picture,
)
from lenet.errors import FormatError
from lenet.prediction.network import Prepared

MOST_BYTES = 1 << 28
"""A larger file is no picture that anybody wants an answer to; it is refused before it is read."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: str | Path, name: str) -> bytes:
    """The content of a regular file; a FIFO or a device could make a reader wait for ever.

    Of many small files the time goes into the calls around their bytes, so there are few of them.

    Raises:
        FormatError: if it is something else, too large, empty, or cannot be opened.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - see above
        if not stat.S_ISREG(found.st_mode):
            kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
            raise FormatError(f"{name}: {kind}, not a file")
        if found.st_size > MOST_BYTES:
            raise FormatError(
                f"{name}: {found.st_size:,} bytes are too many for a picture; "
                f"make it smaller than {MOST_BYTES:,}"
            )
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise FormatError(f"{name}: cannot be opened: {error.strerror}") from error
    if not content:
        raise FormatError(f"{name}: empty")
    return content


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is in a format that is decoded."""
    from PIL import Image

    if is_heif(head):
        return True
    try:
        with no_warnings:
            Image.open(io.BytesIO(head), formats=known_formats())
    except Image.DecompressionBombError:  # one that is too large
        return True
    except Exception:  # Pillow's openers let many kinds through
        return False
    return True


def prepare_picture(
    content: bytes, shape: tuple[int, ...], convention: Convention, name: str
) -> Prepared:
    """Decode a picture and make it what a network of that input `shape` was trained on.

    Raises:
        FormatError: as `read_picture`.
    """
    picture = read_picture(content, shape, convention, name)
    return Prepared(name, picture.image, picture.notes)


def prepare_image(
    image: NDArray[np.uint8], shape: tuple[int, ...], convention: Convention, name: str
) -> Prepared:
    """An image of an array, uint8 (channels, height, width).

    In the network's shape it is data, of which only a light ground is turned around where the
    network knows light ink, and notes say so; in another one it is treated as a picture.

    Raises:
        FormatError: as `read_picture`.
    """
    if image.shape == shape:
        return Prepared(name, *settle_one(image, convention))
    picture = prepare(image[: 1 if len(image) == 1 else 3], shape, convention, name)
    return Prepared(name, picture.image, picture.notes)
