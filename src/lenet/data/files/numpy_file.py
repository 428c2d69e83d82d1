"""NumPy's files: one array (`.npy`), or several by name (`.npz`).  Never a pickle."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from lenet.data.files.base import SPLIT_NAMES
from lenet.data.files.stored import Part, StoredArray, StoredImages, read_exactly
from lenet.errors import FormatError

MOST_BYTES = 1 << 31
"""Of an array in Fortran's order, which has to be read whole."""

IMAGES = ("images", "imgs", "image", "img", "pictures", "pixels", "x", "data", "features")
LABELS = ("labels", "label", "targets", "target", "y", "classes", "class", "digits", "digit")
"""Words in the names of arrays, in any case; of several the first one counts."""

LABELS_OF = (("images", "labels"), ("imgs", "labels"), ("image", "label"), ("x", "y"), ("X", "y"),
             ("X", "Y"), ("data", "labels"), ("data", "target"))  # fmt: skip
"""What stands in the name of a file of images, and instead of it in that of its labels."""


def open_npy(path: Path) -> StoredImages:
    """The images of one array, and the labels of `labels_beside(path)` where that file is there.

    Raises:
        FormatError: if one is not NumPy's, holds objects, or is shorter or longer than it says.
    """
    beside = labels_beside(path)
    labels = None if beside is None else _only_array(beside)
    return StoredImages(path, (Part(_only_array(path), labels),))


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to one of images by its name, if it is there.

    `k49-train-labels.npz` of `k49-train-imgs.npz`, `y_train.npy` of `X_train.npy`.
    """
    stem, ending = path.name[:-4], path.name[-4:]
    for images, labels in LABELS_OF:
        name = re.sub(rf"(?<![A-Za-z]){images}(?![a-z])", labels, stem, count=1)
        place = path.with_name(name + ending)
        if name != stem and place.is_file():
            return place
    return None


def _only_array(path: Path) -> StoredArray:
    """The array of an `.npy` file, or the only one of an `.npz` file."""
    if path.name.lower().endswith(".npz"):
        sizes = _members(path)
        if len(sizes) != 1:
            raise FormatError(f"{path}: it holds {_listed(sizes)}; one array was expected here")
        return _member(path, *sizes.items())

    def begin() -> IO[bytes]:
        return open(path, "rb")

    return _open_array(str(path), begin, path.stat().st_size)


def open_npz(path: Path) -> StoredImages:
    """Images and labels by the names of the arrays, in splits where there are any.

    Raises:
        FormatError: if it is not NumPy's, or has no names that are known.
    """
    sizes = _members(path)
    found, unnamed = _by_names(sizes), sorted(name for name in sizes if _is_unnamed(name))
    if not found and unnamed:
        found = _by_shapes(path, sizes, sorted(unnamed, key=lambda name: int(name[4:])))
    if not found:
        raise FormatError(
            f"{path}: it holds {_listed(sizes)}; name the arrays images and labels, or x_train, "
            "y_train, x_test and y_test"
        )
    parts = {}
    for split, (images, labels) in found.items():
        arrays = [None if name is None else _member(path, (name, sizes[name]))
                  for name in (images, labels)]  # fmt: skip
        assert arrays[0] is not None
        parts[split] = Part(arrays[0], arrays[1])
    beside = labels_beside(path)
    if len(parts) == 1 and beside is not None and not any(part.labels for part in parts.values()):
        parts = {split: Part(part.images, _only_array(beside)) for split, part in parts.items()}
    names = tuple(split for split in parts if split is not None)
    used = {name for pair in found.values() for name in pair}
    others = sorted(set(sizes) - used)
    said = (f"{path}: arrays that are not read: {', '.join(others)}",) if others else ()
    return StoredImages(path, tuple(parts.values()), names, said)


Found = dict[str | None, tuple[str, str | None]]
"""Split, or None where there are none -> the names of the images and of the labels."""


def _by_names(names: Iterable[str]) -> Found:
    """What the words in the names of arrays say."""
    roles: dict[str | None, list[dict[int, str]]] = {}
    for name in names:
        words = _words(name)
        splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
        rest = [word for word in words if word not in SPLIT_NAMES]
        known = IMAGES if rest and rest[0] in IMAGES else LABELS
        if len(splits) < 2 and len(rest) == 1 and rest[0] in known:
            pair = roles.setdefault(splits[0] if splits else None, [{}, {}])
            pair[known is LABELS].setdefault(known.index(rest[0]), name)
    found: Found = {}
    order = ("train", "validation", "test") if "train" in roles else (None, *roles)
    for split in order:
        images, labels = roles.get(split, [{}, {}])
        if images:
            found[split] = images[min(images)], labels[min(labels)] if labels else None
            if split is None:
                break
    return found


def _by_shapes(path: Path, sizes: Mapping[str, int], names: list[str]) -> Found:
    """Arrays without names: images and labels are told apart by their dimensions.

    Two are images and labels; four are those of train and test, in either of the usual orders.

    Raises:
        FormatError: if there are others.
    """
    shapes = {name: _member(path, (name, sizes[name])).shape for name in names}
    labels = [name for name in names if len(shapes[name]) == 1 or shapes[name][1:] == (1,)]
    images = [name for name in names if name not in labels]
    pairs = list(zip(images, labels, strict=False))
    fit = all(shapes[first][0] == shapes[second][0] for first, second in pairs)
    if len(names) == 1 and images:
        return {None: (images[0], None)}
    if len(names) == 2 and len(pairs) == 1:
        return {None: pairs[0]}
    if len(names) == 4 and len(pairs) == 2 and fit:
        return {"train": pairs[0], "test": pairs[1]}
    raise FormatError(
        f"{path}: it holds {len(names)} arrays without names, of shapes "
        f"{', '.join(map(str, shapes.values()))}; name them images and labels, or x_train, "
        "y_train, x_test and y_test"
    )


def _words(name: str) -> list[str]:
    """The words of a name, in small letters: `X_train`, `trainX` and `xTrain` have the same."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word]
    if len(words) == 1 and words[0][:1] in "xy" and words[0][1:] in SPLIT_NAMES:
        return [words[0][0], words[0][1:]]
    return words


def _is_unnamed(name: str) -> bool:
    return re.fullmatch(r"arr_\d{1,4}", name) is not None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _members(path: Path) -> dict[str, int]:
    """The arrays of an `.npz` file by name, with their sizes in bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename.removesuffix(".npy"): info.file_size
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
    except Exception as error:  # zipfile lets many kinds through
        raise FormatError(f"{path}: not an .npz file: {error}") from error


def _member(path: Path, entry: tuple[str, int]) -> StoredArray:
    name, size = entry

    def begin() -> IO[bytes]:
        return zipfile.ZipFile(path).open(f"{name}.npy")

    return _open_array(f"{path}: {name}", begin, size)


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
