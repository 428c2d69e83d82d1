"""The preparation of pictures in NumPy: the compiled part must equal it byte for byte."""

import importlib.util

import numpy as np
import pytest
from conftest import need
from PIL import Image, ImageDraw, ImageFilter

from lenet import data
from lenet.data.pictures.pieces import label_pieces
from lenet.data.pictures.reading import Reading
from lenet.data.pictures.reference import read_characters
from lenet.data.pictures.rules import find_rules
from lenet.data.pictures.windows import closed, maximum, to_grey

MNIST_WISH = (28, 28, 20, True)
EMNIST_WISH = (28, 28, 24, False)


@pytest.fixture(scope="session")
def compiled():
    """The compiled part, or a skip."""
    name = "lenet.data.pictures._picture"
    need(
        importlib.util.find_spec(name) is not None,
        "install a C++ compiler (on Debian and Ubuntu: apt install g++) and install lenet again",
    )
    return importlib.import_module(name)


def as_tuple(reading: Reading):
    characters = tuple(
        (*made.box, made.level, made.cropped, made.fitted, made.image)
        for made in reading.characters
    )
    stages = reading.ground, reading.ink, reading.kept
    return reading.dark, reading.rules, *stages, characters


def assert_same(found, expected):
    """Every number, byte, shape and type."""
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert type(found) is type(expected)


def read_alike(compiled, pictures, wish=MNIST_WISH):
    """What the reference reads in `pictures`; the compiled part reads the same in each."""
    readings = []
    for picture in pictures:
        readings.append(read_characters(picture, *wish))
        assert_same(compiled.read_characters(picture, *wish), as_tuple(readings[-1]))
    return readings


def count_read(readings):
    return sum(bool(reading.characters) for reading in readings)


def digits(count):
    """Real handwritten digits, uint8 (count, 28, 28)."""
    return data.load("digits").train.images[:count, 0]


def test_the_compiled_part_reads_handwritten_digits_alike(compiled):
    images = digits(40)
    assert count_read(read_alike(compiled, images)) == 40
    assert count_read(read_alike(compiled, 255 - images)) == 40
    assert count_read(read_alike(compiled, images[:20], EMNIST_WISH)) == 20


def test_the_compiled_part_reads_mnist_alike(compiled, mnist_folder):
    images = data.load("mnist").train.images[:40, 0]
    assert count_read(read_alike(compiled, images)) == 40
    assert count_read(read_alike(compiled, 255 - images[:20])) == 20


def page(seed, digit):
    """A digit of a random make on a page: lines, shadow, noise, a frame, blur, a second digit."""
    source = np.random.default_rng(seed)
    rows, columns = source.integers(64, 220, 2)
    y, x = np.mgrid[:rows, :columns]
    ground = 230 - source.integers(0, 90) * x / columns - source.integers(0, 60) * (y > rows / 2)
    picture = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    if source.random() < 0.4:
        for row in range(int(source.integers(5, 20)), rows, int(source.integers(15, 40))):
            draw.line([(0, row), (columns, row + int(source.integers(0, 4)))], fill=120)
    if source.random() < 0.3:
        draw.rectangle([1, 1, columns - 2, rows - 2], outline=int(source.integers(0, 90)), width=2)
    for _ in range(int(source.integers(1, 3))):
        side = int(source.integers(20, 62))
        mask = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
        place = (int(source.integers(0, columns - side)), int(source.integers(0, rows - side)))
        picture.paste(int(source.integers(10, 90)), place, mask)
    if source.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(source.uniform(0.5, 2)))
    noisy = np.asarray(picture) + source.normal(0, source.integers(0, 12), (rows, columns))
    shown = np.clip(noisy, 0, 255).astype(np.uint8)
    return 255 - shown if source.random() < 0.3 else shown


def test_the_compiled_part_reads_pages_alike(compiled):
    pages = [page(seed, digit) for seed, digit in enumerate(digits(40))]
    readings = read_alike(compiled, pages)
    assert count_read(readings) >= 30
    assert sum(reading.rules > 0 for reading in readings) >= 5
    assert sum(len(reading.characters) > 1 for reading in readings) >= 3


def stained_page(seed, digit):
    """A digit in ink of uneven strength over a faint one; it may be cut close, or of dots."""
    source = np.random.default_rng(seed)
    rows, columns = source.integers(96, 240, 2)
    y, x = np.mgrid[:rows, :columns]
    paper = np.full((rows, columns), 235.0)
    for strength in (source.uniform(0.1, 0.6), 0.65 + 0.35 * np.sin(x / 30) * np.cos(y / 30)):
        side = int(source.integers(40, 1 + min(rows, columns)))
        mask = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
        cover = Image.new("L", (int(columns), int(rows)))
        cover.paste(mask, tuple(int(source.integers(0, n - side + 1)) for n in (columns, rows)))
        paper = paper + (30 - paper) * strength * np.asarray(cover) / 255
    if source.random() < 0.2:
        rows, columns = np.nonzero(paper < 200)
        paper = paper[rows.min() : rows.max(), columns.min() : columns.max()]
    if source.random() < 0.2:
        paper = np.where(source.random(paper.shape) * 255 < paper, 255, 0)
    shown = np.clip(paper, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(255 - shown if source.random() < 0.3 else shown)


def test_the_compiled_part_reads_stained_pages_alike(compiled):
    pages = [stained_page(seed, digit) for seed, digit in enumerate(digits(40))]
    assert count_read(read_alike(compiled, pages)) >= 35


def scribble(source, shape):
    """What no page looks like: noise, blocks, lines, a lone pixel, one level, at any size."""
    picture = np.full(shape, source.integers(256), np.uint8)
    kind = source.integers(5)
    if kind == 0:
        picture[:] = source.integers(0, 256, shape)
    elif kind == 1:
        picture[source.random(shape) < source.random()] = source.integers(256)
    elif kind == 2:
        for _ in range(source.integers(1, 8)):
            top, left = source.integers(0, shape)
            height, width = source.integers(1, np.add(shape, 1))
            picture[top : top + height, left : left + width] = source.integers(256)
    elif kind == 3:
        picture[tuple(source.integers(0, shape))] = source.integers(256)
    return picture


def test_the_compiled_part_reads_scribbles_of_any_size_alike(compiled):
    source = np.random.default_rng(0)
    for _ in range(100):
        wish = (*map(int, source.integers(1, 65, 3)), bool(source.integers(2)))
        read_alike(compiled, [scribble(source, source.integers(1, 71, 2))], wish)
    thin = [(1, 1), (1, 9), (9, 1), (2, 2), (2, 30), (30, 2), (3, 3), (3, 50), (1, 300), (300, 1)]
    read_alike(compiled, [scribble(source, shape) for shape in thin for _ in range(4)])


def test_the_compiled_part_reads_large_scribbles_alike(compiled):
    source = np.random.default_rng(1)
    read_alike(compiled, [scribble(source, source.integers(64, 200, 2)) for _ in range(12)])


def test_colours_become_the_greys_of_pillow(compiled):
    colours = np.random.default_rng(3).integers(0, 256, (300, 200, 3), np.uint8)
    colours[:9, :9], colours[-9:, -9:] = 0, 255
    greys = np.asarray(Image.fromarray(colours).convert("L"))
    np.testing.assert_array_equal(to_grey(colours), greys)
    in_colour = (page(7, digits(8)[7])[..., None] * np.array([1.0, 0.8, 0.5])).astype(np.uint8)
    grey = np.array(Image.fromarray(in_colour).convert("L"))
    (expected,) = read_alike(compiled, [grey])
    assert expected.characters
    for read in (lambda *given: as_tuple(read_characters(*given)), compiled.read_characters):
        assert_same(read(in_colour, *MNIST_WISH), as_tuple(expected))


def test_both_refuse_what_is_neither_grey_nor_in_three_colours(compiled):
    for read in (read_characters, compiled.read_characters):
        for shape in ((8,), (8, 8, 1), (8, 8, 4), (2, 8, 8, 3)):
            with pytest.raises(ValueError, match=r"a picture is \(rows, columns\), or \(rows,"):
                read(np.zeros(shape, np.uint8), *MNIST_WISH)


def test_both_refuse_sizes_without_a_pixel_and_those_too_large(compiled):
    grey = np.zeros((8, 8), np.uint8)
    wishes = [(0, 28, 20), (28, 0, 20), (28, 28, 0), (-1, 28, 20), (28, 5000, 20)]
    for read in (read_characters, compiled.read_characters):
        for wish in wishes:
            with pytest.raises(ValueError, match="the image has no pixel, or too many"):
                read(grey, *wish, True)
        for shape in ((0, 8), (8, 0), (0, 0), (1, 20_000)):
            with pytest.raises(ValueError, match="the picture has no pixel, or too many"):
                read(np.zeros(shape, np.uint8), *MNIST_WISH)


def test_a_picture_of_one_level_is_blank():
    for shape in ((1, 1), (2, 2), (28, 28), (100, 100)):
        reading = read_characters(np.full(shape, 90, np.uint8), *MNIST_WISH)
        assert as_tuple(reading) == (True, 0, None, None, None, ())


def test_a_stroke_between_rules_is_kept_and_the_rules_are_not():
    picture = np.full((120, 120), 230, np.uint8)
    picture[20::30] = 140
    picture[25:95, 55:64] = 30
    reading = read_characters(picture, *MNIST_WISH)
    assert reading.dark
    assert reading.rules == 4
    assert [tuple(made.box) for made in reading.characters] == [(25, 55, 95, 64)]
    assert (reading.kept[25:95, 55:64] == 255).all()
    assert (reading.kept[20::30, :50] == 128).all()
    assert (reading.kept[30:45, :50] == 0).all()


def test_a_character_is_fitted_and_its_centre_of_mass_is_in_the_middle():
    picture = np.zeros((60, 60), np.uint8)
    picture[10:50, 5:13] = 255
    picture[42:50, 5:30] = 255
    (made,) = read_characters(picture, *MNIST_WISH).characters
    assert max(made.fitted.shape) == 20
    mass = made.image / made.image.sum()
    assert abs((mass.sum(axis=1) @ np.arange(28)) - 14) <= 0.5
    assert abs((mass.sum(axis=0) @ np.arange(28)) - 14) <= 0.5
    (boxed,) = read_characters(picture, *EMNIST_WISH).characters
    assert np.flatnonzero(boxed.image.any(axis=1))[[0, -1]].tolist() == [2, 25]


def test_two_digits_are_two_characters_the_more_prominent_first():
    picture = np.full((80, 160), 255, np.uint8)
    picture[20:60, 40:48] = 0
    picture[10:70, 90:98] = 0
    first, second = read_characters(picture, *MNIST_WISH).characters
    assert (first.box.left, second.box.left) == (90, 40)


def plain_maximum(pixels, window):
    rows, columns = pixels.shape
    before, after = window // 2, window - window // 2
    found = np.zeros_like(pixels)
    for y in range(rows):
        for x in range(columns):
            around = pixels[max(y - before, 0) : y + after, max(x - before, 0) : x + after]
            found[y, x] = around.max()
    return found


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 7, 8, 13, 30])
def test_the_maximum_of_a_window_is_that_of_its_pixels(window):
    pixels = np.random.default_rng(window).integers(0, 256, (12, 17)).astype(np.uint8)
    np.testing.assert_array_equal(maximum(pixels, window), plain_maximum(pixels, window))


def test_what_is_narrower_than_the_window_is_filled_up():
    pixels = np.full((20, 20), 200, np.uint8)
    pixels[:, 5:8] = 10
    assert (closed(pixels, 5) == 200).all()
    np.testing.assert_array_equal(closed(pixels, 3), pixels)


def test_a_slanted_rule_is_found_and_a_short_line_is_not():
    ink = np.zeros((100, 100), np.uint8)
    ink[40 + np.arange(100) // 10, np.arange(100)] = 200
    ink[80, 10:50] = 200
    rules, gone = find_rules(ink, 20)
    assert rules == 1
    np.testing.assert_array_equal(gone, (ink > 0) & (np.arange(100)[:, None] < 60))


def test_pieces_are_numbered_by_their_first_pixel():
    mask = np.random.default_rng(3).random((60, 80)) < 0.3
    numbers, count = label_pieces(mask)
    firsts = [int(np.flatnonzero(numbers == number)[0]) for number in range(1, count + 1)]
    assert firsts == sorted(firsts)
