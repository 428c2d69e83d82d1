"""Ink found, fitted and centred: MNIST's own digits must come out as they went in."""

import io

import numpy as np
import pytest
from conftest import train_run
from PIL import Image, ImageDraw

from bench import kinds
from lenet import data
from lenet.data.pictures.convention import EMNIST, MNIST, Convention
from lenet.data.pictures.ink import find_ink
from lenet.data.pictures.picture import read_every, read_picture
from lenet.errors import FormatError, UsageError
from lenet.prediction.evaluation import open_network

SHAPE = (1, 28, 28)


def stroke(height=60, width=90, ground=250, ink=20, thickness=6):
    """A slanted stroke, as uint8 (height, width)."""
    picture = Image.new("L", (width, height), ground)
    ImageDraw.Draw(picture).line([(30, 10), (50, 50)], fill=ink, width=thickness)
    return np.array(picture)


def test_a_digit_of_mnist_comes_out_as_it_went_in(mnist_folder):
    images = data.load("mnist").train.images[:1000, 0]
    off = [np.abs(image_of(image).astype(int) - image).mean() for image in images]
    assert np.median(off) < 0.5, "in grey levels, of a mean of 33"
    assert np.mean(np.array(off) < 4.0) > 0.97, "the others moved by a pixel"


def image_of(picture, convention=MNIST, height=28, width=28):
    """The image of the most prominent character."""
    return find_ink(picture, convention, height, width).characters[0].image


def test_dark_and_light_ink_are_told_apart_and_give_the_same():
    dark, light = stroke(), 255 - stroke()
    assert find_ink(dark, MNIST, 28, 28).dark
    assert not find_ink(light, MNIST, 28, 28).dark
    ink = [image_of(picture) > 127 for picture in (dark, light)]
    assert (ink[0] != ink[1]).mean() < 0.02


def test_more_ink_than_ground_is_still_ink_on_ground():
    picture = np.full((40, 40), 240, np.uint8)
    picture[4:36, 4:36] = 10
    found = find_ink(picture, MNIST, 28, 28)
    assert found.dark
    assert found.ink[20, 20] > 230
    assert found.ink[0, 0] == 0


def test_light_from_one_side_is_not_ink():
    shade = np.linspace(250, 150, 90, dtype=np.float32)[None] * np.ones((60, 1), np.float32)
    shaded = np.where(stroke() < 100, shade - 130, shade).astype(np.uint8)
    found = find_ink(shaded, MNIST, 28, 28)
    assert found.dark
    assert found.ink[stroke() > 200].max() < 40
    box = found.characters[0].box
    assert (box.top, box.bottom - 1) == pytest.approx((10, 50), abs=4)


def test_what_lies_faintly_under_a_stroke_is_parted_from_it():
    page = np.full((300, 300), 240, np.uint8)
    page[60:240, 140:160] = 30
    plain = find_ink(page, MNIST, 28, 28).characters
    shaded = page.copy()
    shaded[120:180, 40:290] = 170
    shaded[60:240, 140:160] = 30
    found = find_ink(shaded, MNIST, 28, 28)
    assert [character.box for character in found.characters] == [plain[0].box]
    assert np.abs(found.characters[0].image.astype(int) - plain[0].image).max() < 40
    assert found.kept[150, 100] == 64


def test_a_stroke_that_fades_little_by_little_stays_whole_and_becomes_even():
    page = np.full((300, 300), 240, np.uint8)
    page[50:250, 140:160] = np.linspace(30, 170, 200)[:, None]
    (character,) = find_ink(page, MNIST, 28, 28).characters
    assert character.box == pytest.approx((50, 140, 250, 160), abs=1)
    assert character.cropped[20:-20, 8:-8].min() > 220


def test_a_picture_cut_close_to_thick_ink_is_no_picture_of_its_hole(mnist_folder):
    images = data.load("mnist").train.images[:, 0]
    for index in (36, 58):
        picture = read_picture(kinds.make("tight_crop", images, index), SHAPE, MNIST)
        assert picture.inverted
        assert picture.box == pytest.approx((0, 0, *picture.given.shape[1:]), abs=1)


def test_paper_half_in_shadow_is_no_ink_beside_what_is_written_on_it():
    page = np.full((300, 400), 70, np.uint8)
    for row in range(30, 270):
        left, right = 20 + (270 - row) // 6, 380 - (270 - row) // 6
        page[row, left:170], page[row, 170:right] = 165, 240
        page[row, left:right] -= 60 * (row % 40 in (10, 11))
    page[110:190, 194:206], page[110:122, 170:206] = 30, 30
    found = find_ink(page, MNIST, 28, 28)
    assert found.dark
    assert found.characters[0].box == pytest.approx((110, 170, 190, 206), abs=2)


def test_specks_of_dirt_are_left_out():
    dirty = stroke()
    dirty[3:5, 80:82] = 200
    np.testing.assert_array_equal(image_of(stroke()), image_of(dirty))


def test_proportions_stay_and_the_longer_side_fills_the_box():
    picture = np.full((120, 120), 255, np.uint8)
    picture[40:80, 55:65] = 0
    assert find_ink(picture, MNIST, 28, 28).characters[0].fitted.shape == (20, 5)


def test_the_centre_of_mass_or_of_the_box_is_in_the_middle():
    picture = np.full((60, 60), 255, np.uint8)
    picture[20:40, 20:26], picture[37:40, 20:34] = 0, 0
    by_mass = image_of(picture)
    by_box = image_of(picture, Convention("ink", ink_side=20, centre="box"))
    centre = by_mass.sum(axis=0) @ np.arange(28) / by_mass.sum()
    assert 13.4 < centre < 14.6
    columns = np.flatnonzero((by_box > 64).any(axis=0))
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(13.5, abs=1)


def test_ink_is_never_cut_off_by_its_centre_of_mass():
    picture = np.full((60, 60), 255, np.uint8)
    picture[20, 20:40], picture[20:40, 20] = 0, 0
    made = find_ink(picture, MNIST, 22, 22).characters[0]
    assert made.image.sum() == made.fitted.sum()


def test_what_surrounds_a_character_is_taken_away():
    page = np.full((200, 200), 245, np.uint8)
    page[20::30] = 150
    page[60:140, 95:105] = 20
    page[0], page[:, 0], page[5, 190] = 0, 0, 0
    found = find_ink(page, MNIST, 28, 28)
    assert found.rules >= 5
    assert found.characters[0].box == pytest.approx((60, 95, 140, 105), abs=2)


def test_two_characters_are_found_from_left_to_right():
    page = np.full((100, 160), 245, np.uint8)
    page[30:70, 30:36], page[28:72, 100:107] = 20, 20
    pictures = read_every(page_bytes(page), SHAPE, MNIST)
    assert [picture.box.left for picture in pictures] == pytest.approx([30, 100], abs=1)
    assert "2 characters; the most prominent is read" in " ".join(
        read_picture(page_bytes(page), SHAPE, MNIST).notes
    )


def page_bytes(page):
    stream = io.BytesIO()
    Image.fromarray(page).save(stream, "png")
    return stream.getvalue()


def test_the_side_of_the_ink_is_the_conventions():
    sides = {}
    for convention in (MNIST, EMNIST):
        image = image_of(stroke(), convention)
        sides[convention.ink_side] = int((image > 0).any(axis=1).sum())
    assert sides == {20: 20, 24: 24}


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.full((50, 50), 255, np.uint8), "blank: nothing stands out"),
        (np.full((1, 1), 0, np.uint8), "blank: nothing stands out"),
        (np.full((50, 50), 120, np.uint8) + np.eye(50, dtype=np.uint8) * 4, "blank"),
        (np.pad(np.full((2, 3), 255, np.uint8), 20), "blank: nothing stands out"),
    ],
    ids=["white", "one pixel", "faint", "speck"],
)
def test_what_has_no_ink_is_said(picture, message):
    with pytest.raises(FormatError, match=message):
        find_ink(picture, MNIST, 28, 28)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "squeeze"}, "kind = 'squeeze': it must be one of ink, fit, stretch"),
        ({"centre": "corner"}, "centre = 'corner': it must be one of mass, box"),
        ({"ink_side": 0}, "ink_side = 0: it must be at least 1"),
    ],
)
def test_a_convention_that_cannot_be_is_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        Convention(**fields)


def disguise(image, dice):
    """A digit as PNG: any scale from 0.5 to 8, place, polarity, and ink on a transparent ground."""
    scale = float(np.exp(dice.uniform(np.log(0.5), np.log(8.0))))
    side = round(28 * scale)
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    digit = np.array(Image.fromarray(image).resize((side, side), way))
    height, width = (side + int(dice.integers(0, 2 * side)) for _ in range(2))
    top, left = int(dice.integers(0, height - side + 1)), int(dice.integers(0, width - side + 1))
    canvas = np.zeros((height, width), np.uint8)
    canvas[top : top + side, left : left + side] = digit
    kind = dice.integers(0, 4)
    if kind < 2:
        picture = Image.fromarray(canvas if kind else 255 - canvas)
    else:
        painted = np.full((height, width, 4), 255 * (kind - 2), np.uint8)
        painted[..., 3] = canvas
        picture = Image.fromarray(painted, "RGBA")
    stream = io.BytesIO()
    picture.save(stream, "png")
    return stream.getvalue()


def score_disguised(run, count):
    """Accuracies on `count` test digits: as they are, prepared, and only resized."""
    checkpoint, dice = run.checkpoint(), np.random.default_rng(60)
    test = data.load("mnist").test.at(np.arange(count))
    pictures = [
        read_picture(disguise(image, dice), SHAPE, checkpoint.data.convention)
        for image in test.images[:, 0]
    ]
    engine = open_network(checkpoint)
    ways = {
        "raw": test.images,
        "prepared": np.stack([picture.image for picture in pictures]),
        "resized": np.stack([picture.plain for picture in pictures]),
    }
    return {
        name: float((engine.logits(engine.place(images)).argmax(axis=1) == test.labels).mean())
        for name, images in ways.items()
    }


@pytest.fixture(scope="module")
def mnist_run(mnist_folder, tmp_path_factory):

    out = tmp_path_factory.mktemp("ink") / "mnist"
    return train_run(data="mnist", data_dir=mnist_folder, epochs=10, out=out)


def test_digits_in_disguise_are_read_nearly_as_well(mnist_run):
    found = score_disguised(mnist_run, 1000)
    assert found["raw"] > 0.97
    assert found["prepared"] >= found["raw"] - 0.01
    assert found["resized"] < 0.5


@pytest.mark.soak
def test_10000_digits_in_disguise_lose_at_most_half_a_point(mnist_run):
    found = score_disguised(mnist_run, 10_000)
    print("\n" + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    assert found["prepared"] >= found["raw"] - 0.005
    assert found["resized"] < 0.5
