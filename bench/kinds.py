"""Kinds of pictures that people have of a digit, each made from an image of MNIST by a rule.

A kind is a function `(digit, rng)`, or `(digit, rng, other)` where a second digit stands in the
picture, and a row of `KINDS`.  The digit is uint8 (28, 28), light ink on 0; the function returns
the picture as `bench.drawing` has it, or one of Pillow's.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.drawing import (
    INK,
    PAPER,
    SIDE,
    WOOD,
    Colour,
    Pixels,
    as_picture,
    blur,
    by_hand,
    coverage,
    fibre,
    grid,
    laid_on,
    line_rows,
    near_middle,
    noise,
    paint,
    put,
    round_points,
    sheet,
    stroke,
    text,
    thickened,
    thinned,
    trimmed,
    turned,
    write,
)

Digit = NDArray[np.uint8]
Rng = np.random.Generator

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
PEN: Colour = (30, 30, 60)
PNG = 0
"""The quality of a picture that is no JPEG."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is drawn, and the JPEG quality that it is kept with."""

    draw: Callable[..., Pixels | Image.Image]
    quality: int = 85
    with_other: bool = False


# Pens, papers and colours.


def plain(
    digit: Digit, rng: Rng, paper: Colour = PAPER, ink: Colour = INK, deviation: float = 4
) -> Pixels:
    return noise(write(sheet(paper), digit, rng, ink), rng, deviation)


def grain_pencil(digit: Digit, rng: Rng) -> Pixels:
    image = write(sheet((225, 222, 215)), digit, rng, (120, 120, 122))
    return noise(image + fibre(rng, SIDE, SIDE, 7), rng, 10)


def chalk(digit: Digit, rng: Rng) -> Pixels:
    image = write(sheet((38, 68, 52)), digit, rng, (215, 220, 212))
    return noise(image + fibre(rng, SIDE, SIDE, 10), rng, 6)


def thin_pen(digit: Digit, rng: Rng) -> Pixels:
    line = thickened(thinned(coverage(digit) > 0.5), 1)
    return paint(sheet(WHITE), put(line, SIDE, SIDE, SIDE / 2, SIDE / 2), BLACK)


def hair_pen(digit: Digit, rng: Rng) -> Pixels:
    line = thinned(coverage(digit, 560) > 0.5)
    return paint(sheet(WHITE, 800, 800), put(line, 800, 800, 400, 400), BLACK)


def thick_pen(digit: Digit, rng: Rng) -> Pixels:
    line = thickened(coverage(digit) > 0.5, 8)
    return paint(sheet(WHITE), put(line, SIDE, SIDE, SIDE / 2, SIDE / 2), BLACK)


def pressure(digit: Digit, rng: Rng) -> Pixels:
    """A pen that is pressed now more, now less: strokes are faint in part."""
    strength = np.clip(0.65 + fibre(rng, SIDE, SIDE, 0.3, 60)[..., 0], 0.3, 1)
    return noise(paint(sheet(), near_middle(coverage(digit), rng) * strength, PEN), rng, 4)


def broken(digit: Digit, rng: Rng) -> Pixels:
    """Two straight gaps through the strokes, as where the pen was lifted."""
    (rows, columns), angle = grid(), rng.uniform(0, np.pi)
    away = np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5)
    gaps = np.minimum.reduce([np.abs(away - sign * rng.uniform(0.04, 0.15)) for sign in (-1, 1)])
    return noise(paint(sheet(), near_middle(coverage(digit), rng) * (gaps * SIDE > 6)), rng, 4)


def bleed_through(digit: Digit, rng: Rng, other: Digit) -> Pixels:
    """The back of the page shines through, mirrored."""
    back = blur(near_middle(coverage(other)[:, ::-1], rng, spread=90), 2) * 0.16
    return noise(write(paint(sheet(), back), digit, rng), rng, 4)


def stamp(digit: Digit, rng: Rng) -> Pixels:
    """A round rubber stamp beside the digit, in pale red and unevenly pressed."""
    x, y = SIDE / 2 + rng.choice([-150, 150]), SIDE / 2 + rng.choice([-150, 150])
    rings = [
        stroke(round_points(x, y, r, r).tolist(), w, SIDE, SIDE) for r, w in ((80, 3), (62, 1))
    ]
    cover = np.maximum.reduce([*rings, text("RECEIVED", 19, x, y, SIDE, SIDE)])
    uneven = np.clip(0.4 + fibre(rng, SIDE, SIDE, 0.15, 12)[..., 0], 0, 0.7)
    return noise(write(paint(sheet(), cover * uneven, (200, 50, 60)), digit, rng), rng, 4)


# Lines, boxes and frames.


def ruled(digit: Digit, rng: Rng) -> Pixels:
    ground = sheet()
    ground[line_rows(rng.integers(0, 64), 64, SIDE)] = (150, 175, 215)
    return noise(write(ground, digit, rng, PEN), rng, 4)


def squared(digit: Digit, rng: Rng, lines: Colour = (165, 185, 205)) -> Pixels:
    ground, places = sheet(), line_rows(rng.integers(0, 48), 48, SIDE)
    ground[places] = ground[:, places] = lines
    return noise(write(ground, digit, rng, PEN), rng, 4)


def exercise_book(digit: Digit, rng: Rng) -> Pixels:
    """Ruled, with the red line of the margin, through which the digit may be written."""
    ground, margin = sheet((247, 246, 240)), 90 + rng.integers(0, 60)
    ground[line_rows(rng.integers(0, 56), 56, SIDE)] = (160, 180, 220)
    ground[:, margin : margin + 3] = (220, 90, 95)
    return noise(write(ground, digit, rng, (25, 40, 120)), rng, 4)


def dotted_paper(digit: Digit, rng: Rng) -> Pixels:
    ground, first = sheet(), rng.integers(0, 40)
    ground[np.ix_(line_rows(first, 40, SIDE, 4), line_rows(first, 40, SIDE, 4))] = (150, 160, 170)
    return noise(write(ground, digit, rng, PEN), rng, 4)


def framed(digit: Digit, rng: Rng, thickness: int = 2, colour: Colour = BLACK) -> Pixels:
    image = write(sheet(WHITE), digit, rng, BLACK)
    image[:thickness] = image[-thickness:] = colour
    image[:, :thickness] = image[:, -thickness:] = colour
    return image


def form_box(digit: Digit, rng: Rng) -> Pixels:
    image = write(sheet(), digit, rng, spread=0)
    low, high = slice(45, 48), slice(SIDE - 47, SIDE - 44)
    for edge in (low, high):
        image[edge, 45 : SIDE - 44] = image[45 : SIDE - 44, edge] = 60
    return noise(image, rng, 3)


def drawn_box(digit: Digit, rng: Rng) -> Pixels:
    """A box around the digit, by hand and with the same pen."""
    low, high = rng.uniform(55, 85, 4), SIDE - rng.uniform(55, 85, 4)
    corners = [
        (low[0], low[1]), (high[0], low[2]), (high[1], high[2]), (low[3], high[3]),
        (low[0], low[1] - 8),
    ]  # fmt: skip
    box = stroke(by_hand(corners, rng), 4, SIDE, SIDE)
    return noise(paint(write(sheet(), digit, rng, PEN, spread=15), box, PEN), rng, 4)


def circled(digit: Digit, rng: Rng) -> Pixels:
    """A circle around the digit, by hand and with the same pen."""
    x, y = SIDE / 2 + rng.uniform(-8, 8, 2)
    points = round_points(x, y, *rng.uniform(165, 190, 2))
    points += np.cumsum(rng.normal(0, 0.7, points.shape), axis=0)
    circle = stroke([tuple(point) for point in points], 4, SIDE, SIDE)
    return noise(paint(write(sheet(), digit, rng, PEN, spread=8), circle, PEN), rng, 4)


def edge_strip(digit: Digit, rng: Rng) -> Pixels:
    """One row or column of dark pixels at an edge."""
    image = write(sheet(WHITE), digit, rng, BLACK)
    line = [(slice(0, 1), slice(None)), (slice(None), slice(0, 1))][rng.integers(0, 2)]
    return _with_dark(image, *line)


def corner_pixel(digit: Digit, rng: Rng) -> Pixels:
    """One dark pixel in a corner."""
    image = write(sheet(WHITE), digit, rng, BLACK)
    return _with_dark(image, *rng.choice([0, -1], 2))


def _with_dark(image: Pixels, rows: Any, columns: Any) -> Pixels:
    image[rows, columns] = 0
    return image


def scan_border(digit: Digit, rng: Rng) -> Pixels:
    """The black that a scanner sees beyond two edges of the page, with the page a little askew."""
    ground, (x, y) = sheet((22, 22, 24)), rng.uniform(12, 40, 2)
    corners = [(x, y), (SIDE + 60, y + rng.uniform(-8, 8)), (SIDE + 60, SIDE + 60), (x, SIDE + 60)]
    page = write(sheet(), digit, rng, side=250)
    return noise(laid_on(page, ground, corners), rng, 3)


# Light and shadow.


def gradient(digit: Digit, rng: Rng) -> Pixels:
    (rows, columns), angle = grid(), rng.uniform(0, 2 * np.pi)
    away = np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5)
    light = 0.725 + 0.275 * away / 0.71
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 5)


def _shade(rng: Rng, softness: float) -> Pixels:
    """How much (0 to 1) a shadow with an even edge takes from a corner of the picture."""
    rows, columns = grid()
    across = columns if rng.random() < 0.5 else 1 - columns
    down = rows if rng.random() < 0.5 else 1 - rows
    return 1 / (1 + np.exp((rng.uniform(1.15, 1.4) - across - down) / softness))


def shadow(digit: Digit, rng: Rng, softness: float = 0.02, depth: float = 0.42) -> Pixels:
    light = 1 - depth * _shade(rng, softness)
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 4)


def two_shadows(digit: Digit, rng: Rng) -> Pixels:
    light = (1 - 0.35 * _shade(rng, 0.02)) * (1 - 0.35 * _shade(rng, 0.06))
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 4)


def hand_shadow(digit: Digit, rng: Rng) -> Pixels:
    """The soft shadow of a hand with three fingers, from below."""
    x, spread = SIDE * rng.uniform(0.3, 0.7), rng.uniform(45, 70)
    cover = stroke([(x, SIDE), (x, SIDE * 0.85)], 190, SIDE, SIDE)
    for place in (-1, 0, 1):
        tip = (x + 1.6 * place * spread, SIDE * rng.uniform(0.35, 0.55))
        cover = np.maximum(cover, stroke([(x + place * spread, SIDE * 0.85), tip], 48, SIDE, SIDE))
    light = 1 - 0.4 * blur(cover, rng.uniform(8, 16))
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 4)


def lamp(digit: Digit, rng: Rng, breadth: float = 0.16, outside: bool = False) -> Pixels:
    """A bright spot, in the picture or beyond a corner; the darkest has a fifth of its light."""
    (rows, columns), (x, y) = grid(), rng.uniform(0.25, 0.75, 2)
    if outside:
        x, y = rng.choice([-0.1, 1.1], 2)
    away = (columns - x) ** 2 + (rows - y) ** 2
    light = 0.18 + 0.95 * np.exp(-away / breadth)
    warm = np.array((1.0, 0.96, 0.85), np.float32)
    return noise(write(sheet(), digit, rng) * light[..., None] * warm, rng, 4)


def vignette(digit: Digit, rng: Rng) -> Pixels:
    rows, columns = grid()
    light = 1 - 0.65 * np.clip(((columns - 0.5) ** 2 + (rows - 0.5) ** 2) / 0.5, 0, 1) ** 1.3
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 4)


def underexposed(digit: Digit, rng: Rng) -> Pixels:
    return noise(255 * (write(sheet(), digit, rng) / 255) ** 2.2 * 0.25, rng, 3)


def overexposed(digit: Digit, rng: Rng) -> Pixels:
    """So much light that the paper is white all over and the ink is pale."""
    return np.clip(
        noise(blur(write(sheet(), digit, rng, (90, 90, 100)), 3) * 0.9 + 95, rng, 4), 0, 255
    )


def whiteboard(digit: Digit, rng: Rng) -> Pixels:
    """A marker on a board that was wiped badly, with the glare of a lamp on it."""
    ground = sheet((196, 202, 204)) + fibre(rng, SIDE, SIDE, 3, 120)
    for _ in range(3):
        (x, y), angle = rng.uniform(40, SIDE - 40, 2), rng.uniform(0, np.pi)
        wipe = [(x, y), (x + 160 * np.cos(angle), y + 160 * np.sin(angle))]
        ground = paint(ground, blur(stroke(wipe, 30, SIDE, SIDE), 6) * 0.1, (80, 90, 130))
    colours = [(25, 60, 170), (20, 120, 60), (180, 30, 40), (30, 30, 35)]
    image = write(ground, digit, rng, colours[rng.integers(0, 4)])
    (rows, columns), (x, y) = grid(), rng.uniform(0.1, 0.9, 2)
    glare = np.exp(-((columns - x) ** 2 / 0.02 + (rows - y) ** 2 / 0.006))
    return noise(paint(image, 0.75 * glare, WHITE), rng, 3)


# What else is in the picture.


def dirt(digit: Digit, rng: Rng) -> Pixels:
    """About forty dark specks of one to seven pixels across."""
    cover = np.zeros((SIDE, SIDE), np.float32)
    for radius in (0, 1, 3):
        specks = thickened(rng.random((SIDE, SIDE)) < 0.00006, radius)
        cover = np.maximum(cover, specks * np.float32(rng.uniform(0.5, 1)))
    return noise(write(paint(sheet(), blur(cover, 0.6), (70, 55, 40)), digit, rng), rng, 4)


def hairs(digit: Digit, rng: Rng) -> Pixels:
    """Five hairs and fibres, curved and thin, anywhere."""
    image = write(sheet(), digit, rng)
    for _ in range(5):
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(np.cumsum(rng.normal(0, 0.02, 40)))
        steps = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = rng.uniform(0, SIDE, 2) + np.cumsum(steps, axis=0)
        hair = stroke([tuple(point) for point in points], 1, SIDE, SIDE)
        image = paint(image, hair * rng.uniform(0.5, 0.9), (60, 45, 35))
    return noise(image, rng, 4)


def hair_across(digit: Digit, rng: Rng) -> Pixels:
    """One thick hair from edge to edge, over the digit."""
    x, y = SIDE / 2 + rng.uniform(-60, 60, 2)
    angle, along = rng.uniform(0, np.pi), np.linspace(-400, 400, 60)
    bow = rng.choice([-1, 1]) * rng.uniform(20, 60) * np.cos(along / 250)
    points = [
        (x + s * np.cos(angle) - b * np.sin(angle), y + s * np.sin(angle) + b * np.cos(angle))
        for s, b in zip(along, bow, strict=True)
    ]
    hair = stroke(points, 2, SIDE, SIDE)
    return noise(paint(write(sheet(), digit, rng), hair * 0.8, (60, 45, 35)), rng, 4)


def coffee_ring(digit: Digit, rng: Rng) -> Pixels:
    (x, y), radius = rng.uniform(0, SIDE, 2), rng.uniform(110, 150)
    ring = blur(stroke(round_points(x, y, radius, radius).tolist(), 10, SIDE, SIDE), 2)
    uneven = np.clip(0.4 + fibre(rng, SIDE, SIDE, 0.15, 40)[..., 0], 0, 0.7)
    return noise(write(paint(sheet(), ring * uneven, (140, 95, 50)), digit, rng), rng, 4)


CAPTIONS = ("Figure 3", "sample", "No. 17", "written by hand", "Name: ______", "25 May")


def caption(digit: Digit, rng: Rng, x: float = 0.5, y: float = 0.91, size: int = 22) -> Pixels:
    """A few printed words below the digit, or elsewhere."""
    words = CAPTIONS[rng.integers(0, len(CAPTIONS))]
    printed = text(words, size, x * SIDE, y * SIDE, SIDE, SIDE)
    return noise(paint(write(sheet(), digit, rng, spread=20), printed), rng, 4)


def caption_beside(digit: Digit, rng: Rng) -> Pixels:
    words = CAPTIONS[rng.integers(0, len(CAPTIONS))]
    cover = near_middle(coverage(digit), rng, 480, 640)
    printed = text(words, 20, 90, 240 + rng.uniform(-60, 60), 480, 640)
    return noise(paint(paint(sheet(width=640), np.roll(cover, 60, 1)), printed), rng, 4)


def neighbour(digit: Digit, rng: Rng, other: Digit) -> Pixels:
    """Another digit of the same size, of which the edge leaves a quarter to a half."""
    beside = trimmed(coverage(other))
    outside = beside.shape[1] * rng.uniform(0, 0.25)
    x, edge = (295, -outside) if rng.random() < 0.5 else (185, SIDE + outside)
    cover = put(coverage(digit), SIDE, SIDE, x, SIDE / 2 + rng.uniform(-15, 15))
    cover = np.maximum(cover, put(beside, SIDE, SIDE, edge, SIDE / 2 + rng.uniform(-15, 15)))
    return noise(paint(sheet(), cover), rng, 4)


def two_digits(digit: Digit, rng: Rng, other: Digit) -> Pixels:
    """Side by side; the larger one is asked about."""
    places = (190, 460) if rng.random() < 0.5 else (450, 180)
    heights = 240 + rng.uniform(-20, 20, 2)
    cover = put(coverage(digit), 480, 640, places[0], heights[0])
    cover = np.maximum(cover, put(coverage(other, 150), 480, 640, places[1], heights[1]))
    return noise(paint(sheet(width=640), cover), rng, 4)


def finger(digit: Digit, rng: Rng) -> Pixels:
    """A thumb in a corner, out of focus."""
    x, tip = (30, 150) if rng.random() < 0.5 else (610, 490)
    thumb = blur(stroke([(x, 560), ((x + tip) / 2, 420)], 130, 480, 640), 5)
    image = write(sheet(width=640), digit, rng)
    return noise(paint(image, thumb, (205, 150, 125)), rng, 4)


def coloured_paper(digit: Digit, rng: Rng) -> Pixels:
    papers = [(250, 215, 70), (245, 150, 170), (140, 205, 150), (120, 180, 225), (235, 140, 60)]
    return plain(digit, rng, papers[rng.integers(0, len(papers))], PEN)


# The page and how it lies.


def _wood(rng: Rng, height: int, width: int, colour: Colour = WOOD) -> Pixels:
    return noise(sheet(colour, height, width) + fibre(rng, height, width, 9), rng, 5)


def table(digit: Digit, rng: Rng) -> Pixels:
    ground, moves = _wood(rng, 900, 1200), rng.integers(-60, 60, 4)
    left, top, right, bottom = np.array((170, 110, 1030, 790)) + moves
    page = write(
        sheet((238, 236, 230), bottom - top, right - left), digit, rng, side=190, spread=90
    )
    ground[top:bottom, left:right] = page
    return noise(ground, rng, 3)


def tilted_sheet(digit: Digit, rng: Rng) -> Pixels:
    """A sheet on a table, turned by 5 to 10 degrees; the digit is turned with it."""
    ground, page = _wood(rng, 600, 800), write(sheet(height=420, width=560), digit, rng, side=210)
    corners = np.array([(120, 90), (680, 90), (680, 510), (120, 510)]) + rng.uniform(-20, 20, 2)
    angle = rng.uniform(5, 10) * rng.choice([-1, 1])
    return noise(laid_on(page, ground, turned(corners, angle)), rng, 3)


def torn_sheet(digit: Digit, rng: Rng) -> Pixels:
    """A piece of paper with a torn edge, on a table."""
    ground, page = _wood(rng, 600, 800), write(sheet(height=600, width=800), digit, rng)
    edge = by_hand([(150, 70), (650, 90), (630, 520), (170, 540), (150, 70)], rng, 9)
    mask = Image.new("L", (800, 600))
    ImageDraw.Draw(mask).polygon(edge, 255)
    cover = np.asarray(mask, np.float32)[..., None] / 255
    return noise(page * cover + ground * (1 - cover), rng, 3)


def bright_table(digit: Digit, rng: Rng) -> Pixels:
    """A white sheet on a table of light wood."""
    ground, page = (
        _wood(rng, 600, 800, (200, 170, 130)),
        write(sheet(height=430, width=560), digit, rng),
    )
    corners = np.array([(120, 85), (680, 85), (680, 515), (120, 515)]) + rng.uniform(-30, 30, 2)
    return noise(laid_on(page, ground, turned(corners, rng.uniform(-3, 3))), rng, 3)


def perspective(digit: Digit, rng: Rng) -> Pixels:
    """A page on a table, photographed at an angle."""
    ground, page = _wood(rng, 600, 800), write(sheet(height=480, width=600), digit, rng)
    corners = np.array([(210, 100), (610, 110), (740, 520), (70, 500)], float)
    return noise(laid_on(page, ground, corners + rng.uniform(-25, 25, (4, 2))), rng, 3)


def ruled_photo(digit: Digit, rng: Rng) -> Pixels:
    """A ruled page on a table, at an angle, half in shadow: all at once."""
    page = sheet(height=480, width=600)
    page[line_rows(rng.integers(0, 56), 56, 480)] = (160, 180, 220)
    corners = np.array([(190, 100), (620, 90), (720, 520), (80, 510)]) + rng.uniform(
        -25, 25, (4, 2)
    )
    image = laid_on(write(page, digit, rng, PEN), _wood(rng, 600, 800), corners)
    rows, columns = grid(600, 800)
    edge = columns + rng.uniform(-0.5, 0.5) * (rows - 0.5) - rng.uniform(0.35, 0.65)
    light = 1 - 0.35 / (1 + np.exp(edge / 0.02))
    return noise(image * light[..., None], rng, 4)


def crease(digit: Digit, rng: Rng) -> Pixels:
    """Folded once: a dark and a light line, and the two halves in different light."""
    (rows, columns), angle = grid(), rng.uniform(-0.3, 0.3) + rng.choice([0, np.pi / 2])
    away = SIDE * (np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5))
    away = away - rng.uniform(-60, 60)
    light = np.where(away > 0, 1, 0.88) - 0.3 * np.exp(-((away + 2) ** 2) / 4)
    light = light + 0.04 * np.exp(-((away - 3) ** 2) / 6)
    return noise(write(sheet(), digit, rng) * light[..., None], rng, 4)


def crumpled(digit: Digit, rng: Rng) -> Pixels:
    """Smoothed out again: facets in different light."""
    rows, columns = grid()
    light = np.ones((SIDE, SIDE), np.float32)
    for _ in range(14):
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(-0.45, 0.45)
        side = np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5) - away
        light *= 1 - rng.uniform(0.02, 0.07) / (1 + np.exp(-side / 0.004))
    return noise(write(sheet(), digit, rng) * (light / light.max())[..., None], rng, 4)


def rotated15(digit: Digit, rng: Rng) -> Pixels:
    image = as_picture(write(sheet(), digit, rng))
    angle = 15 * rng.choice([-1, 1])
    turned_around = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=PAPER)
    return noise(np.asarray(turned_around, np.float32), rng, 4)


# Size and sharpness.


def small_in_big(digit: Digit, rng: Rng) -> Pixels:
    x, y = 800 + rng.integers(-400, 400), 600 + rng.integers(-300, 300)
    cover = put(coverage(digit, 130), 1200, 1600, x, y)
    return noise(paint(sheet(height=1200, width=1600), cover), rng, 4)


def blurred(digit: Digit, rng: Rng) -> Pixels:
    return noise(blur(write(sheet(), digit, rng), 7), rng, 5)


def low_resolution(digit: Digit, rng: Rng) -> Pixels:
    """A blurred digit 20 pixels high in 64x48."""
    image = as_picture(blur(write(sheet(width=640), digit, rng), 6))
    return noise(np.asarray(image.resize((64, 48), Image.Resampling.BOX), np.float32), rng, 4)


def tight_crop(digit: Digit, rng: Rng) -> Pixels:
    """Cut so close that the ink touches all four edges."""
    cover = trimmed(coverage(digit))
    return noise(paint(sheet(height=cover.shape[0], width=cover.shape[1]), cover), rng, 4)


# Machines: scanners, screens, copiers.


def dithered(digit: Digit, rng: Rng, paper: Colour = (225, 225, 225)) -> Image.Image:
    """Black and white alone, by Floyd and Steinberg's method."""
    return as_picture(write(sheet(paper), digit, rng)).convert("L").convert("1")


def dithered_photo(digit: Digit, rng: Rng) -> Image.Image:
    """Uneven light in black and white alone."""
    return as_picture(gradient(digit, rng)).convert("L").convert("1")


def photocopy(digit: Digit, rng: Rng) -> Pixels:
    """Faint, with a grey veil, streaks and specks."""
    image = blur(write(sheet((205, 205, 205)), digit, rng, (150, 150, 150)), 1.5)
    image = image - 6 * np.abs(rng.standard_normal((1, SIDE, 1), np.float32))
    for column in rng.integers(0, SIDE, 4):
        image[:, column : column + 2] -= 18
    specks = rng.random((SIDE, SIDE)) < 0.002
    return noise(paint(image, thickened(specks, 1) * np.float32(0.6)), rng, 5)


def salt_and_pepper(digit: Digit, rng: Rng) -> Pixels:
    image, lot = write(sheet(), digit, rng), rng.random((SIDE, SIDE))
    image[lot < 0.02] = 0
    image[lot > 0.98] = 255
    return image


def screen(digit: Digit, rng: Rng) -> Pixels:
    """A photo of a screen: stripes where its pixels meet the camera's."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    image, angle = write(sheet((235, 238, 245)), digit, rng), rng.uniform(-0.1, 0.1)
    across = np.cos(angle) * columns + np.sin(angle) * rows
    down = np.cos(angle) * rows - np.sin(angle) * columns
    for colour in range(3):
        image[..., colour] *= 0.82 + 0.18 * np.cos(2 * np.pi * (across / 2.85 + colour / 3))
    image *= (0.9 + 0.1 * np.cos(2 * np.pi * down / 3.1))[..., None]
    waves = np.cos(2 * np.pi * (across / 37 + 2 * np.sin(down / 90)))
    return noise(image * (0.94 + 0.06 * waves)[..., None], rng, 4)


def dark_mode(digit: Digit, rng: Rng) -> Pixels:
    colours = [(120, 200, 255), (255, 190, 90), (130, 230, 140), (255, 130, 160)]
    return write(sheet((24, 26, 30)), digit, rng, colours[rng.integers(0, 4)])


def as_it_is(digit: Digit, rng: Rng) -> Image.Image:
    """28x28 pixels, light ink on black."""
    return Image.fromarray(digit)


KINDS: dict[str, Kind] = {
    "raw_png": Kind(as_it_is, PNG),
    "clean": Kind(partial(plain, deviation=0), PNG),
    "blue_cream": Kind(partial(plain, paper=(248, 236, 205), ink=(35, 60, 170))),
    "red": Kind(partial(plain, ink=(215, 40, 45))),
    "coloured_paper": Kind(coloured_paper),
    "jpeg12": Kind(plain, 12),
    "grain_pencil": Kind(grain_pencil, 80),
    "faint_pencil": Kind(partial(plain, ink=(190, 190, 192))),
    "chalk": Kind(chalk),
    "thin_pen": Kind(thin_pen, PNG),
    "hair_pen": Kind(hair_pen, PNG),
    "thick_pen": Kind(thick_pen, PNG),
    "pressure": Kind(pressure),
    "broken": Kind(broken),
    "bleed_through": Kind(bleed_through, with_other=True),
    "stamp": Kind(stamp),
    "ruled": Kind(ruled),
    "squared": Kind(squared),
    "dark_squared": Kind(partial(squared, lines=(120, 130, 140))),
    "exercise_book": Kind(exercise_book),
    "dotted_paper": Kind(dotted_paper),
    "framed": Kind(framed, PNG),
    "thick_frame": Kind(partial(framed, thickness=20), PNG),
    "grey_frame": Kind(partial(framed, thickness=6, colour=(128, 128, 128)), PNG),
    "form_box": Kind(form_box),
    "drawn_box": Kind(drawn_box),
    "circled": Kind(circled),
    "edge_strip": Kind(edge_strip, PNG),
    "corner_pixel": Kind(corner_pixel, PNG),
    "scan_border": Kind(scan_border),
    "gradient": Kind(gradient),
    "shadow": Kind(shadow),
    "soft_shadow": Kind(partial(shadow, softness=0.12)),
    "two_shadows": Kind(two_shadows),
    "hand_shadow": Kind(hand_shadow),
    "lamp": Kind(lamp),
    "lamp_outside": Kind(partial(lamp, breadth=0.7, outside=True)),
    "vignette": Kind(vignette),
    "underexposed": Kind(underexposed),
    "overexposed": Kind(overexposed),
    "whiteboard": Kind(whiteboard),
    "dirt": Kind(dirt),
    "hairs": Kind(hairs),
    "hair_across": Kind(hair_across),
    "coffee_ring": Kind(coffee_ring),
    "caption": Kind(caption),
    "large_caption": Kind(partial(caption, y=0.93, size=44)),
    "caption_beside": Kind(caption_beside),
    "neighbour": Kind(neighbour, with_other=True),
    "two_digits": Kind(two_digits, with_other=True),
    "finger": Kind(finger),
    "table": Kind(table),
    "bright_table": Kind(bright_table),
    "tilted_sheet": Kind(tilted_sheet),
    "torn_sheet": Kind(torn_sheet),
    "perspective": Kind(perspective),
    "ruled_photo": Kind(ruled_photo),
    "crease": Kind(crease),
    "crumpled": Kind(crumpled),
    "rotated15": Kind(rotated15),
    "small_in_big": Kind(small_in_big),
    "blurred": Kind(blurred),
    "low_resolution": Kind(low_resolution),
    "tight_crop": Kind(tight_crop),
    "dithered": Kind(dithered, PNG),
    "dithered_grey": Kind(partial(dithered, paper=(165, 165, 165)), PNG),
    "dithered_photo": Kind(dithered_photo, PNG),
    "photocopy": Kind(photocopy),
    "salt_and_pepper": Kind(salt_and_pepper, PNG),
    "screen": Kind(screen, 75),
    "dark_mode": Kind(partial(plain, paper=(28, 28, 30), ink=(190, 190, 195), deviation=0), PNG),
    "dark_mode_colour": Kind(dark_mode, PNG),
}


def make(name: str, images: NDArray[np.uint8], index: int) -> bytes:
    """A PNG or JPEG file of the kind `name` with the digit `images[index]` in it.

    `images` are uint8 (n, 28, 28), light ink on 0; a second digit, where the kind has one, is the
    next of them.  The same kind, digits and index make the same bytes.
    """
    kind, rng = KINDS[name], _rng(name, index)
    others = (images[(index + 1) % len(images)],) if kind.with_other else ()
    return _encoded(kind.draw(images[index], rng, *others), kind.quality)


def page_of_digits(images: NDArray[np.uint8], index: int) -> bytes:
    """A JPEG photo of a page on a table with all of `images` on it, in a line, left to right.

    `images` are uint8 (n, 28, 28), about ten; `index` gives each page its own chance.
    """
    rng, step, side = _rng("page_of_digits", index), 130, 150
    width = step * len(images) + 120
    page, top = sheet(height=460, width=width), rng.uniform(190, 270)
    for place, digit in enumerate(images):
        patch = coverage(digit, int(side * rng.uniform(0.85, 1.1)))
        x = 60 + step * (place + 0.5) + rng.uniform(-8, 8)
        page = paint(page, put(patch, 460, width, x, top + rng.uniform(-18, 18)), PEN)
    ground = _wood(rng, 700, width + 200)
    corners = np.array([(100, 120), (100 + width, 120), (100 + width, 580), (100, 580)], float)
    corners = turned(corners + rng.uniform(-20, 20, (4, 2)), rng.uniform(-2, 2))
    light = 0.85 + 0.15 * np.cos(rng.uniform(0, 6) + 3 * grid(*ground.shape[:2])[1])
    return _encoded(noise(laid_on(page, ground, corners) * light[..., None], rng, 4), 85)


def _rng(name: str, index: int) -> Rng:
    return np.random.default_rng([zlib.crc32(name.encode()), index])


def _encoded(image: Pixels | Image.Image, quality: int) -> bytes:
    picture = image if isinstance(image, Image.Image) else as_picture(image)
    content = io.BytesIO()
    if quality == PNG:
        picture.save(content, "PNG")
    else:
        picture.save(content, "JPEG", quality=quality)
    return content.getvalue()
