"""The columns of a table: which are pixels, which is the label, and which are neither."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lenet.data.files.base import listed
from lenet.errors import FormatError

LABEL_NAMES = (
    "label", "labels", "class", "digit", "target", "y", "fine_label", "character", "letter",
)  # fmt: skip
"""Names of the column of labels, in any case, wherever it stands."""

OTHER_NAMES = frozenset(
    {
        "", "id", "index", "idx", "row", "imageid", "image_id", "img_id", "unnamed", "level",
        "file", "filename", "file_name", "path", "name", "split", "usage", "writer", "source",
    }
)  # fmt: skip
"""Names of columns that are neither pixels nor labels, and are left out."""

NAMES_OF_THINGS = frozenset({"name", "split", "usage", "writer", "source"})
"""Those of them that do not number rows or name files."""

MOST_LABELS = 1000
FEW_ROWS = 20
"""Of fewer, a label may stand there only once."""

MOST_SHARE = 0.9
"""A column of which more is one value is hardly a label, if nothing else says that it is."""


SQUARE = (
    "a line holds the pixels of a square image (784 for 28x28), with its label before them or in a "
    "column that is called label"
)


@dataclass(frozen=True, slots=True)
class Columns:
    """`label` is the place of the labels, or None, `described` says why; `others` are left out.

    `guess` is True where nothing but its place says that a column is the label; `doubt` is what
    speaks against it.
    """

    label: int | None
    others: tuple[int, ...] = ()
    guess: bool = False
    described: str = ""
    remarks: tuple[str, ...] = ()
    doubt: str = ""


def by_names(names: Sequence[str], place: str) -> Columns:
    """What the names of columns say; what is left over is pixels, of a square image.

    Raises:
        FormatError: if it is not, naming the columns that do not look like pixels.
    """
    words = [name.strip().lower() for name in names]
    label = next((words.index(word) for word in LABEL_NAMES if word in words), None)
    others = tuple(index for index, word in enumerate(words) if index != label and _is_other(word))
    pixels = len(names) - len(others) - (label is not None)
    guess = False
    if label is None and not is_square(pixels):
        label = next(index for index in range(len(names) + 1) if index not in others)
        guess, pixels = True, pixels - 1
    if not is_square(pixels):
        raise FormatError(_no_square(names, words, label, place))
    described, remarks = "", []
    if others:
        left = ", ".join(repr(names[index]) for index in others)
        remarks.append(f"{place}: columns that are neither pixels nor labels are left out: {left}")
    if label is not None and not guess:
        described = f"the label is the column called {names[label]!r}"
    return Columns(label, others, guess, described, tuple(remarks))


def without_names(count: int, place: str) -> Columns:
    """`count` columns without a header: pixels, or a label before them.

    Raises:
        FormatError: if the pixels are those of no square image.
    """
    label = None if is_square(count) else 0
    if not is_square(count - (label is not None)):
        raise FormatError(f"{place}: {count} columns; {SQUARE}")
    return Columns(label, guess=label is not None)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first line is names: pixels are numbers, and not 0, 1, 2 ... in a row."""
    rest = [cell.strip() for cell in cells[1:]]
    if not all(is_number(cell) for cell in rest):
        return True
    if any(cell.strip().lower() in LABEL_NAMES for cell in cells):
        return True
    counted = [str(index) for index in range(len(cells))]
    return len(cells) > 2 and (rest == counted[1:] or rest == counted[:-1])


def is_square(count: int) -> bool:
    """Whether so many pixels are a square of more than one."""
    return count > 1 and math.isqrt(count) ** 2 == count


def is_number(cell: str) -> bool:
    """Whether this is a number, as Python reads it."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def whole(text: str) -> str:
    """`5.0` and `5.000e+00` as `5`; anything else as it is."""
    if "." not in text and "e" not in text:
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if math.isfinite(value) and value == int(value) else text


class Candidate:
    """What is seen of a column that may hold labels."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def see(self, text: str) -> None:
        """Count a value; more different ones than there can be classes are not told apart."""
        if len(self.counts) <= MOST_LABELS or text in self.counts:
            self.counts[text] += 1

    @property
    def share(self) -> float:
        """Of the most frequent value."""
        return max(self.counts.values()) / self.counts.total()

    @property
    def may_be_label(self) -> bool:
        """Several values, none of them nearly everywhere, and each of them often."""
        rows, different = self.counts.total(), len(self.counts)
        most = rows - 1 if rows < FEW_ROWS else rows // 2
        return 1 < different <= min(MOST_LABELS, most) and self.share <= MOST_SHARE

    def describe(self) -> str:
        """In words."""
        (text, count), different = self.counts.most_common(1)[0], len(self.counts)
        many = f"over {MOST_LABELS:,}" if different > MOST_LABELS else str(different)
        return f"{many} different values, {count / self.counts.total():.0%} of them {whole(text)}"


def choose(found: Columns, count: int, first: Candidate, last: Candidate, place: str) -> Columns:
    """Where no name says which of `count` columns is the label: the guessed one, or the last.

    `first` is what was seen of the guessed column.  What is neither, or could be both, is taken by
    its place and doubted.
    """
    said = f"the first column has {first.describe()}, the last one {last.describe()}"
    usual = "the label is the first column, as in MNIST's tables"
    if first.may_be_label != last.may_be_label:
        is_last = last.may_be_label
    elif first.may_be_label and _count_from_zero(first) != _count_from_zero(last):
        is_last = _count_from_zero(last)
    else:
        both = "either could be" if first.may_be_label else "neither looks like"
        return replace(found, described=usual, doubt=f"{said}; {both} the label")
    if not is_last:
        return replace(found, described=usual)
    described = f"the label is the last column: {said}"
    remarks = (*found.remarks, f"{place}: {described}")
    return replace(found, label=count - 1, described=described, remarks=remarks)


def _count_from_zero(column: Candidate) -> bool:
    """Whether the values are 0, 1, 2 ... or 1, 2, 3 ... without a gap, or words."""
    texts = {whole(text) for text in column.counts}
    if not all(text.isascii() and text.isdigit() for text in texts):
        return not any(is_number(text) for text in texts)
    numbers = {int(text) for text in texts}
    return min(numbers) <= 1 and max(numbers) - min(numbers) == len(numbers) - 1


def _is_other(word: str) -> bool:
    """Pandas calls its index `Unnamed: 0` in CSV, and `__index_level_0__` in Parquet."""
    plain = re.sub(r"^unnamed: \d+(_level_\d+)?$", "unnamed", word)
    plain = re.sub(r"^__index_level_\d+__$|^level_\d+$", "level", plain)
    return plain in OTHER_NAMES


def is_index(word: str) -> bool:
    """Whether a column that is called so, in small letters, numbers its rows."""
    return _is_other(word) and word not in NAMES_OF_THINGS


def _no_square(names: Sequence[str], words: list[str], label: int | None, place: str) -> str:
    strange = [
        repr(name)
        for index, (name, word) in enumerate(zip(names, words, strict=True))
        if index != label and not re.fullmatch(r"[a-z]*[ _-]?\d+([x_,. -]\d+)?", word)
    ]
    hint = f"; not called like pixels: {listed(strange)}; leave them out" if strange else ""
    return f"{place}: {len(names)} columns; {SQUARE}{hint}"
