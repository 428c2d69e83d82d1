"""A folder of pictures: a sub-folder a class, alone or inside `train`, `validation`, `test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.own.collection import (
    Collection,
    Shape,
    check_classes,
    class_name,
    describe_shape,
    digest_pixels,
    sort_classes,
)
from lenet.data.own.layout import Group, Layout, files_below, find_layout, printable, visible
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import SUFFIXES, no_warnings, read_picture
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError, FormatError
from lenet.system import machine

WINDOW = 256
"""Pictures that are handed to the threads at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a class: its path, and how it is called below the folder."""

    path: Path
    name: str
    label: str
    split: str | None


def read_folder(
    root: Path, shape: Shape, convention: Convention, progress: Progress | None
) -> Collection:
    """Every picture below `root`, as the network gets it, in the order of splits and names.

    Whatever is in a class's folder, hidden files aside, is read by its content; what is no picture
    is listed in `left_out`.

    Raises:
        DataError: if there are no classes, or the splits do not have the same ones.
    """
    layout = find_layout(root)
    remarks, left_out = list(layout.remarks), list[LeftOut]()
    files = [found for group in layout.groups for found in _find(group, root, left_out, remarks)]
    _check_found(root, files, layout)
    images, used, keys = _decode(files, shape, convention, left_out, root.name, progress)
    labels = np.array([file.label for file in used], np.str_)
    names = sort_classes(labels.tolist())
    for lost in sorted({file.label for file in files} - set(names)):
        remarks.append(f"class {lost!r} has no picture that can be read, and is left out")
    check_classes(names, str(root))
    splits = None
    if layout.has_splits:
        splits = np.array([file.split for file in used], np.str_)
        _check_same_classes(root, labels, splits, names)
    return Collection(
        images,
        labels,
        keys,
        names,
        splits,
        convention,
        f"{convention.describe()}; {describe_shape(shape)}",
        tuple(left_out),
        tuple(remarks),
    )


def _find(group: Group, root: Path, left_out: list[LeftOut], remarks: list[str]) -> Iterator[Found]:
    """The files of every class of a group."""
    for entry in visible(group.parent):
        if not entry.is_dir() and entry.suffix.lower() in SUFFIXES:
            left_out.append(LeftOut(printable(entry, root), "not in a folder of a class"))
    seen: dict[str, Path] = {}
    for folder in group.classes:
        label = class_name(folder.name, str(group.parent))
        if label in seen:
            raise DataError(f"{group.parent}: two folders are called {label!r}; rename one of them")
        seen[label] = folder
        files = list(_files(folder, root, left_out))
        if not files:
            remarks.append(f"folder {printable(folder, root)} is empty, and left out")
        yield from (Found(path, printable(path, root), label, group.split) for path in files)


def _files(folder: Path, root: Path, left_out: list[LeftOut]) -> Iterator[Path]:
    """Files at any depth below a class's folder, in the order of their names."""
    for path in files_below(folder):
        if path.is_file():
            yield path
        else:  # A pipe would wait for ever, a link to a folder could lead in circles.
            left_out.append(LeftOut(printable(path, root), "neither a file nor a folder"))


def _check_found(root: Path, files: Sequence[Found], layout: Layout) -> None:
    if files:
        return
    pictures = sum(entry.suffix.lower() in SUFFIXES for entry in visible(root))
    if pictures:
        raise DataError(
            f"{root}: {pictures} pictures, and no folder with a picture in it; put those of each "
            "class into a folder that has the class's name"
        )
    splits = [group.split for group in layout.groups if group.split]
    where = f" in {', '.join(splits)}" if splits else ""
    raise DataError(
        f"{root}: no picture is here{where}; lenet expects one folder a class, with its pictures"
    )


def _decode(
    files: Sequence[Found],
    shape: Shape,
    convention: Convention,
    left_out: list[LeftOut],
    title: str,
    progress: Progress | None,
) -> tuple[NDArray[np.uint8], list[Found], list[bytes]]:
    """The images of the files that can be read, on all cores; those files; their keys."""
    try:
        images = np.empty((len(files), *shape), np.uint8)
    except MemoryError as error:
        raise DataError(f"{len(files)} pictures of {shape} do not fit into the memory") from error
    used: list[Found] = []
    keys: list[bytes] = []
    sizes = [file.path.stat().st_size for file in files]
    total, done = sum(sizes), 0

    def read(file: Found) -> tuple[NDArray[np.uint8], bytes] | str:
        try:
            picture = read_picture(file.path, shape, convention, file.name)
            return picture.image, digest_pixels(picture.given)
        except FormatError as error:
            return str(error).removeprefix(f"{file.name}: ")

    with no_warnings, ThreadPoolExecutor(machine.cores()) as pool:
        for first in range(0, len(files), WINDOW):
            window = files[first : first + WINDOW]
            for file, found in zip(window, pool.map(read, window), strict=True):
                if isinstance(found, str):
                    left_out.append(LeftOut(file.name, found))
                    continue
                images[len(used)], key = found
                used.append(file)
                keys.append(key)
            done += sum(sizes[first : first + WINDOW])
            if progress is not None:
                progress(f"reading {title}", done, total)
    return images[: len(used)], used, keys


def _check_same_classes(
    root: Path, labels: NDArray[np.str_], splits: NDArray[np.str_], names: tuple[str, ...]
) -> None:
    for split in ("train", "validation", "test"):
        here = set(labels[splits == split].tolist())
        missing = [name for name in names if name not in here]
        if here and missing:
            raise DataError(
                f"{root}: {split} has no picture of {', '.join(missing[:10])}; every split needs "
                "the same classes"
            )
