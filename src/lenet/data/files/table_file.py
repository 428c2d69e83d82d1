"""CSV: an image a line, its label first, as MNIST is often passed around."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.files.base import Block, to_images
from lenet.data.files.idx import open_payload
from lenet.errors import FormatError

LONGEST_LINE = 1 << 24
LABEL_NAMES = ("label", "labels", "class", "target", "y")
"""Names of the column of labels, in any case, wherever it stands; without a header it is first."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`label` is the column of labels, or None; `fractions` says that pixels have decimals."""

    separator: str
    columns: int
    label: int | None
    header: bool
    fractions: bool


@dataclass(frozen=True, slots=True)
class TableImages:
    """An `ImageFile` of text; it is read in one pass to be counted, and not parsed for that."""

    path: Path
    layout: Layout
    count: int
    splits: Mapping[str, range] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    encoded: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return self.count

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """See `ImageFile`."""
        stop = self.count if stop is None else min(stop, self.count)
        header = int(self.layout.header)
        rows = islice(_lines(self.path), header + start, header + max(start, stop))
        while lines := list(islice(rows, size)):
            yield self._parse(lines)

    def _parse(self, lines: list[tuple[int, str]]) -> Block:
        layout, place = self.layout, f"{self.path}, line {lines[0][0]}"
        labels: NDArray[np.str_] | None = None
        texts = [line for _, line in lines]
        if layout.label is not None:
            cut = [_cut(line, layout) for line in texts]
            labels = np.array([label for label, _ in cut], np.str_)
            texts = [rest for _, rest in cut]
        try:
            values = np.loadtxt(
                texts,
                np.float64 if layout.fractions else np.int64,
                comments=None,
                delimiter=layout.separator,
                quotechar='"',
                ndmin=2,
            )
        except (ValueError, OverflowError) as error:
            raise FormatError(f"{place} and below: {_reason(error)}") from error
        if len(values) != len(lines) or values.shape[1] != _pixels(layout):
            raise FormatError(
                f"{place} and below: {values.shape[1]} pixels a line where the first line has "
                f"{_pixels(layout)}"
            )
        images = to_images(values, f"{place} and below")
        if labels is not None and "" in labels:
            raise FormatError(f"{place} and below: a line has no label")
        return Block(images, labels)


def open_csv(path: Path) -> TableImages:
    """Find out how the table is laid out, and count its lines.

    Raises:
        FormatError: if it is not text, its lines are too long, or no column count fits an image.
    """
    head = [line for _, line in islice(_lines(path), 2)]
    if not head:
        raise FormatError(f"{path}: it holds no images")
    layout = _layout(head, path)
    count = sum(1 for _ in _lines(path)) - layout.header
    if not count:
        raise FormatError(f"{path}: it holds a header and no images")
    return TableImages(path, layout, count)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        with open_payload(path) as raw, io.TextIOWrapper(raw, "utf-8-sig") as text:
            number = 0
            while line := text.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise FormatError(f"{path}, line {number}: over {LONGEST_LINE} letters")
                if "\0" in line:
                    raise FormatError(f"{path}, line {number}: not text")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path}: damaged: {error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not text in UTF-8: {error}") from error


def _layout(head: list[str], path: Path) -> Layout:
    separator = max(",;\t", key=head[0].count)
    cells = _cells(head[0], separator)
    # Pixels are numbers, so a line that has another word in their place is a header.
    header = not all(_is_number(cell) for cell in cells[1:]) or _named_label(cells) is not None
    label = _named_label(cells) if header else None
    columns = len(cells)
    if label is None and not _is_square(columns):
        label = 0
    pixels = columns - (label is not None)
    if not _is_square(pixels):
        raise FormatError(
            f"{path}: {columns} columns; a line holds the pixels of a square image (784 for "
            "28x28), with its label before them or in a column that is called label"
        )
    first = _cells(head[-1], separator) if header else cells
    numbers = [cell for index, cell in enumerate(first) if index != label]
    fractions = any(not cell.strip().lstrip("+-").isdigit() for cell in numbers)
    return Layout(separator, columns, label, header, fractions)


def _named_label(cells: list[str]) -> int | None:
    names = [cell.strip().lower() for cell in cells]
    return next((names.index(name) for name in LABEL_NAMES if name in names), None)


def _is_square(count: int) -> bool:
    return count > 1 and math.isqrt(count) ** 2 == count


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return line.split(separator)


def _cut(line: str, layout: Layout) -> tuple[str, str]:
    """The label, and the line without it."""
    if layout.label == 0 and '"' not in line:
        label, _, rest = line.partition(layout.separator)
        return label.strip(), rest
    cells = _cells(line, layout.separator)
    if len(cells) != layout.columns:
        return "", line
    assert layout.label is not None
    return cells.pop(layout.label).strip(), layout.separator.join(cells)


def _pixels(layout: Layout) -> int:
    return layout.columns - (layout.label is not None)


def _reason(error: Exception) -> str:
    """NumPy's reason without its advice on its own functions."""
    return str(error).split("; use")[0].split("(row")[0].strip().rstrip(";")
