"""A folder of pictures: a sub-folder a class, alone or inside `train`, `validation`, `test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lenet.data.files import listed
from lenet.data.own.collection import Collection, Shape, class_name
from lenet.data.own.layout import (
    Group,
    Layout,
    files_below,
    find_layout,
    is_picture,
    printable,
    visible,
)
from lenet.data.own.pictures import Found, collect
from lenet.data.pictures.convention import Convention
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError


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
    collection = collect(files, root, shape, convention, left_out, remarks, progress)
    if collection.splits is not None:
        _check_same_classes(root, collection)
    return collection


def _find(group: Group, root: Path, left_out: list[LeftOut], remarks: list[str]) -> Iterator[Found]:
    """The files of every class of a group."""
    for entry in visible(group.parent):
        if not entry.is_dir() and is_picture(entry):
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
    pictures = sum(map(is_picture, visible(root)))
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


def _check_same_classes(root: Path, collection: Collection) -> None:
    for split in ("train", "validation", "test"):
        here = set(collection.labels[collection.splits == split].tolist())
        missing = [name for name in collection.class_names if name not in here]
        if here and missing:
            raise DataError(
                f"{root}: {split} has no picture of {listed(missing)}; every split needs the same "
                "classes"
            )
