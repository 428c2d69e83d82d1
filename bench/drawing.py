"""What the kinds of pictures are drawn with: sheets, ink, strokes, light, grain, tilting.

A picture under way is float32 (height, width, 3) from 0 to 255; a cover is float32
(height, width) from 0, where nothing is drawn, to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = NDArray[np.float32]
Colour = tuple[int, int, int]
Point = tuple[float, float]

PAPER: Colour = (245, 244, 240)
INK: Colour = (35, 35, 40)
WOOD: Colour = (96, 64, 40)
SIDE = 480
"""Pixels of a side of most pictures."""

DIGIT = 280
"""Pixels of the 28 of a digit's side in most pictures; its ink is 200 high."""


def sheet(colour: Colour = PAPER, height: int = SIDE, width: int = SIDE) -> Pixels:
    return np.full((height, width, 3), colour, np.float32)


def coverage(digit: NDArray[np.uint8], side: int = DIGIT) -> Pixels:
    """The cover, (side, side), of a digit that is enlarged to a pen's even stroke."""
    enlarged = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip((np.asarray(enlarged, np.float32) / 255 - 0.35) / 0.3, 0, 1)


def trimmed(cover: Pixels) -> Pixels:
    """`cover` cut to what is drawn in it, or as it is where nothing is."""
    rows, columns = np.nonzero(cover > 0.5)
    if not rows.size:
        return cover
    return cover[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def put(patch: Pixels, height: int, width: int, x: float, y: float) -> Pixels:
    """`patch` in an empty cover, its middle at column x and row y, cut at the edges."""
    cover = np.zeros((height, width), np.float32)
    top, left = int(y - patch.shape[0] / 2), int(x - patch.shape[1] / 2)
    rows = slice(max(top, 0), min(top + patch.shape[0], height))
    columns = slice(max(left, 0), min(left + patch.shape[1], width))
    cover[rows, columns] = patch[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return cover


def paint(ground: Pixels, cover: Pixels, colour: Colour = INK) -> Pixels:
    return ground + (np.array(colour, np.float32) - ground) * cover[..., None]


def near_middle(
    patch: Pixels, rng: np.random.Generator, height: int = SIDE, width: int = SIDE, spread: int = 30
) -> Pixels:
    """The cover of `patch` up to `spread` pixels from the middle, each way."""
    x, y = rng.integers(-spread, spread + 1, 2)
    return put(patch, height, width, width / 2 + x, height / 2 + y)


def write(
    ground: Pixels,
    digit: NDArray[np.uint8],
    rng: np.random.Generator,
    colour: Colour = INK,
    side: int = DIGIT,
    spread: int = 30,
) -> Pixels:
    """`ground` with the digit on it, near the middle."""
    cover = near_middle(coverage(digit, side), rng, *ground.shape[:2], spread)
    return paint(ground, cover, colour)


def noise(image: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Grey noise, alike in all three colours."""
    return image + deviation * rng.standard_normal((*image.shape[:2], 1), np.float32)


def fibre(
    rng: np.random.Generator, height: int, width: int, deviation: float, scale: int = 8
) -> Pixels:
    """A smooth random field (height, width, 1) whose lumps are about `scale` pixels wide."""
    lumps = rng.standard_normal((height // scale + 2, width // scale + 2), np.float32)
    field = Image.fromarray(lumps).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(field)[..., None] * deviation


def grid(height: int = SIDE, width: int = SIDE) -> tuple[Pixels, Pixels]:
    """Of each pixel its row and its column, from 0 to 1."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return rows / height, columns / width


def blur(image: Pixels, radius: float) -> Pixels:
    """A Gaussian blur of a picture or a cover."""
    is_cover = image.ndim == 2
    source = as_picture(image * 255 if is_cover else image)
    blurred = np.asarray(source.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    return blurred / 255 if is_cover else blurred


def stroke(points: Sequence[Point], thickness: float, height: int, width: int) -> Pixels:
    """The cover of a line with round joints and ends through `points` (column, row)."""
    canvas = Image.new("L", (2 * width, 2 * height))
    pen, doubled = ImageDraw.Draw(canvas), [(2 * x, 2 * y) for x, y in points]
    pen.line(doubled, 255, max(1, round(2 * thickness)))
    if thickness > 1:
        for x, y in doubled:
            pen.ellipse((x - thickness, y - thickness, x + thickness, y + thickness), 255)
    smaller = canvas.resize((width, height), Image.Resampling.BOX)
    return np.asarray(smaller, np.float32) / 255


def by_hand(corners: Sequence[Point], rng: np.random.Generator, wobble: float = 1) -> list[Point]:
    """The way from corner to corner as a hand draws it: not quite straight."""
    points: list[Point] = []
    for start, stop in pairwise(corners):
        steps = np.linspace(0, 1, 12)[:, None]
        line = np.array(start) + steps * (np.array(stop) - np.array(start))
        points += [(x, y) for x, y in line + rng.normal(0, wobble, line.shape)]
    return points


def round_points(x: float, y: float, radius_x: float, radius_y: float) -> NDArray[np.float64]:
    """Points (n, 2) on an ellipse that closes a little beyond its beginning."""
    angles = np.linspace(0, 2.1 * np.pi, 80)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


def text(words: str, size: int, x: float, y: float, height: int, width: int) -> Pixels:
    """The cover of printed words with their middle at column x and row y."""
    canvas = Image.new("L", (width, height))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text((x, y), words, 255, font, anchor="mm")
    return np.asarray(canvas, np.float32) / 255


def line_rows(first: int, step: int, height: int, thickness: int = 2) -> NDArray[np.bool_]:
    """Which of `height` rows (or columns) lie on a line of ruled paper."""
    return (np.arange(height) - first) % step < thickness


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The skeleton, one pixel wide (Zhang and Suen 1984)."""
    mask = np.pad(mask, 1)
    while True:
        before = mask.sum()
        for turn in (0, 1):
            # From the pixel above clockwise.
            around = [
                np.roll(mask, step, (0, 1))
                for step in ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            ]
            north, east, south, west = around[0], around[2], around[4], around[6]
            neighbours = sum(each.astype(np.int8) for each in around)
            rises = sum(
                (~each & after).astype(np.int8)
                for each, after in zip(around, [*around[1:], around[0]], strict=True)
            )
            if turn == 0:
                edge = ~(north & east & south) & ~(east & south & west)
            else:
                edge = ~(north & east & west) & ~(north & south & west)
            mask = mask & ~((neighbours >= 2) & (neighbours <= 6) & (rises == 1) & edge)
        if mask.sum() == before:
            return mask[1:-1, 1:-1]


def thickened(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Every pixel within `radius` of `mask`."""
    padded, (height, width) = np.pad(mask, radius), mask.shape
    found = np.zeros_like(mask)
    for row in range(2 * radius + 1):
        for column in range(2 * radius + 1):
            if (row - radius) ** 2 + (column - radius) ** 2 <= radius**2:
                found |= padded[row : row + height, column : column + width]
    return found


def laid_on(page: Pixels, ground: Pixels, corners: Sequence[Point]) -> Pixels:
    """`page` seen with its corners (from upper left, clockwise) at these (column, row)."""
    height, width = page.shape[:2]
    sources = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, sources, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    numbers = np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()
    size, how = (ground.shape[1], ground.shape[0]), Image.Transform.PERSPECTIVE
    smooth = Image.Resampling.BILINEAR
    seen = as_picture(page).transform(size, how, numbers, smooth)
    whole = Image.new("L", (width, height), 255).transform(size, how, numbers, smooth)
    cover = np.asarray(whole, np.float32)[..., None] / 255
    return ground * (1 - cover) + np.asarray(seen, np.float32) * cover


def turned(corners: Sequence[Point], degrees: float) -> list[Point]:
    """`corners` turned around their middle."""
    points, angle = np.array(corners, float), np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(x, y) for x, y in (points - points.mean(0)) @ turn + points.mean(0)]


def as_picture(image: Pixels) -> Image.Image:
    """Rounded to 8 bits; in greys where it has two axes."""
    return Image.fromarray(np.clip(image + 0.5, 0, 255).astype(np.uint8))
