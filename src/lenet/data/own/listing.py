"""A list of pictures: a table that names files and says the class of each, as Kaggle has them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from lenet.data.files import SPLIT_NAMES
from lenet.data.files.columns import whole
from lenet.data.own.collection import Collection, Shape, class_name, split_called
from lenet.data.own.layout import printable, subfolders, visible
from lenet.data.own.list_columns import ListColumns, list_columns, list_rows, may_be_list
from lenet.data.own.pictures import Found, collect
from lenet.data.own.places import Places
from lenet.data.pictures.convention import Convention
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError, FormatError

FEW_ROWS = 20
"""By which a list is known."""


@dataclass(frozen=True, slots=True)
class List:
    """A list, the split that its name or its folder says it is, and where its pictures are."""

    path: Path
    columns: ListColumns
    split: str | None
    places: Places


def find_lists(folder: Path, *, below: bool = True) -> list[Path]:
    """The lists in a folder of which half of the first names are pictures there.

    Where none is and `below` is asked for, those in folders that are called like splits, or else
    one folder below.
    """
    places, inner = Places(folder), subfolders(folder) if below else []
    for where in ([folder], [one for one in inner if split_called(one.name)], inner):
        tables = [path for one in where for path in visible(one) if may_be_list(path)]
        if found := [path for path in tables if _names_pictures(path, places)]:
            return found
    return []


def are_splits(paths: Sequence[Path], folder: Path) -> bool:
    """Whether there is a list for training and one for the test, each with classes."""
    splits = {
        _split_named(path, folder)
        for path in paths
        if (columns := list_columns(path)) is not None and columns.label is not None
    }
    return {"train", "test"} <= splits


def contradicts(path: Path, folder: Path) -> bool:
    """Whether a list calls one of its first pictures other than the folders that it lies in."""
    columns = list_columns(path)
    if columns is None or columns.label is None:
        return False
    places = Places(folder)
    for cells in islice(list_rows(path, columns), FEW_ROWS):
        found = places.of(cells[columns.file].strip(), path.parent)
        label = whole(cells[columns.label].strip())
        if len(found) == 1 and label not in printable(found[0].parent, folder).split("/"):
            return True
    return False


def name_files(path: Path) -> Iterator[tuple[str, str]]:
    """What a list names, with classes or without: (a file's path, ""), or (a name, a reason).

    Raises:
        FormatError: if it is no table.
    """
    columns = list_columns(path)
    assert columns is not None
    places = Places(path.parent)
    for cells in list_rows(path, columns):
        name = cells[columns.file].strip()
        found = places.of(name, path.parent, _split_named(path, path.parent))
        if len(found) == 1:
            yield str(found[0]), ""
        else:
            yield name, places.missing(found)


def read_lists(
    paths: Sequence[Path],
    place: Path,
    shape: Shape,
    convention: Convention,
    progress: Progress | None,
) -> Collection:
    """The pictures that `paths` name, as the network gets them, in the order of the lists.

    `place` is the list, or the folder that holds them.  Of several lists each is a split, by its
    name or its folder's; those that are none, or say no classes, are left out and said.

    Raises:
        DataError: if no list says classes, or none of its pictures is there.
    """
    remarks, left_out = list[str](), list[LeftOut]()
    lists = _open(paths, place, remarks)
    files = [found for each in lists for found in _of_list(each, len(lists) > 1, left_out)]
    if not files:
        _refuse(place, left_out)
    _check_splits(place, files)
    found = collect(files, place, shape, convention, left_out, remarks, progress)
    return replace(found, prepared=f"{found.prepared}; {lists[0].columns.describe()}")


def _open(paths: Sequence[Path], place: Path, remarks: list[str]) -> list[List]:
    """The lists that say classes; of several, those that are splits."""
    places = Places(place if place.is_dir() else place.parent)
    opened = []
    for path in paths:
        columns = list_columns(path)
        assert columns is not None
        opened.append(List(path, columns, _split_named(path, places.root), places))
    if len(opened) == 1:
        if opened[0].columns.label is None:
            raise DataError(_no_label(opened[0]))
        return opened
    chosen: dict[str | None, List] = {}
    for each in opened:
        name = printable(each.path, places.root)
        if each.columns.label is None:
            remarks.append(f"list {name} says no classes, and is left out")
        elif each.split is None:
            remarks.append(f"list {name} is called like no split, and is left out")
        elif each.split in chosen:
            raise DataError(
                f"{place}: two lists for one split: {chosen[each.split].path.name} and "
                f"{each.path.name}; move one of them away, or name the one that you mean"
            )
        else:
            chosen[each.split] = each
    if "train" not in chosen:
        names = ", ".join(printable(path, places.root) for path in paths)
        raise DataError(
            f"{place}: {len(paths)} lists of pictures ({names}), and none that is called train "
            "says classes; name the list that you mean"
        )
    return list(chosen.values())


def _of_list(opened: List, several: bool, left_out: list[LeftOut]) -> list[Found]:
    """The files of one list; those that are not there, or of two classes, are left out."""
    columns, path, places = opened.columns, opened.path, opened.places
    assert columns.label is not None
    found: dict[Path, Found] = {}
    disputed: dict[Path, set[str]] = defaultdict(set)
    for cells in list_rows(path, columns):
        name, label = cells[columns.file].strip(), whole(cells[columns.label].strip())
        split = opened.split if several else None
        if columns.split is not None:
            split = SPLIT_NAMES.get(cells[columns.split].strip().lower())
            if split is None:
                left_out.append(LeftOut(name, f"split {cells[columns.split]!r} is not known"))
                continue
        candidates = places.of(name, path.parent, split or opened.split)
        if len(candidates) != 1:
            left_out.append(LeftOut(name, places.missing(candidates)))
            continue
        if not label:
            left_out.append(LeftOut(name, "the list says no class for it"))
            continue
        file, label = candidates[0], class_name(label, str(path))
        before = found.setdefault(file, Found(file, printable(file, places.root), label, split))
        if before.label != label:
            disputed[file] |= {before.label, label}
        if before.split != split:
            raise DataError(_two_splits(path, before, split))
    for file, labels in disputed.items():
        wrong = found.pop(file)
        left_out.append(LeftOut(wrong.name, f"listed in several classes: {sorted(labels)}"))
    return list(found.values())


def _split_named(path: Path, root: Path) -> str | None:
    """The split that a list's name says (`train.csv`, `trainLabels.csv`), or its folder's."""
    stem = path.name[: path.name.lower().rindex(".csv")]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", stem)
    words = re.sub(r"(?i)labels?|metadata|annotations?|list", " ", words)
    return split_called(words) or (split_called(path.parent.name) if path.parent != root else None)


def _names_pictures(path: Path, places: Places) -> bool:
    columns, names = list_columns(path), list[str]()
    assert columns is not None
    with suppress(FormatError):  # whoever reads the whole of it says what is wrong
        for cells in islice(list_rows(path, columns), FEW_ROWS):
            names.append(cells[columns.file].strip())
    known = sum(bool(places.of(name, path.parent)) for name in names)
    return 2 * known >= max(1, len(names))


def _no_label(opened: List) -> str:
    return (
        f"{opened.path}: a list of pictures, and which column is their class is not sure: "
        f"{', '.join(opened.columns.names)}; call it label"
    )


def _check_splits(place: Path, files: Sequence[Found]) -> None:
    """A picture in two splits would be trained on and scored."""
    seen: dict[Path, Found] = {}
    for file in files:
        before = seen.setdefault(file.path, file)
        if before.split != file.split:
            raise DataError(_two_splits(place, before, file.split))


def _two_splits(place: Path, file: Found, other: str | None) -> str:
    return (
        f"{place}: {file.name} is listed in two splits, {file.split} and {other}; leave it in one"
    )


def _refuse(place: Path, left_out: Sequence[LeftOut]) -> None:
    if not left_out:
        raise DataError(f"{place}: the list names no picture")
    first = left_out[0]
    raise DataError(
        f"{place}: none of the {len(left_out):,} pictures that it lists can be used: "
        f"{first.path}: {first.reason}"
    )
