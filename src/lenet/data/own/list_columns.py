"""The columns of a list of pictures: which one names files, which is the class, which the split."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from lenet.data.files.columns import LABEL_NAMES, is_index, is_number, is_square
from lenet.data.files.table_file import cells_of, lines_of
from lenet.data.pictures.picture import SUFFIXES
from lenet.errors import FormatError

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

ENDINGS = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class ListColumns:
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


def may_be_list(path: Path) -> bool:
    """Whether a table has a column that is called like files, or holds their names, and no pixels.

    What is wrong with it is said when it is read.  What lenet wrote about pictures (answers,
    problems) is no list.
    """
    with suppress(FormatError):
        columns = list_columns(path) if path.name.lower().endswith(ENDINGS) else None
        return columns is not None and not _is_output(columns)
    return False


def _is_output(columns: ListColumns) -> bool:
    """Whether the heading is that of answers, or of files that could not be read."""
    names = set(columns.names)
    return {"path", "class", "probability", "notes"} <= names or names == {"path", "reason"}


def list_columns(path: Path) -> ListColumns | None:
    """What the columns of a table are, if one of them is files; by its first lines."""
    head = [line for _, line in islice(lines_of(path), 2)]
    if not head:
        return None
    separator = max(",;\t", key=head[0].count)
    cells = [cell.strip() for cell in cells_of(head[0], separator)]
    words = [_word(cell) for cell in cells]
    first = [cell.strip() for cell in cells_of(head[-1], separator)]
    if len(cells) > MOST_COLUMNS or _are_pixels(words, first):
        return None
    files = [word for word in FILE_NAMES if word in words]
    if not files and any(map(_ends_like_picture, cells)):
        headless = len(cells) == 2 and _ends_like_picture(cells[0])
        return ListColumns(separator, 2, False, 0, 1) if headless else None
    pairs = zip(words, first, strict=False)
    files = files or [word for word, cell in pairs if _ends_like_picture(cell)]
    if not files:
        return None
    # Of several, the one that holds names of pictures.
    ending = (word for word in files if _ends_like_picture("".join(first[words.index(word) :][:1])))
    file = words.index(next(ending, files[0]))
    split = next((words.index(word) for word in SPLIT_COLUMNS if word in words), None)
    label = _label_among(words, (file, split))
    return ListColumns(separator, len(cells), True, file, label, split, tuple(cells))


def _word(cell: str) -> str:
    """A heading in small letters; `Image Name` and `file-name` are names that are known."""
    joined = re.sub(r"[ -]+", "_", cell.lower())
    return joined if joined in (*FILE_NAMES, *CLASS_NAMES) else cell.lower()


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


def list_rows(path: Path, columns: ListColumns) -> Iterator[list[str]]:
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
