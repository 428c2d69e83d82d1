"""What the folders below a root are: splits, classes, or neither."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lenet.data.own.collection import split_called
from lenet.data.pictures.picture import SUFFIXES
from lenet.errors import DataError

LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""What systems leave in folders; as hidden files, it is passed over."""

OUTPUTS = (("receipt.json", "recipe.toml"), ("manifest.json", "shards"), ("study.toml",))
"""What lies together in a run, in a folder of answers, and in a study."""


@dataclass(frozen=True, slots=True)
class Group:
    """The folders of classes that lie in `parent`, and the split that they are, or None."""

    split: str | None
    parent: Path
    classes: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """`groups` in the order of the splits; `remarks` say what was taken for what, and why."""

    groups: tuple[Group, ...]
    remarks: tuple[str, ...]


def find_layout(root: Path) -> Layout:
    """Splits are folders that are called so and hold folders; then all pictures have to be there.

    Raises:
        DataError: where folders called after splits could be taken for classes, or the pictures
            beside them be lost, without anybody's wish.
    """
    remarks: list[str] = []
    folders = class_folders(root, root, remarks)
    named = [folder for folder in folders if split_called(folder.name)]
    nested = [folder for folder in named if any(map(holds_file, subfolders(folder)))]
    if nested:
        return _with_splits(root, nested, [one for one in folders if one not in nested], remarks)
    flat = [folder for folder in named if holds_file(folder)]
    if len({split_called(folder.name) for folder in flat}) > 1:
        raise DataError(
            f"{root}: pictures lie in {_names(flat, root)} themselves, and these are splits, not "
            "classes: put those of each class into a folder that has the class's name, as "
            "train/cat and train/dog; if they are the classes, rename the folders"
        )
    for folder in flat:
        remarks.append(
            f"folder {printable(folder, root)} is called like a split and is taken for a class, "
            "since its pictures lie in no folder of a class; if it is none, move it away"
        )
    for folder in folders:
        inner = [each for each in subfolders(folder) if split_called(each.name)]
        if len({split_called(each.name) for each in inner}) > 1:
            remarks.append(
                f"folders {_names(inner, root)} lie inside of a class and are not taken for "
                "splits; splits are outside, as train/cat and test/cat"
            )
    return Layout((Group(None, root, tuple(folders)),), tuple(remarks))


def _with_splits(root: Path, nested: list[Path], others: list[Path], remarks: list[str]) -> Layout:
    """`nested` are splits; of `others`, nothing may be lost without a word."""
    found: dict[str, Path] = {}
    for folder in nested:
        split = split_called(folder.name)
        assert split is not None
        if split in found:
            raise DataError(
                f"{root}: two folders for one split: {_names([found[split], folder], root)}; "
                "rename one of them, or move it away"
            )
        found[split] = folder
    for folder in others:
        remarks.append(_beside_splits(folder, root, nested))
    groups = tuple(
        Group(split, found[split], tuple(class_folders(found[split], root, remarks)))
        for split in ("train", "validation", "test")
        if split in found
    )
    return Layout(groups, tuple(remarks))


def _beside_splits(folder: Path, root: Path, nested: list[Path]) -> str:
    """The remark on a folder that lies beside splits and is none itself."""
    name, pictures = printable(folder, root), count_pictures(folder)
    if not pictures:
        return f"folder {name} has no pictures in it, and is left out"
    if split_called(folder.name) in (None, "train"):
        raise DataError(
            f"{root}: {_names(nested, root)} hold a folder for each class, as splits do, and "
            f"{name} beside them has {pictures:,} pictures outside of such folders; sort them into "
            "folders of classes inside a split, or move them away; if all of these are classes, "
            "rename those that are called like splits"
        )
    return (
        f"folder {name} has {pictures:,} pictures in no folder of a class, so without labels; "
        "they are left out, and neither trained on nor scored (lenet predict answers them)"
    )


def class_folders(parent: Path, root: Path, remarks: list[str]) -> list[Path]:
    """The folders in `parent`, without those that lenet wrote."""
    folders = []
    for folder in subfolders(parent):
        if is_output(folder):
            remarks.append(
                f"folder {printable(folder, root)} holds what lenet wrote (runs, a study or "
                "answers), and is left out"
            )
        else:
            folders.append(folder)
    return folders


def is_output(folder: Path) -> bool:
    """Whether this is a run, a study or answers of lenet's, or a folder of such."""
    if _is_one_output(folder):
        return True
    entries = visible(folder)
    pictures = any(map(is_picture, entries))
    return not pictures and any(entry.is_dir() and _is_one_output(entry) for entry in entries)


def _is_one_output(folder: Path) -> bool:
    return any(all((folder / name).exists() for name in names) for names in OUTPUTS)


def holds_pictures(root: Path) -> bool:
    """Whether a picture lies in a folder below `root` that lenet has not written."""
    return any(map(_holds_picture, class_folders(root, root, [])))


def holds_classes(root: Path) -> bool:
    """Whether two folders below `root` hold pictures, or one of them is a split that holds classes.

    Flat folders that are called like splits (Kaggle's `train` and `test`) are no classes.
    """
    found = 0
    for folder in class_folders(root, root, []):
        if split_called(folder.name):
            found += 2 * any(map(_holds_picture, subfolders(folder)))
        else:
            found += _holds_picture(folder)
    return found > 1


def count_pictures(folder: Path) -> int:
    """Files at any depth whose names are those of pictures."""
    return sum(map(is_picture, files_below(folder)))


def _holds_picture(folder: Path) -> bool:
    return any(map(is_picture, files_below(folder)))


def is_picture(path: Path) -> bool:
    """Whether a file's name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def holds_file(folder: Path) -> bool:
    """Whether any file is in a folder, at any depth."""
    return any(True for _ in files_below(folder))


def files_below(folder: Path) -> Iterator[Path]:
    """Entries at any depth that are no folders, in the order of their names."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path is folder or (path.is_dir() and not path.is_symlink()):
            waiting += reversed(visible(path))
        else:
            yield path


def subfolders(folder: Path) -> list[Path]:
    """The folders that lie in a folder."""
    return [entry for entry in visible(folder) if entry.is_dir()]


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, hidden files and litter aside, in the order of the names.

    Raises:
        DataError: if the folder cannot be looked into.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot look into this folder: {error.strerror}") from error
    return sorted(
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name.lower() not in LITTER
    )


def printable(path: Path, root: Path) -> str:
    """The path below `root`, or the whole of it, as text that any file can hold."""
    name = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _names(folders: list[Path], root: Path) -> str:
    return ", ".join(printable(folder, root) for folder in folders)
