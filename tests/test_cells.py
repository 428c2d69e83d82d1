"""Rows of windows and boxes, each with a character in it."""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import rows
from lenet import data
from lenet.data.pictures.cells import find_cells
from lenet.data.pictures.convention import MNIST
from lenet.data.pictures.picture import read_every

DIGITS = load_digits().images
FRAMED = [kind for kind in rows.KINDS if "strip" not in kind]
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def five(seed):
    chosen = np.random.default_rng(seed).integers(0, len(DIGITS), rows.DIGITS)
    images = [Image.fromarray((DIGITS[index] * 15).astype(np.uint8)) for index in chosen]
    return np.stack([np.asarray(image.resize((28, 28))) for image in images])


@pytest.mark.parametrize("photo", rows.PHOTOS)
@pytest.mark.parametrize("kind", FRAMED)
def test_every_window_of_a_row_is_found_and_read_by_itself(kind, photo):
    for seed in range(3):
        picture = rows.picture_of(kind, five(seed), seed, photo)
        cells = find_cells(picture)
        assert len(cells) == rows.DIGITS
        made = read_every(Image.fromarray(picture), (1, 28, 28), MNIST)
        assert len(made) == rows.DIGITS
        for number, (cell, each) in enumerate(zip(cells, made, strict=True), 1):
            assert f"window {number} of 5" in each.notes
            assert cell.left <= each.box.left < each.box.right <= cell.right
            assert cell.top <= each.box.top < each.box.bottom <= cell.bottom


def test_an_empty_window_is_passed_over():
    images = five(0)
    images[2] = 0
    picture = rows.picture_of("light windows in a dark frame", images, 0)
    made = read_every(Image.fromarray(picture), (1, 28, 28), MNIST)
    assert [each.notes[0] for each in made] == [f"window {k} of 5" for k in (1, 2, 4, 5)]


@pytest.mark.parametrize("kind", [kind for kind in rows.KINDS if kind not in FRAMED])
def test_a_strip_is_one_line_and_no_row_of_windows(kind):
    assert find_cells(rows.picture_of(kind, five(1), 1)) == []


@pytest.mark.parametrize("photo", rows.PHOTOS)
def test_every_digit_of_a_strip_is_found_in_any_light(photo):
    for seed in range(3):
        picture = rows.picture_of("a dark strip", five(seed), seed, photo)
        made = read_every(Image.fromarray(picture), (1, 28, 28), MNIST)
        assert len(made) == rows.DIGITS
        for number, each in enumerate(made):
            middle = (each.box.left + each.box.right) / 2 / rows.SIDE
            assert number + 0.1 < middle < number + 0.9


@pytest.mark.parametrize("photo", rows.PHOTOS)
def test_strips_of_real_digits_on_a_light_wall_are_found(photo, mnist_folder):
    images = data.load("mnist", mnist_folder).test.images
    found = 0
    for seed in range(8):
        chosen = images[seed * 5 : seed * 5 + 5, 0]
        picture = rows.picture_of("a dark strip on a light wall", chosen, seed, photo)
        made = read_every(Image.fromarray(picture), (1, 28, 28), MNIST)
        found += len(made) == rows.DIGITS
    assert found >= 7


@pytest.mark.parametrize("text", ["0080", "DB0OQ", "12345"])
def test_ink_on_a_page_is_no_strip(text):
    """Also where its holes are light, and in a line."""
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf"):
        picture = Image.new("L", (60 * len(text) + 60, 120), 235)
        font = ImageFont.truetype(str(FONTS / name), 60)
        ImageDraw.Draw(picture).text((20, 20), text, font=font, fill=30)
        made = read_every(picture, (1, 28, 28), MNIST)
        assert not any("strip" in note for each in made for note in each.notes)


@pytest.mark.parametrize("angle", [-8, -5, -2, -1, 1, 5, 8])
def test_windows_in_a_picture_at_an_angle_are_found(angle):
    for kind in FRAMED:
        wide = Image.fromarray(np.pad(rows.picture_of(kind, five(0), 0), 80, "edge"))
        cells = find_cells(np.asarray(wide.rotate(angle, Image.Resampling.BICUBIC)))
        assert len(cells) == rows.DIGITS, kind


@pytest.mark.parametrize(
    ("text", "angle"),
    [*((text, 0) for text in ("0080", "88888", "DB0OQ", "[][]", "DDDD", "HELLO 100")),
     ("0080", 4), ("DB0OQ", 4), ("[][]", 4)],
)  # fmt: skip
@pytest.mark.parametrize("dark", [True, False])
def test_printed_letters_and_their_holes_are_no_windows(text, dark, angle):
    for path in sorted(FONTS.glob("*.ttf")):
        if path.name.startswith("LastResort"):
            continue  # it draws every letter as a box with a mark inside
        picture = Image.new("L", (60 * len(text) + 60, 120), 235 if dark else 20)
        font = ImageFont.truetype(str(path), 60)
        ImageDraw.Draw(picture).text((20, 20), text, font=font, fill=30 if dark else 240)
        picture = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=235 if dark else 20)
        assert find_cells(np.asarray(picture)) == [], path.name


def test_the_zeros_of_seven_segments_are_no_windows():
    zero = np.zeros((150, 80), bool)
    zero[:12], zero[-12:], zero[:, :12], zero[:, -12:] = True, True, True, True
    row = np.concatenate([np.pad(zero, 15)] * 4, axis=1)
    for ink, ground in ((30, 235), (240, 20)):
        assert find_cells(np.where(row, ink, ground).astype(np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (3000, 2), (12, 12)])
def test_any_picture_can_be_looked_at(shape):
    for picture in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        assert find_cells(picture) == []
