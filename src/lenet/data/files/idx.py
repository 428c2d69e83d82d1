"""The IDX format of MNIST: a big-endian header of dimensions, then the numbers.

The format is described on the MNIST home page: two zero bytes, a type code, the number of
dimensions, each dimension as a 32-bit unsigned integer, and the data in C order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from lenet.errors import FormatError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAXIMUM_BYTES = 1 << 31
"""A header that promises more is refused; the largest known set (EMNIST) has 547 MB."""


def open_payload(path: Path) -> IO[bytes]:
    """A file's payload as a stream, decompressed where its first bytes are gzip's.

    Raises:
        FormatError: if the file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        opener: Any = gzip.open if compressed else open
        return cast(IO[bytes], opener(path, "rb"))
    except OSError as error:
        raise FormatError(f"{path}: cannot read this file: {error.strerror}") from error


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, plain or gzip-compressed, in the machine's byte order.

    Raises:
        FormatError: if the header is wrong or the data is shorter or longer than it says; before
            anything is allocated for the data.
    """
    with open_payload(path) as stream:
        try:
            return read_stream(stream, str(path))
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: damaged: {error}") from error


def read_stream(stream: IO[bytes], place: str) -> NDArray[Any]:
    """Read one IDX array from `stream`; see `read_idx`.  `place` names it in messages."""
    kind, shape = read_header(stream, place)
    size = math.prod(shape) * kind.itemsize
    if size > MAXIMUM_BYTES:
        raise FormatError(f"{place}: its header promises {shape}, {size} bytes: too many to be IDX")
    data = _read_up_to(stream, size + 1)
    if len(data) != size:
        found = f"only {len(data)}" if len(data) < size else "more"
        raise FormatError(f"{place}: its header promises {size} bytes of data, but it has {found}")
    return np.frombuffer(data, kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)


def read_header(stream: IO[bytes], place: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The type and the shape of the numbers, which follow in `stream`; see `read_idx`."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise FormatError(f"{place}: not an IDX file: it begins with {magic!r}")
    code, dimensions = magic[2], magic[3]
    if code not in TYPES:
        raise FormatError(f"{place}: type code {code:#04x} is not one of IDX's")
    if not 1 <= dimensions <= 4:
        raise FormatError(f"{place}: {dimensions} dimensions; lenet reads 1 to 4")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise FormatError(f"{place}: its header is cut short")
    return np.dtype(TYPES[code]), struct.unpack(f">{dimensions}I", sizes)


def _read_up_to(stream: IO[bytes], size: int) -> bytearray:
    """At most `size` bytes, in pieces, so that a short file never costs what its header says."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(size - len(data), 1 << 24))):
        data += piece
    return data
