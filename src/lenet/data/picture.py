"""A picture from a file, as a network reads it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.errors import FormatError

MOST_PIXELS = 50_000_000
"""More are refused before they are decoded: a small file can hold a huge picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as given, and as the network gets it.

    `given` is uint8 (channels, height, width) of any size; `image` is uint8 in the network's shape.
    `inverted` is True where dark ink on light ground was turned around, as in MNIST.
    """

    given: NDArray[np.uint8]
    image: NDArray[np.uint8]
    inverted: bool


def read_picture(path: Path, channels: int, height: int, width: int) -> Picture:
    """Read, turn upright, make grey if one channel is wanted, fit, and put light ink on dark.

    Raises:
        FormatError: if there is no picture that can be read, or it is too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if opened.width * opened.height > MOST_PIXELS:
                    raise FormatError(
                        f"{path}: {opened.width}x{opened.height} pixels are too many; "
                        f"make it smaller than {MOST_PIXELS:,}"
                    )
                upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except UnidentifiedImageError as error:
        raise FormatError(f"{path}: not a picture in a format that is known") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{path}: this picture cannot be read: {error}") from error
    ground = Image.new("RGBA", upright.size, "white")
    flat = Image.alpha_composite(ground, upright).convert("L" if channels == 1 else "RGB")
    given = _to_array(flat)
    inverted = channels == 1 and _is_light(given[0])
    turned = ImageOps.invert(flat) if inverted else flat
    fitted = ImageOps.pad(turned, (width, height), Image.Resampling.LANCZOS, color=_ground(turned))
    return Picture(given, _to_array(fitted), inverted)


def _to_array(picture: object) -> NDArray[np.uint8]:
    pixels = np.asarray(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def _edge(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _is_light(grey: NDArray[np.uint8]) -> bool:
    """Whether the ground, taken from the picture's edge, is lighter than half."""
    return float(np.median(_edge(grey))) > 127.5


def _ground(picture: object) -> int | tuple[int, ...]:
    """The colour to fill up with where the picture is not as wide as it is high."""
    colours = [int(np.median(_edge(channel))) for channel in _to_array(picture)]
    return colours[0] if len(colours) == 1 else tuple(colours)
