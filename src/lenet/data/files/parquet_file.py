"""Parquet: a pixel a column, an image a list, or encoded pictures as Hugging Face stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.files.base import (
    SAMPLE,
    Block,
    Pixels,
    Scale,
    find_scale,
    scale_remarks,
    to_images,
    to_labels,
)
from lenet.data.files.columns import LABEL_NAMES, Candidate, Columns, by_names, choose
from lenet.data.pictures.convention import AS_GIVEN, Convention
from lenet.data.pictures.picture import read_picture
from lenet.errors import FormatError, MissingExtraError

IMAGE_NAMES = ("image", "img", "picture", "pixels")

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ParquetImages:
    """An `ImageFile` that is read batch by batch.

    `columns` are those of the pixels, or the single one of the images; `label` is that of the
    labels.  `shape` is what encoded pictures become, and None where images are numbers.  `said` is
    what there is to remark about the columns.
    """

    path: Path
    count: int
    columns: tuple[str, ...]
    label: str | None
    class_names: tuple[str, ...]
    shape: Shape | None = None
    convention: Convention = AS_GIVEN
    described: str = ""
    said: tuple[str, ...] = ()
    doubt: str = ""
    splits: Mapping[str, range] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.count

    @property
    def encoded(self) -> bool:
        """See `ImageFile`."""
        return self.shape is not None

    @property
    def remarks(self) -> tuple[str, ...]:
        """See `ImageFile`."""
        return self.said + scale_remarks(self._scale(), str(self.path))

    def _scale(self) -> Scale | None:
        if self.encoded:
            return None
        with _open(self.path) as file:
            return find_scale(self._rows(next(file.iter_batches(SAMPLE, None, [*self.columns])), 0))

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """See `ImageFile`."""
        stop = self.count if stop is None else min(stop, self.count)
        columns = [*self.columns, *([] if self.label is None else [self.label])]
        scale = self._scale() if start < stop else None
        with _open(self.path) as file:
            groups, first = _groups(file.metadata, start, stop)
            for batch in file.iter_batches(size, groups, columns):
                begin, end = max(start - first, 0), min(stop - first, batch.num_rows)
                if begin < end:
                    yield self._block(batch.slice(begin, end - begin), first + begin, scale)
                first += batch.num_rows
                if first >= stop:
                    return
        if first < stop:
            raise FormatError(f"{self.path}: cut short: it has {first} of {self.count} rows")

    def _block(self, batch: Any, first: int, scale: Scale | None) -> Block:
        place = f"{self.path}, from row {first}"
        labels = None
        if self.label is not None:
            labels = to_labels(_to_numpy(batch.column(self.label), place), batch.num_rows, place)
        if self.shape is not None:
            return Block(self._decode(batch.column(self.columns[0]), first), labels)
        return Block(to_images(self._rows(batch, first), place, scale), labels)

    def _rows(self, batch: Any, first: int) -> NDArray[Any]:
        """The numbers of a batch, an image a row."""
        place = f"{self.path}, from row {first}"
        if len(self.columns) == 1:
            return _unfold(batch.column(self.columns[0]), place)
        columns = [_to_numpy(batch.column(name), place) for name in self.columns]
        return np.stack(columns, axis=1)

    def _decode(self, column: Any, first: int) -> Pixels:
        assert self.shape is not None
        images = np.empty((len(column), *self.shape), np.uint8)
        for index, value in enumerate(column.to_pylist()):
            place = f"{self.path}, row {first + index}"
            images[index] = read_picture(
                _content(value, place), self.shape, self.convention, place
            ).image
        return images


def open_parquet(path: Path, shape: Shape | None, convention: Convention) -> ParquetImages:
    """Find the columns of images and labels.

    Raises:
        FormatError: if it is not Parquet, or no column holds images.
        UsageError: if PyArrow is missing.
    """
    with _open(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        names = schema.names
        label = _first_of(LABEL_NAMES, names)
        image = _first_of(IMAGE_NAMES, names)
        if not count:
            raise FormatError(f"{path}: it holds no images")
        if not image and len(names) - (label is not None) < 2:
            raise FormatError(
                f"{path}: its columns are {', '.join(names)}; none is called image, and they are "
                "not one for each pixel"
            )
        found = Columns(None if label is None else names.index(label))
        if not image:
            found = _by_columns(file, names, path)
        columns = (image,) if image else _pixel_columns(found, names)
        label = None if found.label is None else names[found.label]
        if image and _is_encoded(schema.field(image).type):
            shape = shape or _first_shape(file, image, path)
        else:
            shape = None
    return ParquetImages(
        path,
        count,
        columns,
        label,
        _class_names(schema, label),
        shape,
        convention,
        found.described,
        found.remarks,
        found.doubt,
    )


def _by_columns(file: Any, names: list[str], path: Path) -> Columns:
    """Which columns are pixels and which is the label, by their names, or by what is in them."""
    found = by_names(names, str(path))
    if not found.guess or found.label is None:
        return found
    first, last = Candidate(), Candidate()
    table = file.read(columns=[names[found.label], names[-1]])
    for candidate, name in ((first, names[found.label]), (last, names[-1])):
        for value in table.column(name).to_pylist():
            candidate.see(str(value))
    return choose(found, len(names), first, last, str(path))


def _pixel_columns(found: Columns, names: list[str]) -> tuple[str, ...]:
    left_out = {found.label, *found.others}
    return tuple(name for index, name in enumerate(names) if index not in left_out)


def open_arrow() -> tuple[ModuleType, ModuleType]:
    """`pyarrow` and its Parquet part.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "PyArrow", "parquet") from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The file; what PyArrow raises for a damaged one becomes a `FormatError`."""
    arrow, parquet = open_arrow()
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (arrow.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
        raise FormatError(f"{path}: not Parquet, or damaged: {error}") from error


def _groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that hold rows `start` to `stop`, and the first row of the first of them."""
    ends = np.cumsum([metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)])
    begins = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    groups = np.flatnonzero((ends > start) & (begins < stop))
    return groups.tolist(), int(begins[groups[0]]) if len(groups) else 0


def _first_of(known: tuple[str, ...], names: list[str]) -> str | None:
    lower = {name.lower(): name for name in names}
    return next((lower[name] for name in known if name in lower), None)


def _is_encoded(kind: Any) -> bool:
    types = open_arrow()[0].types
    return bool(types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _first_shape(file: Any, image: str, path: Path) -> Shape:
    batch = next(file.iter_batches(batch_size=1, columns=[image]))
    place = f"{path}, row 0"
    content = _content(batch.column(image).to_pylist()[0], place)
    _, height, width = read_picture(content, (1, 1, 1), AS_GIVEN, place).given.shape
    return (1, height, width)


def _content(value: Any, place: str) -> bytes:
    """The bytes of a picture, alone or in Hugging Face's struct."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise FormatError(f"{place}: holds no bytes of a picture (only a path is not enough)")
    return content


def _to_numpy(column: Any, place: str) -> NDArray[Any]:
    if column.null_count:
        raise FormatError(f"{place}: a value is missing")
    types = open_arrow()[0].types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_string(column.type) or types.is_large_string(column.type):
        return np.array(column.to_pylist(), np.str_)
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _unfold(column: Any, place: str) -> NDArray[Any]:
    """Lists, or lists of lists, all of the same length, as an array (rows, ...)."""
    from pyarrow import compute, types

    shape = [len(column)]
    while types.is_list(column.type) or types.is_large_list(column.type) or (
        types.is_fixed_size_list(column.type)
    ):  # fmt: skip
        lengths = compute.unique(compute.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or lengths[0] is None:
            raise FormatError(f"{place}: its images are lists of different lengths: {lengths}")
        shape.append(lengths[0])
        column = column.flatten()
    return _to_numpy(column, place).reshape(shape)


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """The names that Hugging Face's `ClassLabel` gives to the labels."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(str(name) for name in names)
