"""A list of pictures: a table that names files and says the class of each, as Kaggle has them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from lenet.data.files import SPLIT_NAMES
from lenet.data.files.columns import LABEL_NAMES, whole
from lenet.data.files.table_file import cells_of, lines_of
from lenet.data.own.collection import Collection, Shape, class_name, split_called
from lenet.data.own.layout import files_below, printable, visible
from lenet.data.own.pictures import Found, collect
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import SUFFIXES
from lenet.data.progress import Progress
from lenet.data.survey import LeftOut
from lenet.errors import DataError, FormatError

FILE_NAMES = (
    "file_name", "filename", "file", "file_path", "filepath", "path", "image_path", "image_name",
    "image", "img", "picture", "name", "image_id", "img_id", "id_code", "imageid", "id",
)  # fmt: skip
"""Names of the column of files, in any case, the surest first."""

SPLIT_COLUMNS = ("split", "subset", "partition", "set", "usage")

MOST_COLUMNS = 64
"""Of a list; a table of pixels has more, or none that is called like a file."""

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


def find_lists(folder: Path) -> list[Path]:
    """The tables in a folder that are lists of pictures."""
    return [path for path in visible(folder) if path.is_file() and is_list(path)]


def is_list(path: Path) -> bool:
    """Whether a table names files: half of its first rows have one that is there, or ends like one.

    A number may be a picture's name without its ending (Kaggle's `id`), but then it must be there.
    """
    if not path.name.lower().endswith(ENDINGS):
        return False
    names: list[str] = []
    with suppress(FormatError):  # whoever reads the whole of it says what is wrong
        columns = _columns(path)
        if columns is None:
            return False
        for cells in islice(_rows(path, columns), FEW_ROWS):
            names.append(cells[columns.file].strip())
    if names and all(PurePosixPath(name).suffix.lower() in SUFFIXES for name in names):
        return True
    places = _Places(path.parent)
    return 2 * sum(bool(places.of(name)) for name in names) >= max(1, len(names))


def name_files(path: Path) -> Iterator[tuple[str, str]]:
    """What a list names, with classes or without: (a file's path, ""), or (a name, a reason).

    Raises:
        FormatError: if it is no table.
    """
    columns = _columns(path)
    assert columns is not None
    places = _Places(path.parent)
    for cells in _rows(path, columns):
        name = cells[columns.file].strip()
        found = places.of(name)
        if len(found) == 1:
            yield str(found[0]), ""
        else:
            yield name, _where(found, places.root)


def read_lists(
    paths: Sequence[Path],
    place: Path,
    shape: Shape,
    convention: Convention,
    progress: Progress | None,
) -> Collection:
    """The pictures that `paths` name, as the network gets them, in the order of the lists.

    A name is a path from the list's folder, or that of one file below it, also without its ending.
    Of several lists each is a split by its name; those that are none, or say no classes, are left
    out and said.

    Raises:
        DataError: if no list says classes, or none of its pictures is there.
    """
    root = paths[0].parent
    places, remarks, left_out = _Places(root), list[str](), list[LeftOut]()
    files: list[Found] = []
    for path, split in _splits(paths, place, remarks).items():
        columns = _columns(path)
        if columns is None or columns.label is None:
            if len(paths) == 1:
                raise DataError(_no_label(path, columns))
            remarks.append(f"list {path.name} says no classes, and is left out")
            continue
        files += _of_list(path, columns, split, places, left_out)
    if not files:
        _refuse(place, left_out)
    _check_splits(place, files)
    return collect(files, place, shape, convention, left_out, remarks, progress)


def _splits(paths: Sequence[Path], place: Path, remarks: list[str]) -> dict[Path, str | None]:
    """The lists to read and the split that each is by its name; a single one is of any."""
    if len(paths) == 1:
        return {paths[0]: None}
    named = {path: split_called(path.name.lower().partition(".csv")[0]) for path in paths}
    if "train" not in named.values():
        raise DataError(
            f"{place}: {len(paths)} lists of pictures ({', '.join(path.name for path in paths)}), "
            "and none is called train; name the list that you mean"
        )
    for path, split in named.items():
        if split is None:
            remarks.append(f"list {path.name} is called like no split, and is left out")
    return {path: split for path, split in named.items() if split is not None}


def _of_list(
    path: Path, columns: Columns, split: str | None, places: _Places, left_out: list[LeftOut]
) -> list[Found]:
    """The files of one list; those that are not there, or of two classes, are left out."""
    assert columns.label is not None
    found: dict[Path, Found] = {}
    disputed: dict[Path, set[str]] = defaultdict(set)
    for cells in _rows(path, columns):
        name, label = cells[columns.file].strip(), whole(cells[columns.label].strip())
        candidates = places.of(name)
        if len(candidates) != 1:
            left_out.append(LeftOut(name, _where(candidates, places.root)))
            continue
        if not label:
            left_out.append(LeftOut(name, "the list says no class for it"))
            continue
        file, label = candidates[0], class_name(label, str(path))
        if columns.split is not None:
            split = SPLIT_NAMES.get(cells[columns.split].strip().lower())
            if split is None:
                left_out.append(LeftOut(name, f"split {cells[columns.split]!r} is not known"))
                continue
        before = found.setdefault(file, Found(file, printable(file, places.root), label, split))
        if before.label != label:
            disputed[file] |= {before.label, label}
        if before.split != split:
            raise DataError(_two_splits(path, before, split))
    for file, labels in disputed.items():
        wrong = found.pop(file)
        left_out.append(LeftOut(wrong.name, f"listed in several classes: {sorted(labels)}"))
    return list(found.values())


def _where(candidates: Sequence[Path], root: Path) -> str:
    """Why it is not one file."""
    if not candidates:
        return f"no file of this name is in {root} or below"
    several = ", ".join(printable(path, root) for path in candidates[:3])
    return f"{len(candidates)} files are called so: {several}; write the path"


class _Places:
    """Where the file is that a list means."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[Path]] = {}

    def of(self, name: str) -> Sequence[Path]:
        """The files that `name` may be: one by its path, or all that are called so below."""
        if not name or "\0" in name:
            return ()
        name = name.replace("\\", "/")
        path = self.root / name
        try:
            if path.is_file():
                return (path,)
        except OSError:  # too long a name for the system is none of a file
            return ()
        self._by_name = self._by_name or self._index()
        return self._by_name.get(PurePosixPath(name).name, ())

    def _index(self) -> dict[str, list[Path]]:
        """Pictures by their names, with their endings and without."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in files_below(self.root):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                found[path.name].append(path)
                found[path.stem].append(path)
        return found


def _columns(path: Path) -> Columns | None:
    """What the columns of a table are, if one of them is files; read from its first line."""
    first = next((line for _, line in lines_of(path)), "")
    separator = max(",;\t", key=first.count)
    cells = cells_of(first, separator)
    words = [cell.strip().lower() for cell in cells]
    if not 1 <= len(cells) <= MOST_COLUMNS:
        return None
    file = next((words.index(word) for word in FILE_NAMES if word in words), None)
    if file is None:
        headless = len(cells) == 2 and PurePosixPath(words[0]).suffix in SUFFIXES
        return Columns(separator, 2, False, 0, 1) if headless else None
    names = tuple(cell.strip() for cell in cells)
    split = next((words.index(word) for word in SPLIT_COLUMNS if word in words), None)
    found = Columns(separator, len(cells), True, file, None, split, names)
    label = next((words.index(word) for word in LABEL_NAMES if word in words), None)
    if label is None:
        others = [place for place in range(len(cells)) if place not in (file, split)]
        others = [place for place in others if words[place]]
        label = others[0] if len(others) == 1 else None
    return replace(found, label=label)


def _rows(path: Path, columns: Columns) -> Iterator[list[str]]:
    """The rows below the header.

    Raises:
        FormatError: if one has not as many cells.
    """
    lines = (line for _, line in lines_of(path))
    rows = csv.reader(lines, delimiter=columns.separator)
    try:
        for number, cells in enumerate(islice(rows, int(columns.header), None), 1):
            if len(cells) != columns.count:
                raise FormatError(
                    f"{path}, row {number}: {len(cells)} cells where the first line has "
                    f"{columns.count}"
                )
            yield cells
    except csv.Error as error:
        raise FormatError(f"{path}: not a table: {error}") from error


def _no_label(path: Path, columns: Columns | None) -> str:
    names = columns.names if columns is not None else ()
    return (
        f"{path}: a list of pictures, and which column is their class is not sure: "
        f"{', '.join(names)}; call it label"
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
