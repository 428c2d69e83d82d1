"""Answers as CSV, JSON lines or Parquet: the same columns in each."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lenet.data.files import open_arrow
from lenet.prediction.network import Answer

FORMATS = ("csv", "jsonl", "parquet")

MOST_HEADING = 1 << 20
"""Letters of a first line by which a file is known."""

Row = dict[str, Any]
"""An answer by column: the names of `columns`."""


PLACE = ("left", "top", "width", "height")
"""Of a character in its picture, in pixels."""


def columns(top: int, *, each: bool = False) -> list[str]:
    """`path`, `class`, `probability`, then `class_2`, `probability_2` and so on, then `notes`.

    With `each`, for answers to every character of a picture, `PLACE` stands behind the path.
    """
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    answers = [name + rank for rank in ranks for name in ("class", "probability")]
    return ["path", *(PLACE if each else ()), *answers, "notes"]


def shown(path: str) -> str:
    r"""A path as text: a byte that is no UTF-8 becomes `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def values(answer: Answer, *, each: bool = False) -> list[Any]:
    """An answer in the order of `columns`; without a place in the picture that is None."""
    pairs = zip(answer.classes, answer.probabilities, strict=True)
    return [
        shown(answer.name),
        *(_place(answer) if each else ()),
        *(value for pair in pairs for value in pair),
        "; ".join(answer.notes),
    ]


def _place(answer: Answer) -> list[int | None]:
    return [None if answer.box is None else getattr(answer.box, name) for name in PLACE]


def encode(answers: Sequence[Answer], top: int, kind: str, *, each: bool = False) -> bytes:
    """A whole file with these answers, of `kind` csv, jsonl or (of whole pictures) parquet.

    Raises:
        UsageError: if pyarrow is needed and missing.
    """
    names, rows = columns(top, each=each), [values(answer, each=each) for answer in answers]
    if kind == "csv":
        return table_of(names, rows)
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
        return "".join(line + "\n" for line in lines).encode()
    return _parquet(names, rows)


def table_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """CSV with a heading, quoted as RFC 4180 says; lines end in a line feed."""
    lines = _Lines()
    # A writer quotes what holds a letter of its own line ends: a carriage return is one of them.
    writer = csv.writer(lines, lineterminator=_Lines.END)
    writer.writerow(names)
    writer.writerows(rows)
    return "".join(lines.written).encode()


class _Lines:
    """A stream of lines whose ends become line feeds."""

    END = "\r\n"

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix(self.END) + "\n")


def _parquet(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    arrow, parquet = open_arrow()
    kinds = [arrow.float64() if "probability" in name else arrow.string() for name in names]
    schema = arrow.schema(list(zip(names, kinds, strict=True)))
    arrays = [arrow.array([row[index] for row in rows], kind) for index, kind in enumerate(kinds)]
    stream = io.BytesIO()
    parquet.write_table(arrow.table(arrays, schema=schema), stream)
    return stream.getvalue()


def join(shards: Sequence[Path], kind: str, file: BinaryIO) -> None:
    """Write all `shards` to `file` as one file, holding one shard at a time."""
    if kind == "parquet":
        _, parquet = open_arrow()
        with parquet.ParquetWriter(file, parquet.read_schema(shards[0])) as writer:
            for shard in shards:
                writer.write_table(parquet.read_table(shard))
        return
    for number, shard in enumerate(shards):
        with open(shard, "rb") as source:
            if kind == "csv" and number:
                source.readline()  # the heading; no column's name holds a line feed
            shutil.copyfileobj(source, file)


def are_answers(path: Path, kind: str) -> bool:
    """Whether a file is one of answers of this `kind`, or empty; whatever else it is."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return path.is_file()
        names = _names(path, kind)
    except Exception:  # pyarrow and hostile files let many kinds through
        return False
    return names == columns((len(names) - 2) // 2)


def has_heading(path: Path, names: Sequence[str]) -> bool:
    """Whether a file is a CSV with these columns."""
    try:
        return path.is_file() and _names(path, "csv") == list(names)
    except (OSError, ValueError, csv.Error, StopIteration):
        return False


def _names(path: Path, kind: str) -> list[str]:
    """The columns of a file of answers."""
    if kind == "parquet":
        _, parquet = open_arrow()
        return list(parquet.read_schema(path).names)
    with open(path, encoding="utf-8", newline="") as file:
        line = file.readline(MOST_HEADING)
    return list(json.loads(line)) if kind == "jsonl" else next(csv.reader([line]))


def read(shard: Path, kind: str) -> Iterator[Row]:
    """The rows of one file."""
    if kind == "parquet":
        _, parquet = open_arrow()
        yield from parquet.read_table(shard).to_pylist()
        return
    with open(shard, encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            yield from map(json.loads, file)
            return
        for row in csv.DictReader(file):
            yield {
                name: float(value) if "probability" in name else value
                for name, value in row.items()
            }
