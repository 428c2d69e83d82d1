"""A list of pictures: a table that names files and says the class of each, as Kaggle has them."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from lenet.data.files import SPLIT_NAMES
from lenet.data.files.columns import LABEL_NAMES, is_index, is_number, is_square, whole
from lenet.data.files.table_file import cells_of, lines_of
from lenet.data.own.collection import Collection, Shape, class_name, split_called
from lenet.data.own.layout import printable, subfolders, visible
from lenet.data.own.pictures import Found, collect
from lenet.data.own.places import Places
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import SUFFIXES
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError, FormatError

FILE_NAMES = (
    "file_name", "filename", "file", "file_path", "filepath", "path", "image_path", "image_name",
    "image", "img", "picture", "image_id", "img_id", "imageid", "id_code", "id", "name",
)  # fmt: skip
"""Names of the column of files, in any case, the surest first."""

CLASS_NAMES = (
    *LABEL_NAMES, "category", "class_name", "classname", "class_id", "classid", "species",
)  # fmt: skip
"""Names of the column of classes, in any case, the surest first."""

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "usage")

MOST_COLUMNS = 64
"""Of a list; a table of pixels has more, or a square number of them."""

FEW_ROWS = 20
"""By which a list is known."""

ENDINGS = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of the columns; without a header the first is the file, the second its class."""

    separator: str
    count: int
    header: bool
    file: int
    label: int | None
    split: int | None = None
    names: tuple[str, ...] = ()

    def describe(self) -> str:
        """Which column is the class."""
        if not self.names or self.label is None:
            return "the class is the second column"
        return f"the class is the column called {self.names[self.label]!r}"


@dataclass(frozen=True, slots=True)
class List:
    """A list, the split that its name or its folder says it is, and where its pictures are."""

    path: Path
    columns: Columns
    split: str | None
    places: Places


def may_be_list(path: Path) -> bool:
    """Whether a table has a column that is called like files, or holds their names, and no pixels.

    What is wrong with it is said when it is read.  What lenet wrote about pictures (answers,
    problems) is no list.
    """
    with suppress(FormatError):
        columns = _columns(path) if path.name.lower().endswith(ENDINGS) else None
        return columns is not None and not _is_output(columns)
    return False


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
        if (columns := _columns(path)) is not None and columns.label is not None
    }
    return {"train", "test"} <= splits


def contradicts(path: Path, folder: Path) -> bool:
    """Whether a list calls one of its first pictures other than the folders that it lies in."""
    columns = _columns(path)
    if columns is None or columns.label is None:
        return False
    places = Places(folder)
    for cells in islice(_rows(path, columns), FEW_ROWS):
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
    columns = _columns(path)
    assert columns is not None
    places = Places(path.parent)
    for cells in _rows(path, columns):
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
        columns = _columns(path)
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
    for cells in _rows(path, columns):
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
    columns, names = _columns(path), list[str]()
    assert columns is not None
    with suppress(FormatError):  # whoever reads the whole of it says what is wrong
        for cells in islice(_rows(path, columns), FEW_ROWS):
            names.append(cells[columns.file].strip())
    known = sum(bool(places.of(name, path.parent)) for name in names)
    return 2 * known >= max(1, len(names))


def _is_output(columns: Columns) -> bool:
    """Whether the heading is that of answers, or of files that could not be read."""
    names = set(columns.names)
    return {"path", "class", "probability", "notes"} <= names or names == {"path", "reason"}


def _columns(path: Path) -> Columns | None:
    """What the columns of a table are, if one of them is files; by its first lines."""
    head = [line for _, line in islice(lines_of(path), 2)]
    if not head:
        return None
    separator = max(",;\t", key=head[0].count)
    cells = [cell.strip() for cell in cells_of(head[0], separator)]
    words = [cell.lower() for cell in cells]
    first = [cell.strip() for cell in cells_of(head[-1], separator)]
    if len(cells) > MOST_COLUMNS or _are_pixels(words, first):
        return None
    files = [word for word in FILE_NAMES if word in words]
    if not files:
        headless = len(cells) == 2 and _ends_like_picture(cells[0])
        return Columns(separator, 2, False, 0, 1) if headless else None
    # Of several, the one that holds names of pictures.
    ending = (word for word in files if _ends_like_picture("".join(first[words.index(word) :][:1])))
    file = words.index(next(ending, files[0]))
    split = next((words.index(word) for word in SPLIT_COLUMNS if word in words), None)
    label = _label_among(words, (file, split))
    return Columns(separator, len(cells), True, file, label, split, tuple(cells))


def _label_among(words: Sequence[str], taken: Sequence[int | None]) -> int | None:
    """The column of classes: by its name, or the only one that is neither taken nor an index."""
    # Beside an x, a y is the place of something in the picture.
    named = [word for word in CLASS_NAMES if word in words and not (word == "y" and "x" in words)]
    left = [place for place, word in enumerate(words) if place not in taken and not is_index(word)]
    places = [words.index(word) for word in named if words.index(word) not in taken]
    return places[0] if places else left[0] if len(left) == 1 else None


def _are_pixels(words: Sequence[str], first: Sequence[str]) -> bool:
    """Whether what is no name, class or split is a square of numbers."""
    known = {*FILE_NAMES, *CLASS_NAMES, *SPLIT_COLUMNS}
    rest = [
        cell
        for word, cell in zip(words, first, strict=False)
        if word not in known and not is_index(word)
    ]
    return is_square(len(rest)) and all(map(is_number, rest))


def _ends_like_picture(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).suffix.lower() in SUFFIXES


def _rows(path: Path, columns: Columns) -> Iterator[list[str]]:
    """The rows below the header.

    Raises:
        FormatError: if one has not as many cells.
    """
    lines = (line for _, line in lines_of(path))
    rows = csv.reader(lines, delimiter=columns.separator, skipinitialspace=True)
    try:
        for number, cells in enumerate(islice(rows, int(columns.header), None), 1):
            if len(cells) < columns.count or any(cells[columns.count :]):
                raise FormatError(
                    f"{path}, row {number}: {len(cells)} cells where the first line has "
                    f"{columns.count}"
                )
            yield cells
    except csv.Error as error:
        raise FormatError(f"{path}: not a table: {error}") from error


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
