"""Small pictures as PNG data URIs: they need no file beside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

GAP = 1
"""Pixels between two maps of a sheet."""

BLUE = np.array([33.0, 102.0, 172.0])
WHITE = np.array([247.0, 247.0, 247.0])
RED = np.array([178.0, 24.0, 43.0])
"""The ends and the middle of a diverging scale that people with any colour vision can read."""


def image_uri(image: NDArray[np.uint8], *, light_ink: bool) -> str:
    """An image (channels, height, width); light ink dark on light, as on paper."""
    if len(image) >= 3:
        return _png(np.moveaxis(image[:3], 0, -1))
    return _png(255 - image[0] if light_ink else image[0])


def maps_uri(maps: NDArray[np.float32], columns: int) -> str:
    """Maps (n, height, width) side by side in greys with one scale: the largest is black."""
    low, high = float(maps.min()), float(maps.max())
    share = (maps - low) / (high - low if high > low else 1.0)
    return _png(_sheet(((1.0 - share) * 255).astype(np.uint8)[..., None], columns))


def signed_uri(maps: NDArray[np.float32], columns: int) -> str:
    """Maps (n, height, width) side by side: blue below zero, white at zero, red above."""
    largest = float(np.abs(maps).max()) or 1.0
    share = (maps / largest)[..., None]
    colour = WHITE + np.where(share > 0, share * (RED - WHITE), -share * (BLUE - WHITE))
    return _png(_sheet(colour.astype(np.uint8), columns))


def _sheet(cells: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Cells (n, height, width, colours) as one picture on transparent ground."""
    count, height, width, colours = cells.shape
    rows = -(-count // columns)
    alpha = np.full((count, height, width, 1), 255, np.uint8)
    shown = np.concatenate([*[cells] * (3 if colours == 1 else 1), alpha], axis=3)
    padded = np.zeros((rows * columns, height + GAP, width + GAP, 4), np.uint8)
    padded[:count, :height, :width] = shown
    grid = padded.reshape(rows, columns, height + GAP, width + GAP, 4)
    sheet = grid.transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * (height + GAP), columns * (width + GAP), 4)


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
