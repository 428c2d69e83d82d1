"""One shard: its inputs read, prepared and answered; what a worker does, in any process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.picture import no_warnings
from lenet.errors import DataError, FormatError
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.attempt import Attempt, TimeLimit, try_apart
from lenet.prediction.bulk.inputs import Piece
from lenet.prediction.bulk.rows import read_rows
from lenet.prediction.network import BATCH, Answer, Network, Prepared, answer
from lenet.prediction.reading import prepare_image, prepare_picture, read_regular

Problem = tuple[str, str]
"""The name of an input, and why it could not be used."""

FILES_AHEAD, BYTES_AHEAD = 64, 1 << 22
"""So many files are read before the first of them is decoded, and hardly more bytes."""

Row = tuple[int, NDArray[np.uint8] | DataError]
"""Its number, and its image or why there is none."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker needs for shard `number`; `folder` is what the inputs' names are relative to.

    `driver` is the process that gave the order; `attempts` and the number are the name of the file
    in which tries are noted.
    """

    number: int
    pieces: tuple[Piece, ...]
    network: Network
    kind: str
    top: int
    folder: str
    driver: int
    attempts: str


@dataclass(slots=True)
class Clock:
    """Seconds of each part of the work."""

    reading: float = 0.0
    preparation: float = 0.0
    network: float = 0.0
    writing: float = 0.0


@dataclass(frozen=True, slots=True)
class Shard:
    """A whole file of answers, and the inputs that are not in it."""

    content: bytes
    problems: tuple[Problem, ...]
    answers: int
    clock: Clock = field(default_factory=Clock)


def answer_shard(order: Order) -> Shard:
    """Do a shard; its content depends on the inputs, the network and the format alone."""
    clock = Clock()
    answers, problems = answer_pieces(order, clock)
    started = time.perf_counter()
    content = formats.encode(answers, order.top, order.kind)
    clock.writing += time.perf_counter() - started
    return Shard(content, tuple(problems), len(answers), clock)


def answer_few_pieces(order: Order) -> tuple[list[Answer], list[Problem]]:
    """The same without a file."""
    return answer_pieces(order, Clock())


def answer_pieces(order: Order, clock: Clock) -> tuple[list[Answer], list[Problem]]:
    """The answers to the inputs of a shard in their order, and the inputs that have none."""
    attempt = Attempt(Path(f"{order.attempts}{order.number}"))
    answers, problems = list[Answer](), list[Problem]()
    batch: list[Prepared] = []
    with no_warnings, TimeLimit(is_ours=os.getpid() != order.driver) as limit:
        for prepared in _prepare(order, attempt, limit, clock, problems):
            batch.append(prepared)
            if len(batch) == BATCH:
                answers += _answer(order, batch, clock)
                batch = []
    answers += _answer(order, batch, clock)
    attempt.end()
    return answers, problems


def _answer(order: Order, batch: list[Prepared], clock: Clock) -> list[Answer]:
    started = time.perf_counter()
    answers = list(answer(order.network, batch, order.top))
    clock.network += time.perf_counter() - started
    return answers


def _prepare(
    order: Order,
    attempt: Attempt,
    limit: TimeLimit,
    clock: Clock,
    problems: list[Problem],
) -> Iterator[Prepared]:
    row = 0
    for piece, content in _read_ahead(order, clock):
        if content is None:
            limit.stop()
            yield from _rows(order, piece, clock, problems)
        else:
            attempt.at(row)
            is_suspect = attempt.suspects_row(row)
            if is_suspect:
                limit.stop()
            else:
                limit.start()
            try:
                prepared = _picture(order.network, piece, content, clock, is_suspect)
            except FormatError as error:
                problems.append(_problem(piece.name, error))
            else:
                yield prepared
        row += len(piece)


Content = bytes | FormatError
"""Of a picture's file, or why it cannot be read."""


def _read_ahead(order: Order, clock: Clock) -> Iterator[tuple[Piece, Content | None]]:
    """Each input, a picture with its content, small files a few at once.

    A call to the system makes the code after it slow for a while: file by file, reading and
    decoding take a sixth longer.
    """
    waiting, size = list[tuple[Piece, Content | None]](), 0
    for piece in order.pieces:
        content = None if piece.start is not None else _content(order, piece, clock)
        waiting.append((piece, content))
        size += len(content) if isinstance(content, bytes) else 0
        if len(waiting) == FILES_AHEAD or size > BYTES_AHEAD:
            yield from waiting
            waiting, size = [], 0
    yield from waiting


def _content(order: Order, piece: Piece, clock: Clock) -> Content:
    if piece.problem is not None:
        return FormatError(piece.problem)
    if piece.content is not None:
        return piece.content
    started = time.perf_counter()
    place = os.path.join(order.folder, piece.name)  # noqa: PTH118 - `Path` takes as long as reading
    try:
        return read_regular(place, piece.name)
    except FormatError as error:
        return error
    finally:
        clock.reading += time.perf_counter() - started


def _picture(
    network: Network, piece: Piece, content: Content, clock: Clock, is_suspect: bool
) -> Prepared:
    if isinstance(content, FormatError):
        raise content
    started = time.perf_counter()
    if is_suspect:
        try_apart(content, piece.name, network.spec.input_shape, network.convention)
    prepared = prepare_picture(content, network.spec.input_shape, network.convention, piece.name)
    clock.preparation += time.perf_counter() - started
    return prepared


def _rows(order: Order, piece: Piece, clock: Clock, problems: list[Problem]) -> Iterator[Prepared]:
    """Rows of an array file, a problem each where they cannot be read."""
    start, stop = piece.start or 0, piece.stop or 0
    place = Path(order.folder, piece.name)
    shape, convention = order.network.spec.input_shape, order.network.convention
    try:
        rows = read_rows(place, order.network, start, stop)
        for block in _clocked(rows, clock):
            begun = time.perf_counter()
            prepared = []
            for row, found in block:
                name = f"{piece.name}#{row}"
                try:
                    if isinstance(found, DataError):
                        raise found
                    prepared.append(prepare_image(found, shape, convention, name))
                except DataError as error:
                    problems.append(_problem(name, error, place))
            clock.preparation += time.perf_counter() - begun
            yield from prepared
    except DataError as error:
        problems += [_problem(f"{piece.name}#{row}", error, place) for row in range(start, stop)]


def _clocked(rows: Iterator[Row], clock: Clock) -> Iterator[list[Row]]:
    """`rows` in lists of a batch, the time to read them taken."""
    while True:
        begun = time.perf_counter()
        block = list(islice(rows, BATCH))
        clock.reading += time.perf_counter() - begun
        if not block:
            return
        yield block


def _problem(name: str, error: DataError, place: Path | None = None) -> Problem:
    """An input and its reason, which does not begin with the name, or the `place`, once more."""
    return name, str(error).removeprefix(f"{name}: ").removeprefix(f"{place}: ")
