"""What was asked for, as a list on disk; shards are slices of it, so its length costs no memory."""

from __future__ import annotations

import base64
import codecs
import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any, BinaryIO, final

from lenet.data.files import is_array_file, open_images
from lenet.data.own.layout import LITTER
from lenet.data.own.list_columns import may_be_list
from lenet.data.own.listing import name_files
from lenet.data.pictures.picture import SUFFIXES
from lenet.errors import DataError, UsageError
from lenet.prediction.reading import MOST_BYTES, is_picture

STDIN = "-"
SNIFFED = 1 << 20
"""Bytes of the standard input by which a picture is told from a list of paths."""

SHARDS, LEAST_ROWS, MOST_ROWS = 64, 100, 5000
"""By default there are about this many shards, of not fewer and not more rows than these."""


MAC_PREFIX = "._"
"""Of files that a Mac puts beside pictures on other systems' disks, with their endings."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One input: a picture, or rows `start` to `stop` of an array file.

    `content` is there for a picture from the standard input, `problem` where it is known that
    nothing can be read.
    """

    name: str
    start: int | None = None
    stop: int | None = None
    content: bytes | None = None
    problem: str | None = None

    def __len__(self) -> int:
        return 1 if self.start is None or self.stop is None else self.stop - self.start

    def rows(self, skipped: int, most: int) -> Piece:
        """Its rows after the first `skipped`, and `most` of them at most."""
        if self.start is None or self.stop is None:
            return self
        first = self.start + skipped
        return replace(self, start=first, stop=min(self.stop, first + most))

    def to_json(self) -> str:
        if self.start is None and self.content is None and self.problem is None:
            return encode_basestring_ascii(self.name)  # in a fifth of the time of `json.dumps`
        facts: dict[str, Any] = {"name": self.name}
        if self.start is not None:
            facts |= {"start": self.start, "stop": self.stop}
        if self.content is not None:
            facts["content"] = base64.b64encode(self.content).decode()
        if self.problem is not None:
            facts["problem"] = self.problem
        return json.dumps(facts)

    @classmethod
    def from_json(cls, text: str | bytes) -> Piece:
        facts = json.loads(text)
        if isinstance(facts, str):
            return cls(facts)
        content = facts.pop("content", None)
        return cls(**facts, content=None if content is None else base64.b64decode(content))


@final
class Inputs:
    """What `paths` name, found one by one; `-` is the standard input, which is read once."""

    def __init__(self, paths: Sequence[str], stdin: BinaryIO | None = None) -> None:
        self.paths = tuple(paths)
        self._found: Iterator[Piece] = find(paths, stdin)

    def __iter__(self) -> Iterator[Piece]:
        return self._found

    def few(self, most: int) -> tuple[Piece, ...] | None:
        """All of them if they have `most` images at most; otherwise None, and none is lost."""
        head, rows = list[Piece](), 0
        for piece in self._found:
            head.append(piece)
            rows += len(piece)
            if rows > most:
                self._found = chain(head, self._found)
                return None
        return tuple(head)

    def nothing(self) -> UsageError:
        """What to say where there is none."""
        return UsageError(
            f"{', '.join(self.paths)}: no picture is there; a folder's pictures are found by "
            "their names (.png, .jpg ...), others are taken if they are named"
        )


def find(paths: Sequence[str], stdin: BinaryIO | None = None) -> Iterator[Piece]:
    """Every input that `paths` name, in order: those of a folder or a pattern are sorted by name.

    A folder means its pictures, also those in folders below it; links to folders are not followed.
    A table that names pictures means those.
    What is named itself is taken whatever its name.

    Raises:
        UsageError: if nothing is at one of them.
    """
    for path in paths:
        if path == STDIN:
            yield from _standard_input(stdin)
        elif os.path.lexists(path):
            yield from _named(path)
        elif glob.has_magic(path):
            found = sorted(glob.iglob(path, recursive=True, include_hidden=True))  # noqa: PTH207 - of any root
            if not found:
                raise UsageError(f"{path}: no file has such a name; is the pattern right?")
            yield from _matched(found, is_deep="**" in path)
        else:
            raise UsageError(f"{path}: there is no such file or folder; check the path")


def _matched(names: Iterable[str], *, is_deep: bool) -> Iterator[Piece]:
    """Each file once: a pattern with `**` may find a folder and what is in it as well.

    Others find names of one depth, for which none is remembered.
    """
    seen = set[str]()
    for name in names:
        if name in seen:
            continue
        is_walked = is_deep and os.path.isdir(name)  # noqa: PTH112 - as in `_named`
        for piece in _named(name):
            if is_walked:
                if piece.name in seen:
                    continue
                seen.add(piece.name)
            yield piece
        if is_deep:
            seen.add(name)


def _named(path: str) -> Iterator[Piece]:
    if "\0" in path:
        yield Piece(path, problem="a name with a byte 0, which no file has")
    elif os.path.isdir(path):  # noqa: PTH112 - `Path` raises where a name is too long
        yield from _pictures_below(path)
    elif is_array_file(Path(path)) and os.path.isfile(path):  # noqa: PTH113 - as above
        yield from _listed(path) if may_be_list(Path(path)) else [_array(path)]
    else:
        yield Piece(path)


def _listed(path: str) -> Iterator[Piece]:
    """The pictures that a table names."""
    try:
        for name, problem in name_files(Path(path)):
            yield Piece(name, problem=problem or None)
    except DataError as error:
        yield Piece(path, problem=str(error))


def _array(path: str) -> Piece:
    try:
        return Piece(path, 0, len(open_images(Path(path))))
    except DataError as error:
        return Piece(path, problem=str(error))


def _pictures_below(folder: str) -> Iterator[Piece]:
    """Depth first, by hand: a path may have more levels than Python has frames."""
    waiting = [_entries(folder)]
    while waiting:
        for path, is_folder, problem in waiting[-1]:
            if is_folder:
                waiting.append(_entries(path))
                break
            suffix = os.path.splitext(path)[1]  # noqa: PTH122 - `Path` takes ten times as long
            if problem or suffix.lower() in SUFFIXES:
                yield Piece(path, problem=problem)
        else:
            waiting.pop()


def _entries(folder: str) -> Iterator[tuple[str, bool, str | None]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield folder, False, f"a folder that cannot be looked into: {error.strerror}"
        return
    for entry in entries:
        if entry.name.lower() in LITTER or entry.name.startswith(MAC_PREFIX):
            continue
        yield entry.path, entry.is_dir(follow_symlinks=False), None


def _standard_input(stream: BinaryIO | None) -> Iterator[Piece]:
    """One picture; or, if it is none and has no byte 0, a path a line."""
    if stream is None:
        raise UsageError(f"{STDIN}: the standard input is closed; name files, or give it some")
    try:
        head = stream.read(SNIFFED)
    except OSError as error:
        raise UsageError(
            f"{STDIN}: the standard input cannot be read: {error.strerror}; name files"
        ) from error
    if is_picture(head) or b"\0" in head:
        content = head + stream.read(MOST_BYTES + 1 - len(head))
        if len(content) > MOST_BYTES:
            yield Piece(STDIN, problem=f"more than {MOST_BYTES:,} bytes: too many for a picture")
        else:
            yield Piece(STDIN, content=content)
        return
    for path in _lines(head.removeprefix(codecs.BOM_UTF8), stream):
        yield from _named(path)


def _lines(head: bytes, stream: BinaryIO) -> Iterator[str]:
    rest, block = b"", head
    while block:
        *lines, rest = (rest + block).split(b"\n")
        yield from _paths(lines)
        block = stream.read(SNIFFED)
    yield from _paths([rest])


def _paths(lines: Iterable[bytes]) -> Iterator[str]:
    return (os.fsdecode(line.removesuffix(b"\r")) for line in lines if line.strip())


def _state(piece: Piece) -> bytes:
    """What changes if the input does: its size and its time, or its content."""
    if piece.content is not None:
        return hashlib.sha256(piece.content).digest()
    try:
        found = os.stat(piece.name)  # noqa: PTH116 - `Path` takes twice as long
    except (OSError, ValueError):  # a name with a byte 0
        return b"cannot be looked at"
    return b"%d %d" % (found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Listing(Sequence[tuple[Piece, ...]]):
    """The inputs in the file `path`, a line each, and where in it each shard begins.

    A sequence of shards.  `rows` is the number of images, `digest` a SHA-256 over names, sizes and
    times.  Only two numbers a shard are kept in memory.
    """

    path: Path
    rows: int
    digest: str
    shard_rows: int
    starts: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, path: Path) -> Listing:
        """The same list, whose file has moved to `path`."""
        return replace(self, path=path)

    def count(self, number: int) -> int:
        """Images of shard `number`."""
        return min(self.shard_rows, self.rows - number * self.shard_rows)

    def __getitem__(self, number: Any) -> Any:
        """The pieces of shard `number`."""
        offset, skipped = self.starts[number]
        wanted, pieces = self.count(number), []
        with open(self.path, "rb") as file:
            file.seek(offset)
            while wanted:
                piece = Piece.from_json(file.readline()).rows(skipped, wanted)
                wanted, skipped = wanted - len(piece), 0
                pieces.append(piece)
        return tuple(pieces)


def write_listing(pieces: Iterable[Piece], path: Path, shard_rows: int | None = None) -> Listing:
    """Write the list to `path`, and cut it into shards.

    Raises:
        OSError: if it cannot be written.
    """
    digest, rows = hashlib.sha256(), 0
    with open(path, "w", encoding="ascii") as file:
        for piece in pieces:
            line = piece.to_json()
            file.write(line + "\n")
            digest.update(line.encode() + b"\0" + _state(piece) + b"\n")
            rows += len(piece)
    size = shard_rows or min(MOST_ROWS, max(LEAST_ROWS, -(-rows // SHARDS)))
    return Listing(path, rows, digest.hexdigest(), size, tuple(_starts(path, size)))


def _starts(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Of each shard: the offset of its first line, and how many rows of that input come before."""
    offset = first = start = 0
    with open(path, "rb") as file:
        for line in file:
            stop = first + (1 if line[:1] == b'"' else len(Piece.from_json(line)))
            while start < stop:
                yield offset, start - first
                start += size
            first, offset = stop, offset + len(line)
