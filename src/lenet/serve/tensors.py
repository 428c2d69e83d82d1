"""Tensors of the Open Inference Protocol: its data types, in JSON and as bytes.

https://github.com/kserve/open-inference-protocol and its extension "binary_tensor_data".
"""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.files import Scale, to_pixels
from lenet.errors import FormatError
from lenet.serve.answers import Refusal

Pixels = NDArray[np.uint8]

DATATYPES = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Those in which images may come; BYTES is no image."""

LARGEST_WHOLE = 1 << 53
"""Below which a floating number holds every whole one."""


def check_shape(shape: Any, image: tuple[int, ...], most: int, name: str) -> int:
    """The number of images that `shape` means.

    Raises:
        Refusal: 400 if it is no shape, 413 of too many images, 422 if it does not fit.
    """
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise Refusal(400, f"{name}: its shape is a list of whole numbers")
    if len(shape) != 1 + len(image) or tuple(shape[1:]) != image or shape[0] < 1:
        wanted = ", ".join(map(str, image))
        raise Refusal(422, f"{name}: its shape is [n, {wanted}], and not {str(shape)[:60]}")
    count: int = shape[0]
    if count > most:
        raise Refusal(413, f"{name}: {count:,} images are too many; send at most {most:,}")
    return count


def from_bytes(content: memoryview, datatype: str, shape: tuple[int, ...], name: str) -> Pixels:
    """Binary tensor data as pixels.

    Raises:
        Refusal: 400 if its size is another one, 422 if it holds no pixels.
    """
    kind = DATATYPES[datatype]
    expected = math.prod(shape) * kind.itemsize
    if len(content) != expected:
        raise Refusal(
            400,
            f"{name}: {datatype} of shape {list(shape)} takes {expected:,} bytes, "
            f"and there are {len(content):,}",
        )
    values: NDArray[Any] = np.frombuffer(content, kind).reshape(shape)
    return values if datatype == "UINT8" else _pixels(values, name)


def from_json(data: Any, datatype: str, shape: tuple[int, ...], name: str) -> Pixels:
    """Tensor data of JSON, flat or nested, as pixels.

    Raises:
        Refusal: 400 if there are others or more numbers than the shape says, 422 if these are none
            of the data type, or no pixels.
    """
    if not isinstance(data, list):
        raise Refusal(400, f"{name}: its data is a list")
    kinds = set(map(type, data))
    if datatype == "UINT8" and kinds == {int} and len(data) == math.prod(shape):
        with suppress(ValueError):  # below, it is said what is wrong
            # In a tenth of the time that NumPy takes to look at each number.
            return np.frombuffer(bytes(data), np.uint8).reshape(shape)
    if bool in kinds and len(kinds) > 1:
        raise Refusal(422, f"{name}: its data is not {datatype}")
    try:
        values = np.array(data)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Refusal(400, f"{name}: its data is no tensor: {error}") from error
    if not _is_of(values, DATATYPES[datatype]):
        raise Refusal(422, f"{name}: its data is not {datatype}")
    if values.size != math.prod(shape) or (values.ndim > 1 and values.shape != shape):
        raise Refusal(
            400, f"{name}: its data is of shape {list(values.shape)}, and not of {list(shape)}"
        )
    if DATATYPES[datatype].kind == "f":
        values = values.astype(np.float64)
    elif values.dtype.kind == "f":
        values = values.astype(np.int64)
    return _pixels(values.reshape(shape), name)


def _is_of(values: NDArray[Any], wanted: np.dtype[Any]) -> bool:
    """Whether numbers of JSON can be of a data type; 82.0 is a whole number there."""
    if wanted.kind == "b" or values.dtype.kind not in "iuf":
        return bool(wanted.kind == values.dtype.kind == "b")
    if wanted.kind == "f" or values.dtype.kind != "f":
        return True
    return bool((np.abs(values) < LARGEST_WHOLE).all() and (values == np.floor(values)).all())


def _pixels(values: NDArray[Any], name: str) -> Pixels:
    """Whole numbers are levels from 0 to 255, floating ones fractions from 0 to 1.

    It is their type that says so, and never a look at them.
    """
    scale = Scale.FRACTIONS if values.dtype.kind == "f" else Scale.LEVELS
    try:
        return to_pixels(values, name, scale)
    except FormatError as error:
        raise Refusal(422, str(error)) from error


def texts_to_bytes(texts: list[str]) -> bytes:
    """BYTES: each element is its length, four bytes, and then itself."""
    encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
