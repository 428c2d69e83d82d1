"""CSV: an image a line, its label mostly first, as MNIST is often passed around."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.files.base import Block, Scale, find_scale, scale_remarks, to_images
from lenet.data.files.columns import (
    Candidate,
    Columns,
    by_names,
    choose,
    is_header,
    whole,
    without_names,
)
from lenet.data.files.idx import open_payload
from lenet.errors import FormatError

LONGEST_LINE = 1 << 24
HEAD = 64
"""Lines by which the scale of the pixels is found."""

MOST_OF_THEM = 0.99
"""Share of the numbers in those lines that are at most 1 where fractions are meant."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`label` is the column of labels, or None; `others` are left out; `scale` is the pixels'.

    `fractions` says that numbers have decimals.
    """

    separator: str
    columns: int
    label: int | None
    others: tuple[int, ...]
    header: bool
    fractions: bool
    scale: Scale | None

    @property
    def pixels(self) -> int:
        return self.columns - len(self.others) - (self.label is not None)


@dataclass(frozen=True, slots=True)
class TableImages:
    """An `ImageFile` of text; it is read in one pass to be counted, and not parsed for that."""

    path: Path
    layout: Layout
    count: int
    described: str = ""
    remarks: tuple[str, ...] = ()
    doubt: str = ""
    splits: Mapping[str, range] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    encoded: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return self.count

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """See `ImageFile`."""
        stop = self.count if stop is None else min(stop, self.count)
        header = int(self.layout.header)
        rows = islice(lines_of(self.path), header + start, header + max(start, stop))
        while lines := list(islice(rows, size)):
            yield self._parse(lines)

    def _parse(self, lines: list[tuple[int, str]]) -> Block:
        layout, place = self.layout, f"{self.path}, line {lines[0][0]}"
        labels: NDArray[np.str_] | None = None
        texts = [line for _, line in lines]
        if layout.label is not None or layout.others:
            cut = [_cut(line, layout) for line in texts]
            if layout.label is not None:
                labels = np.array([whole(label) for label, _ in cut], np.str_)
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
            said = self._fault(lines) or f"{place} and below: {_reason(error)}"
            raise FormatError(said) from error
        if len(values) != len(lines) or values.shape[1] != layout.pixels:
            raise FormatError(
                f"{place} and below: {values.shape[1]} pixels a line where the first line has "
                f"{layout.pixels}"
            )
        images = to_images(values, f"{place} and below", layout.scale)
        if labels is not None and "" in labels:
            raise FormatError(f"{place} and below: a line has no label")
        return Block(images, labels)

    def _fault(self, lines: list[tuple[int, str]]) -> str:
        """Which line and column cannot be read, counted as editors do; nothing if all can."""
        layout = self.layout
        number, kind = (float, "a number") if layout.fractions else (int, "a whole number")
        for place, line in lines:
            cells = cells_of(line, layout.separator)
            if len(cells) != layout.columns:
                return (
                    f"{self.path}, line {place}: {len(cells)} columns where the first line has "
                    f"{layout.columns}"
                )
            for index, cell in enumerate(cells):
                if index != layout.label and index not in layout.others:
                    try:
                        number(cell)
                    except ValueError:
                        return (
                            f"{self.path}, line {place}, column {index + 1}: could not convert "
                            f"string {cell!r} to {kind}"
                        )
        return ""


def open_csv(path: Path) -> TableImages:
    """Find out how the table is laid out, and count its lines.

    Raises:
        FormatError: if it is not text, its lines are too long, or no column count fits an image.
    """
    head = [line for _, line in islice(lines_of(path), HEAD + 1)]
    if not head:
        raise FormatError(f"{path}: it holds no images")
    separator = max(",;\t", key=head[0].count)
    cells = cells_of(head[0], separator)
    header = is_header(cells)
    found = by_names(cells, str(path)) if header else without_names(len(cells), str(path))
    rows = (line for _, line in islice(lines_of(path), int(header), None))
    if found.guess:
        count, found = _choose_label(rows, separator, found, len(cells), path)
    else:
        count = sum(1 for _ in rows)
    if not count:
        raise FormatError(f"{path}: it holds a header and no images")
    layout = Layout(separator, len(cells), found.label, found.others, header, False, None)
    layout, said = _with_scale(layout, head[int(header) :], path)
    remarks = (*found.remarks, *said)
    return TableImages(path, layout, count, found.described, remarks, found.doubt)


def _choose_label(
    rows: Iterable[str], separator: str, found: Columns, columns: int, path: Path
) -> tuple[int, Columns]:
    """The number of lines, and the label by what stands in the guessed and in the last column."""
    count, first, last, place = 0, Candidate(), Candidate(), found.label or 0
    for line in rows:
        count += 1
        cell = (
            cells_of(line, separator)[place : place + 1]
            if place
            else [line.partition(separator)[0]]
        )
        first.see("".join(cell).strip(' "'))
        last.see(line.rpartition(separator)[2].strip(' "'))
    return count, choose(found, columns, first, last, str(path)) if count else found


def _with_scale(layout: Layout, head: list[str], path: Path) -> tuple[Layout, tuple[str, ...]]:
    """How the pixels of the first lines are written, and what is to be said of that."""
    left_out = {layout.label, *layout.others}
    rows = [
        [cell.strip() for index, cell in enumerate(cells_of(line, layout.separator))
         if index not in left_out]
        for line in head
    ]  # fmt: skip
    # A cell that is no number, or the odd one that is none of these, is named when it is read.
    cells = [cell for row in rows for cell in row]
    values = np.array([value for cell in cells if np.isfinite(value := _number(cell))])
    written_whole = all(cell.lstrip("+-").isdigit() for cell in cells if cell)
    are_whole = bool((values % 1 == 0).all())
    fractions = not written_whole and values.size > 0 and (
        are_whole or bool(np.quantile(values, MOST_OF_THEM) <= 1)
    )  # fmt: skip
    scale = find_scale(values if fractions else values.clip(-1, 256).astype(np.int64))
    return replace(layout, fractions=fractions, scale=scale), scale_remarks(scale, str(path))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1.

    Raises:
        FormatError: if the file is no text in UTF-8, or a line is too long.
    """
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


def cells_of(line: str, separator: str) -> list[str]:
    """What stands between the separators, quotes undone."""
    try:
        return next(csv.reader([line], delimiter=separator))
    except csv.Error:
        return line.split(separator)


def _cut(line: str, layout: Layout) -> tuple[str, str]:
    """The label, or nothing where there is none, and the pixels."""
    if not layout.others and '"' not in line:
        if layout.label == 0:
            label, _, rest = line.partition(layout.separator)
            return label.strip(), rest
        if layout.label == layout.columns - 1 == line.count(layout.separator):
            rest, _, label = line.rpartition(layout.separator)
            return label.strip(), rest
    cells = cells_of(line, layout.separator)
    if len(cells) != layout.columns:
        return "", line
    left_out = {layout.label, *layout.others}
    label = "" if layout.label is None else cells[layout.label].strip()
    pixels = [cell for index, cell in enumerate(cells) if index not in left_out]
    return label, layout.separator.join(pixels)


def _reason(error: Exception) -> str:
    """NumPy's reason without its advice on its own functions."""
    return str(error).split("; use")[0].split("(row")[0].strip().rstrip(";")
