"""Files that hold many images: NumPy, IDX, CSV and Parquet, read block by block.

Kept here: one reader a format, for training and for bulk prediction, which so get the same pixels.
It may know `pictures`, for encoded pictures in Parquet; it knows nothing of how data is divided.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lenet.data.files.base import (
    SPLIT_NAMES,
    Block,
    ImageFile,
    Scale,
    check_readable,
    digits,
    find_scale,
    label_indices,
    label_positions,
    listed,
    to_pixels,
)
from lenet.data.files.idx_file import labels_beside as idx_labels_beside
from lenet.data.files.idx_file import open_idx
from lenet.data.files.memory import arrays_at_hand
from lenet.data.files.numpy_file import labels_beside as numpy_labels_beside
from lenet.data.files.numpy_file import open_npy, open_npz
from lenet.data.files.parquet_file import open_arrow, open_parquet
from lenet.data.files.table_file import open_csv
from lenet.data.pictures.convention import AS_GIVEN, Convention

__all__ = [
    "SPLIT_NAMES",
    "SUFFIXES",
    "Block",
    "ImageFile",
    "Scale",
    "arrays_at_hand",
    "digits",
    "find_scale",
    "is_array_file",
    "label_indices",
    "label_positions",
    "labels_beside",
    "listed",
    "open_arrow",
    "open_images",
    "to_pixels",
]

_IDX = ("-idx3-ubyte", ".idx3-ubyte", "-idx4-ubyte", ".idx4-ubyte")
_READERS: dict[str, Callable[[Path], ImageFile]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".csv": open_csv,
    ".csv.gz": open_csv,
    **{f"{ending}{packed}": open_idx for ending in _IDX for packed in ("", ".gz")},
}

SUFFIXES = frozenset({*_READERS, ".parquet"})
"""Endings of the names of files that `open_images` reads."""


def is_array_file(path: Path) -> bool:
    """Whether the name says that the file holds many images."""
    return path.name.lower().endswith(tuple(SUFFIXES))


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of images by its name, if it is there."""
    if path.name.lower().endswith((".npy", ".npz")):
        return numpy_labels_beside(path)
    return idx_labels_beside(path)


def open_images(
    path: Path, shape: tuple[int, int, int] | None = None, convention: Convention = AS_GIVEN
) -> ImageFile:
    """Open a file of images, checking its header and nothing else.

    Images come as they are stored.  Only Parquet can hold encoded pictures (PNG, JPEG and so on):
    they become (channels, height, width) = `shape` as `convention` says, and without a `shape`
    have that of the first one.

    Raises:
        FormatError: if the file is not what its name says, or holds no images.
        UsageError: if PyArrow is missing and the file is Parquet.
    """
    check_readable(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        return open_parquet(path, shape, convention)
    for ending, reader in _READERS.items():
        if name.endswith(ending):
            return reader(path)
    return open_idx(path)
