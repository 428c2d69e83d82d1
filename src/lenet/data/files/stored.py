"""An array as NumPy and IDX files store it: a header, then the numbers in C order."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenet.data.files.base import (
    SAMPLE,
    Block,
    Scale,
    Shape,
    find_scale,
    image_shape,
    scale_remarks,
    to_images,
    to_labels,
)
from lenet.errors import FormatError

PIECE = 1 << 24
"""Bytes that are asked for at once, so that a short file never costs what its header says."""

MOST_LABEL_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Where the numbers are: `open` gives a stream that stands at the first of them."""

    place: str
    open: Callable[[], IO[bytes]]
    dtype: np.dtype[Any]
    shape: Shape

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def blocks(self, size: int, start: int, stop: int) -> Iterator[NDArray[Any]]:
        """Rows `start` to `stop`, at most `size` at a time, in the machine's byte order.

        Raises:
            FormatError: if the file is damaged or ends before.
        """
        try:
            with self.open() as stream:
                _skip(stream, start * self.row_bytes, self.place)
                for first in range(start, stop, size):
                    count = min(size, stop - first)
                    data = read_exactly(stream, count * self.row_bytes, self.place)
                    rows = np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
                    yield rows.astype(self.dtype.newbyteorder("="), copy=False)
                if stop == self.shape[0] and stream.read(1):
                    raise FormatError(f"{self.place}: it is longer than its header says")
        except (OSError, EOFError, zlib.error, BadZipFile, RuntimeError) as error:
            raise FormatError(f"{self.place}: damaged: {error}") from error

    def whole(self) -> NDArray[Any]:
        """All of it.

        Raises:
            FormatError: as `blocks`, or if it is too large for labels.
        """
        count = self.shape[0]
        if count * self.row_bytes > MOST_LABEL_BYTES:
            raise FormatError(f"{self.place}: {self.shape} labels are too many")
        none = np.empty((0, *self.shape[1:]), self.dtype)
        return np.concatenate([none, *self.blocks(max(count, 1), 0, count)])


@dataclass(frozen=True, slots=True)
class Part:
    """Images with their labels, if there are any."""

    images: StoredArray
    labels: StoredArray | None


@dataclass(frozen=True, slots=True)
class StoredImages:
    """An `ImageFile` of one or several parts that follow each other.

    `names` are the splits of the parts, `said` what the reader has to remark.

    Raises:
        FormatError: if a part holds no images, or the parts do not fit each other.
    """

    path: Path
    parts: tuple[Part, ...]
    names: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    class_names: tuple[str, ...] = field(default=(), init=False)
    encoded: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        shapes = [image_shape(part.images.shape[1:], part.images.place) for part in self.parts]
        if len(set(shapes)) > 1:
            raise FormatError(f"{self.path}: its parts do not fit each other: {shapes}")
        bare = [part.images.place for part in self.parts if part.labels is None]
        if bare and len(bare) < len(self.parts):
            raise FormatError(f"{bare[0]}: it has no labels, and other parts have them; add them")
        for part in self.parts:
            count = part.images.shape[0]
            if part.labels is not None and part.labels.shape not in ((count,), (count, 1)):
                raise FormatError(
                    f"{part.labels.place}: labels of shape {part.labels.shape} for {count} images"
                )
        if not len(self):
            raise FormatError(f"{self.path}: it holds no images")

    def __len__(self) -> int:
        return sum(part.images.shape[0] for part in self.parts)

    @property
    def splits(self) -> Mapping[str, range]:
        """See `ImageFile`."""
        found, first = {}, 0
        for name, part in zip(self.names, self.parts, strict=False):
            found[name] = range(first, first + part.images.shape[0])
            first += part.images.shape[0]
        return found

    @property
    def remarks(self) -> tuple[str, ...]:
        """See `ImageFile`."""
        return self.said + scale_remarks(self._scale(), str(self.path))

    @property
    def described(self) -> str:
        """Nothing: there are no columns."""
        return ""

    @property
    def doubt(self) -> str:
        """None: labels lie apart from the pixels."""
        return ""

    def _scale(self) -> Scale | None:
        first = self.parts[0].images
        return find_scale(next(first.blocks(SAMPLE, 0, min(SAMPLE, first.shape[0]))))

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """See `ImageFile`."""
        stop, first = len(self) if stop is None else min(stop, len(self)), 0
        scale = self._scale() if start < stop else None
        for part in self.parts:
            count = part.images.shape[0]
            begin, end = max(start - first, 0), min(stop - first, count)
            if begin < end:
                yield from _part_blocks(part, size, begin, end, scale)
            first += count


def _part_blocks(
    part: Part, size: int, start: int, stop: int, scale: Scale | None
) -> Iterator[Block]:
    labels = None
    if part.labels is not None:
        labels = to_labels(part.labels.whole(), part.images.shape[0], part.labels.place)
    for rows in part.images.blocks(size, start, stop):
        images = to_images(rows, part.images.place, scale)
        yield Block(images, None if labels is None else labels[start : start + len(images)])
        start += len(images)


def _skip(stream: IO[bytes], count: int, place: str) -> None:
    while count:
        piece = len(read_exactly(stream, min(count, PIECE), place))
        count -= piece


def read_exactly(stream: IO[bytes], count: int, place: str) -> bytearray:
    """`count` bytes of `stream`, in pieces; raises `FormatError` if there are fewer."""
    data = bytearray()
    while len(data) < count:
        piece = stream.read(min(count - len(data), PIECE))
        if not piece:
            raise FormatError(f"{place}: cut short: it ends before its header says")
        data += piece
    return data
