"""Files of images as own data: one file, or a folder of them that are called after their splits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.files import (
    SPLIT_NAMES,
    Block,
    ImageFile,
    is_array_file,
    labels_beside,
    open_images,
)
from lenet.data.files.idx import MAXIMUM_BYTES
from lenet.data.own.collection import (
    Collection,
    Shape,
    Target,
    check_classes,
    class_name,
    describe_shape,
    digest_pixels,
    sort_classes,
)
from lenet.data.own.layout import visible
from lenet.data.pictures.arrays import FAINT, LIGHT_GROUND, TRANSPOSED, look_transposed, settle
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import no_warnings, prepare
from lenet.data.progress import Progress
from lenet.data.published.digest import payload_digest
from lenet.data.reading import SIDE
from lenet.errors import DataError, FormatError
from lenet.system import machine

BLOCK = 1024
"""Images that are read at once."""


def array_files(folder: Path) -> list[Path]:
    """The files of images that lie in a folder, or each in a folder of its own name.

    Kaggle unpacks `NAME-idx3-ubyte` so.  Files of labels that belong to others are not among them.
    """
    found = []
    for path in visible(folder):
        inner = path / path.name
        place = inner if path.is_dir() and inner.is_file() else path
        if place.is_file() and is_array_file(place):
            found.append(place)
    labels = {labels_beside(path) for path in found}
    return [path for path in found if path not in labels]


def read_files(
    paths: Sequence[Path], place: Path, target: Target, progress: Progress | None
) -> Collection:
    """All images of `paths`, in the size that they are stored in, or in the one that was chosen.

    Of several files, those without a split in their names that hold no images, those without
    labels beside others that have some, and copies are left out and said.

    Raises:
        DataError: if there are no labels, or the files do not fit each other.
    """
    picture_shape, picture_convention, _ = target((1, SIDE, SIDE))
    files, remarks = [], []
    for path in paths:
        try:
            files.append(open_images(path, picture_shape, picture_convention))
        except FormatError as error:
            if len(paths) == 1 or _split_named(path) is not None:
                raise
            remarks.append(f"file {path.name} is left out: {error}")
    if not files:
        raise DataError(f"{place}: none of its {len(paths)} files holds images: {remarks[0]}")
    chosen = _labelled(_without_copies(files, remarks), remarks)
    return read_images(chosen, place, target, progress, remarks)


def _without_copies(files: Sequence[ImageFile], remarks: list[str]) -> list[ImageFile]:
    """IDX files once each, where the same bytes lie there under several spellings of a name."""
    kept: list[ImageFile] = []
    seen: dict[tuple[str, str], Path] = {}
    for file in files:
        name = file.path.name.lower().removesuffix(".gz").replace(".idx", "-idx")
        if "-idx" in name and len(files) > 1:
            key = name, payload_digest(file.path, MAXIMUM_BYTES)
            if key in seen:
                remarks.append(f"file {file.path.name} is a copy, and left out")
                continue
            seen[key] = file.path
        kept.append(file)
    return kept


def _labelled(files: Sequence[ImageFile], remarks: list[str]) -> list[ImageFile]:
    """The files that have labels, or all where none has."""
    known = [next(file.blocks(1)).labels is not None for file in files]
    if not any(known):
        return list(files)
    for file, has_labels in zip(files, known, strict=True):
        if not has_labels:
            remarks.append(
                f"file {file.path.name} has no labels; its {len(file):,} images are left out, and "
                "neither trained on nor scored (lenet predict answers them)"
            )
    return [file for file, has_labels in zip(files, known, strict=True) if has_labels]


def read_images(
    files: Sequence[ImageFile],
    place: Path,
    target: Target,
    progress: Progress | None,
    remarks: Sequence[str] = (),
) -> Collection:
    """The same of files that are open, or of arrays at hand; `remarks` are there already.

    Raises:
        DataError: as `read_files`.
    """
    _, picture_convention, _ = target((1, SIDE, SIDE))
    _check_labels(files)
    splits = _splits(files, place)
    stored = _stored_shape(files, place)
    shape, convention, anew = target(stored)
    if files[0].encoded:
        convention, anew = picture_convention, False
    made = files[0].encoded or anew or stored != shape
    images = _allocate(sum(len(file) for file in files), shape, place)
    labels, keys, done, turned = [], [], 0, 0
    for file, block, block_keys in _blocks(files, shape, convention, anew):
        keys += block_keys
        pixels = block.images
        if not made:
            pixels, light = settle(pixels, convention)
            turned += int(light.sum())
        images[done : done + len(pixels)] = pixels
        labels.append(_label_names(file, block))
        done += len(block.images)
        if progress is not None:
            progress(f"reading {place.name}", done * images[0].nbytes, images.nbytes)
    texts = np.concatenate(labels)
    names = tuple(class_name(name, str(place)) for name in files[0].class_names)
    names = names or sort_classes(np.unique(texts).tolist())
    check_classes(names, str(place))
    how = convention.describe() if made else "as stored"
    origin = f" from {describe_shape(stored)}" if made and not files[0].encoded else ""
    found = [*remarks, *(remark for file in files for remark in file.remarks)]
    found += _remarks_on(images, turned, place)
    return Collection(
        images,
        texts,
        keys,
        names,
        splits,
        convention,
        "; ".join(filter(None, [how, describe_shape(shape) + origin, files[0].described])),
        remarks=tuple(found),
    )


def _check_labels(files: Sequence[ImageFile]) -> None:
    for file in files:
        if file.doubt:
            raise FormatError(
                f"{file.path}: which column is the label is not sure: {file.doubt}; name it in a "
                "header, as label"
            )


def _remarks_on(images: NDArray[np.uint8], turned: int, place: Path) -> Iterator[str]:
    """What a look at the pixels tells, of which `turned` images had a light ground."""
    if turned:
        yield f"{place}: images with {LIGHT_GROUND}: {turned:,}"
    if look_transposed(images):
        yield f"{place}: {TRANSPOSED}"
    if images.max() <= FAINT:
        yield (
            f"{place}: the lightest pixel of all is {images.max()} of 255; if that is as light as "
            "they get, scale the pixels to 0 to 255 first"
        )


def _splits(files: Sequence[ImageFile], place: Path) -> NDArray[np.str_] | None:
    """The split of every row, as the files' names say, or what is in the only file."""
    if len(files) == 1:
        inside = files[0].splits
        if "train" not in inside or len(inside) < 2:
            return None
        return np.concatenate([np.full(len(rows), name) for name, rows in inside.items()])
    named = []
    for file in files:
        split = _split_named(file.path)
        if split is None:
            raise DataError(
                f"{place}: {len(files)} files of images, and the name of {file.path.name} has "
                "neither train nor test in it; name the file that you mean"
            )
        named.append(np.full(len(file), split))
    return np.concatenate(named)


def _split_named(path: Path) -> str | None:
    """The split that a file's name has in it."""
    words = re.split(r"[^a-z0-9]+", path.name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def _stored_shape(files: Sequence[ImageFile], place: Path) -> Shape:
    shapes = set()
    for file in files:
        channels, height, width = next(file.blocks(1)).images.shape[1:]
        shapes.add((channels, height, width))
    if len(shapes) > 1:
        raise DataError(f"{place}: its files hold images of different shapes: {sorted(shapes)}")
    return shapes.pop()


def _allocate(count: int, shape: Shape, place: Path) -> NDArray[np.uint8]:
    try:
        return np.empty((count, *shape), np.uint8)
    except (MemoryError, ValueError) as error:
        raise DataError(f"{place}: {count:,} images do not fit into the memory") from error


def _blocks(
    files: Sequence[ImageFile], shape: Shape, convention: Convention, anew: bool
) -> Iterator[tuple[ImageFile, Block, list[bytes]]]:
    """Every block of every file, its images in `shape`, and the keys of its images."""
    with no_warnings, ThreadPoolExecutor(machine.cores()) as pool:
        for file in files:
            place, first = file.path, 0
            for block in file.blocks(BLOCK):
                images = block.images
                keys = [digest_pixels(image) for image in images]
                if anew or images.shape[1:] != shape:
                    rows = range(first, first + len(images))
                    made = pool.map(
                        lambda image, row, place=place: (
                            prepare(image, shape, convention, f"{place}, row {row}").image
                        ),
                        images,
                        rows,
                    )
                    images = np.stack(list(made))
                yield file, Block(images, block.labels), keys
                first += len(images)


def _label_names(file: ImageFile, block: Block) -> NDArray[np.str_]:
    """A block's labels as the names of classes."""
    if block.labels is None:
        raise DataError(
            f"{file.path}: there are no labels to train on; .npz: an array y or labels; CSV: the "
            "first column, or one called label; Parquet: a column label; IDX: the file of labels "
            "beside it, called as MNIST's"
        )
    distinct, places = np.unique(block.labels, return_inverse=True)
    names = []
    for value in distinct.tolist():
        if file.class_names and isinstance(value, int):
            if not 0 <= value < len(file.class_names):
                raise DataError(
                    f"{file.path}: label {value} is none of its {len(file.class_names)} classes"
                )
            names.append(class_name(file.class_names[value], str(file.path)))
        else:
            names.append(class_name(str(value), str(file.path)))
    return np.array(names, np.str_)[places.reshape(block.labels.shape)]
