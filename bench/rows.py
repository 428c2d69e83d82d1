"""`python -m bench.rows RUN`: rows of real digits in windows and boxes, read by `--each`.

Meters, counters and forms have a digit in each of several windows side by side.  Every kind is
drawn here by a rule of a few lines around test digits of MNIST, and photographed in light that is
even or not, and straight or not; a row counts if all of its digits are answered, in order, and
nothing else is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lenet
from lenet.data import Split, load
from lenet.errors import FormatError
from lenet.system import rng

DIGITS, SIDE, MARGIN, NOISE = 5, 160, 24, 5.0
"""In a row; pixels of a window, and around a digit in it; levels of noise, either way at most."""

GAP = 3
"""White pixels around each row that is drawn."""

Picture = NDArray[np.float64]
Rule = Callable[[Picture], Picture]
"""From the ink of a row (0 to 1) to the row's greys (0 to 255)."""


def on(ink: Picture, ground: Picture | float, level: float) -> Picture:
    return ground * (1 - ink) + level * ink


def windows(bars: float, inside: float, width: int) -> Picture:
    """`DIGITS` windows of one grey, with bars of `width` pixels on all sides of each."""
    ground = np.full((SIDE, SIDE * DIGITS), bars)
    for left in range(0, SIDE * DIGITS, SIDE):
        ground[width : SIDE - width, left + width : left + SIDE - width] = inside
    return ground


def pen_boxes() -> Picture:
    ground = windows(60, 235, 8)
    for left in range(0, SIDE * DIGITS + 1, SIDE):
        ground[:, max(0, left - 4) : left + 4] = 235
    ground[:4], ground[-4:] = 235, 235
    return ground


KINDS: dict[str, Rule] = {
    "a dark strip": lambda ink: on(ink, 25, 230),
    "a dark strip on a light wall": lambda ink: np.pad(on(ink, 25, 230), 40, constant_values=210),
    "dark windows in a light frame": lambda ink: on(ink, windows(210, 25, 8), 230),
    "the same on a light wall": lambda ink: np.pad(
        on(ink, windows(210, 25, 8), 230), 60, constant_values=210
    ),
    "thin light lines between dark windows": lambda ink: on(ink, windows(210, 25, 2), 230),
    "light windows in a dark frame": lambda ink: on(ink, windows(60, 220, 8), 40),
    "boxes drawn with a pen": lambda ink: np.pad(
        on(ink, pen_boxes(), 40), 60, constant_values=235
    ),
}  # fmt: skip


def in_shade(greys: Picture) -> Picture:
    """The left half in the shadow of something with an edge."""
    lit = np.arange(greys.shape[1]) >= greys.shape[1] // 2
    return greys * np.where(lit, 1.0, 0.5)


def in_falling_light(greys: Picture) -> Picture:
    return greys * np.linspace(0.35, 1.0, greys.shape[1])


def turned(greys: Picture) -> Picture:
    """By two degrees, in front of more of what is at its border."""
    wide = Image.fromarray(np.pad(greys, 30, "edge").astype(np.float32))
    return np.asarray(wide.rotate(2, Image.Resampling.BICUBIC), np.float64)[15:-15, 15:-15]


PHOTOS: dict[str, Callable[[Picture], Picture]] = {
    "straight, even light": lambda greys: greys,
    "half in a shadow": in_shade,
    "light that falls to a third": in_falling_light,
    "turned by 2 degrees": turned,
}


def row_of(images: NDArray[np.uint8]) -> Picture:
    """The ink of digits side by side, (rows, columns) from 0 to 1."""
    ink = np.zeros((SIDE, SIDE * len(images)))
    size = SIDE - 2 * MARGIN
    for number, image in enumerate(images):
        large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
        left = SIDE * number + MARGIN
        ink[MARGIN : MARGIN + size, left : left + size] = np.asarray(large) / 255.0
    return ink


def picture_of(
    kind: str, images: NDArray[np.uint8], seed: int, photo: str = "straight, even light"
) -> NDArray[np.uint8]:
    """A row of that kind, uint8 (rows, columns)."""
    greys = PHOTOS[photo](KINDS[kind](row_of(images)))
    noise = rng.uniform(greys.shape, NOISE, seed, "noise of a row")
    return np.clip(greys + noise, 0, 255).astype(np.uint8)


def draw(test: Split, path: Path) -> None:
    """One row of each kind, below each other, in the order of `KINDS`; `PHOTOS` side by side."""
    chosen = rng.permutation(len(test), 0, "row")[:DIGITS]
    size = (SIDE * DIGITS // 3, SIDE // 3)

    def small(kind: str, photo: str) -> NDArray[np.uint8]:
        picture = Image.fromarray(picture_of(kind, test.images[chosen, 0], 0, photo))
        return np.pad(np.asarray(picture.resize(size)), GAP, constant_values=255)

    lines = [np.concatenate([small(kind, photo) for photo in PHOTOS], axis=1) for kind in KINDS]
    Image.fromarray(np.concatenate(lines)).save(path)


def count_whole(model: lenet.Model, test: Split, kind: str, photo: str, rows: int) -> int:
    """Of so many rows, each of other digits."""
    whole = 0
    for seed in range(rows):
        chosen = rng.permutation(len(test), seed, "row")[:DIGITS]
        wanted = [str(label) for label in test.labels[chosen]]
        picture = picture_of(kind, test.images[chosen, 0], seed, photo)
        with suppress(FormatError):  # nothing stands out: not read
            whole += [answer.class_name for answer in model.predict_each(picture)] == wanted
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rows", description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--picture", type=Path, help="draw a row of each kind there")
    flags = parser.parse_args()
    model, test = lenet.load(flags.run), load("mnist").test
    if flags.picture is not None:
        draw(test, flags.picture)
    print(
        f"| rows of {flags.rows} read whole | {' | '.join(PHOTOS)} |\n|{'---|' * (1 + len(PHOTOS))}"
    )
    for kind in KINDS:
        whole = [count_whole(model, test, kind, photo, flags.rows) for photo in PHOTOS]
        print(f"| {kind} | {' | '.join(map(str, whole))} |", flush=True)


if __name__ == "__main__":
    main()
