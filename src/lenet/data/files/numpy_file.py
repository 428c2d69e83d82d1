"""NumPy's files: one array (`.npy`), or several by name (`.npz`).  Never a pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from lenet.data.files.stored import Part, StoredArray, StoredImages, read_exactly
from lenet.errors import FormatError

MOST_BYTES = 1 << 31
"""Of an array in Fortran's order, which has to be read whole."""

SPLIT_NAMES = (
    ("train", ("x_train", "y_train"), ("train_images", "train_labels")),
    ("validation", ("x_val", "y_val"), ("val_images", "val_labels")),
    ("test", ("x_test", "y_test"), ("test_images", "test_labels")),
)
"""Names of images and labels as Keras and MedMNIST write them."""

NAMES = (
    ("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"), ("data", "labels"),
    ("arr_0", "arr_1"),
)  # fmt: skip
"""Names of images and labels in a file without splits."""


def open_npy(path: Path) -> StoredImages:
    """The images of one array, without labels.

    Raises:
        FormatError: if it is not NumPy's, holds objects, or is shorter or longer than it says.
    """

    def begin() -> IO[bytes]:
        return open(path, "rb")

    array = _open_array(str(path), begin, path.stat().st_size)
    return StoredImages(path, (Part(array, None),))


def open_npz(path: Path) -> StoredImages:
    """Images and labels by their names, in splits where there are any.

    Raises:
        FormatError: if it is not NumPy's, or has no names that are known.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {
                info.filename.removesuffix(".npy"): info.file_size
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except Exception as error:  # zipfile lets many kinds through
        raise FormatError(f"{path}: not an .npz file: {error}") from error

    def member(name: str) -> StoredArray:
        def begin() -> IO[bytes]:
            return zipfile.ZipFile(path).open(f"{name}.npy")

        return _open_array(f"{path}: {name}", begin, sizes[name])

    def part(images: str, labels: str) -> Part:
        return Part(member(images), member(labels) if labels in sizes else None)

    parts = {
        split: part(*names) for split, *pairs in SPLIT_NAMES for names in pairs if names[0] in sizes
    }
    if parts:
        return StoredImages(path, tuple(parts.values()), tuple(parts))
    for images, labels in NAMES:
        if images in sizes:
            return StoredImages(path, (part(images, labels),))
    raise FormatError(
        f"{path}: it holds {', '.join(sorted(sizes)) or 'nothing'}; name the arrays images and "
        "labels, or x_train, y_train, x_test and y_test"
    )


def _open_array(place: str, opener: Callable[[], IO[bytes]], size: int) -> StoredArray:
    """Read the header alone; `size` is that of the whole file."""
    try:
        with opener() as stream:
            version = npy.read_magic(stream)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = reader(stream)
            offset = stream.tell()
    except Exception as error:  # NumPy's and zipfile's parsers let many kinds through
        raise FormatError(f"{place}: not an array of NumPy: {error}") from error
    if dtype.hasobject:
        raise FormatError(
            f"{place}: it holds Python objects: refused, since loading them runs code; save "
            "numbers or texts"
        )
    if not shape or min(shape) < 0 or not dtype.itemsize:
        raise FormatError(f"{place}: an array of shape {shape} and type {dtype} holds no rows")
    expected = offset + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise FormatError(
            f"{place}: its header promises {expected} bytes in all, but it has {size}"
        )

    def begin() -> IO[bytes]:
        stream = opener()
        stream.seek(offset)
        return stream

    array = StoredArray(place, begin, dtype, shape)
    return _turn(array) if fortran and len(shape) > 1 else array


def _turn(array: StoredArray) -> StoredArray:
    """An array in Fortran's order, brought to C's when it is read."""
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > MOST_BYTES:
        raise FormatError(
            f"{array.place}: {size} bytes in Fortran's order are too many; save it with "
            "np.ascontiguousarray"
        )

    def begin() -> IO[bytes]:
        with array.open() as stream:
            data = np.frombuffer(read_exactly(stream, size, array.place), array.dtype)
        return io.BytesIO(data.reshape(array.shape, order="F").tobytes())

    return StoredArray(array.place, begin, array.dtype, array.shape)
