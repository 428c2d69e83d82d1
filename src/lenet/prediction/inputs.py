"""What a caller has at hand, told apart: images for the network, or pictures to prepare."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data.files import Scale, digits, find_scale, to_pixels
from lenet.data.pictures.arrays import BITS, FAINT, FEWEST_TOLD, TRANSPOSED, look_transposed
from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import Picture as PreparedPicture
from lenet.data.pictures.picture import read_every, read_picture, to_pillow
from lenet.errors import FormatError, InputError
from lenet.prediction.network import Prepared
from lenet.prediction.reading import prepare_image, prepare_picture, read_regular

Shape = tuple[int, ...]
Pixels = NDArray[np.uint8]

Picture = Any
"""A path, the bytes of a file, an array, or a picture of Pillow's."""

COLOURS = (3, 4)
"""Channels of a colour picture, without and with transparency."""


def to_images(images: Any, shape: Shape) -> Pixels:
    """`images` as uint8 (n, channels, height, width), for a network of that input `shape`.

    Takes (n, channels, height, width), (n, height, width) for one channel, (height, width), or,
    with several channels, (channels, height, width) for one image; channels may be last.  Numbers
    are uint8, whole numbers from 0 to 255, fractions from 0 to 1 (rounded to 256 levels), or bools.
    They are taken as they are; of images whose lightest pixel is faint a warning says so.

    Raises:
        InputError: on any other shape, range or type.
    """
    array = _as_array(images)
    placed = _in_place(array, shape)
    if placed is None:
        channels, height, width = shape
        wanted = f"(n, {channels}, {height}, {width})"
        wanted += f", (n, {height}, {width}) or ({height}, {width})" if channels == 1 else ""
        raise InputError(
            f"an array of shape {array.shape}: this network takes {wanted}; pictures of other "
            "sizes go through predict"
        )
    scale = find_scale(array)
    pixels = _to_pixels(placed, None if scale is Scale.BITS else scale)
    if pixels.size and 0 < (lightest := int(pixels.max())) <= FAINT:
        warnings.warn(
            f"the lightest pixel of these images is {lightest} of 255; if that is as light as they "
            "get, scale the pixels to 0 to 255 first",
            stacklevel=3,
        )
    return pixels


def _in_place(array: NDArray[Any], shape: Shape) -> NDArray[Any] | None:
    """The array as (n, channels, height, width), or None where it does not fit."""
    given, last = array.shape, (*shape[1:], shape[0])
    if given[1:] == shape:
        return array
    if given == shape[1:] and shape[0] == 1:
        return array[None, None]
    if given[1:] == shape[1:] and len(given) == 3 and shape[0] == 1:
        return array[:, None]
    if given[1:] == last:
        return np.moveaxis(array, -1, 1)
    if shape[0] > 1 and given == shape:
        return array[None]
    if given == last:
        return np.moveaxis(array, -1, 0)[None]
    return None


def _to_pixels(array: NDArray[Any], scale: Scale | None) -> Pixels:
    try:
        return to_pixels(array, "an array", scale)
    except FormatError as error:
        if array.dtype.kind not in "iuf":
            raise InputError(
                f"an array of {array.dtype}: pixels are numbers; give uint8 or float"
            ) from error
        if not np.isfinite(array).all():
            raise InputError(
                "a pixel is not a finite number: give every pixel a value (numpy.nan_to_num)"
            ) from error
        raise InputError(
            f"pixels from {digits(array.min())} to {digits(array.max())}: give whole "
            "numbers from 0 to 255 (uint8), or fractions from 0 to 1"
        ) from error


def is_several(given: Any, shape: Shape) -> bool:
    """Whether `given` is several pictures: then the answer is a list.

    An array of three dimensions is one picture if its channels are last, or if it is in the shape
    of a network with several channels; otherwise it is that many pictures: `images[:3]` never
    turns into a colour.
    """
    if isinstance(given, str | Path | bytes) or is_pillow(given):
        return False
    if not _is_array(given):
        return True
    found = np.shape(given)
    if len(found) != 3:
        return len(found) > 3
    return found[-1] not in COLOURS and not (shape[0] > 1 and found == shape)


def each_picture(given: Any) -> Iterable[Any]:
    """The pictures of a list, a generator, or an array of several.

    Raises:
        InputError: if it is none of them.
    """
    if _is_array(given):
        return list(_as_array(given))
    if isinstance(given, bytearray | memoryview) or hasattr(given, "read"):
        raise InputError(
            f"a {type(given).__name__} is not several pictures: give one picture's path or bytes, "
            "as bytes(...) and file.read() are"
        )
    if not isinstance(given, Iterable):
        raise InputError(
            f"a {type(given).__name__} is no picture: give a path, bytes, an array, a picture of "
            "Pillow's, or several of them"
        )
    return given


def prepare_any(given: Any, shape: Shape, convention: Convention, name: str) -> Prepared:
    """One picture of any kind as a network of input `shape` gets it.

    An array in the network's shape is data: as it is, but for pixels of 0 and 1 and a light ground
    (see `settle_one`); notes say so.  All else is made as `convention` says.

    Raises:
        FormatError: if it is a picture that cannot be read.
        InputError: if it is no picture.
    """
    if isinstance(given, str | Path):
        return prepare_picture(read_regular(Path(given), str(given)), shape, convention, str(given))
    if isinstance(given, bytes):
        return prepare_picture(given, shape, convention, name)
    if is_pillow(given):
        picture = read_picture(given, shape, convention, name)
        return Prepared(name, picture.image, picture.notes)
    array = _to_array(given, name)
    scale = find_scale(array)
    notes = (BITS,) if scale is Scale.BITS else ()
    if array.ndim < 4 and (placed := _in_place(array, shape)) is not None and len(placed) == 1:
        image = _to_pixels(placed, scale)[0]
    else:
        _refuse_rows(array, shape, name)
        image = _one_image(array, name, scale)
    if len(image) in (2, 4):  # with transparency, which is Pillow's to lay over a ground
        prepared = prepare_any(to_pillow(image), shape, convention, name)
    else:
        prepared = prepare_image(image, shape, convention, name)
    return replace(prepared, notes=notes + prepared.notes) if notes else prepared


def note_order(prepared: list[Prepared], convention: Convention) -> list[Prepared]:
    """With a note on each, if so many images of characters look as if they were transposed."""
    if len(prepared) < FEWEST_TOLD or convention.kind != "ink":
        return prepared
    if not look_transposed(np.stack([each.image for each in prepared])):
        return prepared
    return [replace(each, notes=(*each.notes, TRANSPOSED)) for each in prepared]


def follow_any(given: Any, shape: Shape, convention: Convention, name: str) -> PreparedPicture:
    """The same with its stages, as far as there are any: an image for the network has one."""
    if isinstance(given, str | Path):
        return read_picture(read_regular(Path(given), str(given)), shape, convention, str(given))
    if isinstance(given, bytes) or is_pillow(given):
        return read_picture(given, shape, convention, name)
    prepared = prepare_any(given, shape, convention, name)
    return PreparedPicture(prepared.image, prepared.image, (), False, prepared.notes)


def prepare_each(
    given: Any, shape: Shape, convention: Convention, name: str
) -> list[PreparedPicture]:
    """Every character of one picture of any kind, left to right.

    Raises:
        FormatError: if it is a picture that cannot be read, or there is no ink in it.
        InputError: if it is no picture.
    """
    if isinstance(given, str | Path):
        content = read_regular(Path(given), str(given))
        return read_every(content, shape, convention, str(given))
    if isinstance(given, bytes) or is_pillow(given):
        return read_every(given, shape, convention, name)
    array = _to_array(given, name)
    _refuse_rows(array, shape, name)
    image = _one_image(array, name, find_scale(array))
    return read_every(to_pillow(image), shape, convention, name)


def _refuse_rows(array: NDArray[Any], shape: Shape, name: str) -> None:
    """Images made flat look like one picture that is very wide.

    Raises:
        InputError: if a row of `array` has as many pixels as the network's image.
    """
    if array.ndim == 2 and array.shape[1] == math.prod(shape) != shape[2]:
        raise InputError(
            f"{name} is an array of shape {array.shape}: if its rows are images made flat, reshape "
            f"it to (n, {', '.join(map(str, shape))}); if it is one picture, give it as Pillow's"
        )


def _one_image(array: NDArray[Any], name: str, scale: Scale | None) -> Pixels:
    """An array as uint8 (channels, height, width), with 1 to 4 channels."""
    found = array.shape
    if array.ndim == 2:
        return _to_pixels(array[None], scale)
    if array.ndim == 3 and found[-1] in (1, *COLOURS) and found[0] not in (1, *COLOURS):
        return _to_pixels(np.moveaxis(array, -1, 0), scale)
    if array.ndim == 3 and found[0] in (1, *COLOURS):
        return _to_pixels(array, scale)
    raise InputError(
        f"{name} is an array of shape {found}: a picture is (height, width), (channels, height, "
        "width) or (height, width, channels), with 1, 3 or 4 channels"
    )


def is_pillow(given: Any) -> bool:
    """Whether this is a picture of Pillow's; does not import it."""
    return any(kind.__module__ == "PIL.Image" for kind in type(given).__mro__)


def _to_array(given: Any, name: str) -> NDArray[Any]:
    """Raises `InputError` if it is none."""
    if not _is_array(given):
        raise InputError(
            f"{name} is a {type(given).__name__}: give a path, bytes, an array or a picture of "
            "Pillow's"
        )
    return _as_array(given)


def _as_array(given: Any) -> NDArray[Any]:
    """Raises `InputError` where NumPy makes none of it."""
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # the last two are PyTorch's
        raise InputError(
            f"NumPy makes no array of this {type(given).__name__}: {error}; give an array of uint8 "
            "or float"
        ) from error


def _is_array(given: Any) -> bool:
    return isinstance(given, np.ndarray) or (
        hasattr(given, "__array__") and not is_pillow(given) and not isinstance(given, list | tuple)
    )
