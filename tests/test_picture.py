"""Pictures of every make: what is decoded, what is refused, and what is said."""

import struct
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from conftest import need_module
from PIL import Image

from lenet.data.pictures import picture
from lenet.data.pictures.convention import AS_GIVEN, CLOTHES, MNIST, Convention
from lenet.data.pictures.picture import FORMATS, LONGEST_SIDE, no_warnings, read_picture
from lenet.errors import FormatError

SHAPE = (1, 28, 28)


def stroke(mode="L"):
    """Dark ink on light ground, 60x80."""
    pixels = np.full((60, 80), 250, np.uint8)
    pixels[10:50, 36:44] = 15
    return Image.fromarray(pixels).convert(mode, dither=Image.Dither.NONE)


@pytest.fixture
def plain():
    """What the stroke becomes."""
    from io import BytesIO

    stream = BytesIO()
    stroke().save(stream, "png")
    return read_picture(stream.getvalue(), SHAPE, MNIST).image


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        ("png", "L"), ("png", "1"), ("png", "P"), ("png", "RGB"), ("png", "RGBA"), ("png", "LA"),
        ("bmp", "L"), ("gif", "P"), ("tiff", "CMYK"), ("tiff", "L"), ("webp", "RGB"),
        ("ppm", "RGB"), ("pgm", "L"), ("tga", "RGB"), ("jpg", "CMYK"), ("jpg", "L"), ("jp2", "L"),
    ],
)  # fmt: skip
def test_every_format_and_mode_gives_the_same_ink(tmp_path, plain, suffix, mode):
    path = tmp_path / f"one.{suffix}"
    stroke(mode).save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    read = read_picture(path, SHAPE, MNIST)
    assert np.abs(read.image.astype(int) - plain).mean() < 4.0  # of a mean of 33
    assert "dark ink on light ground, turned around" in read.notes


def test_the_name_of_a_file_does_not_matter(tmp_path, plain):
    stroke().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.jpg", SHAPE, MNIST).image, plain)


def test_16_bits_and_floats_are_scaled_and_not_cut_off(tmp_path, plain):
    grey = np.asarray(stroke())
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    for name in ("16.png", "float.tiff"):
        image = read_picture(tmp_path / name, SHAPE, MNIST).image
        assert np.abs(image.astype(int) - plain).mean() < 1.0, name


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_fewer_bits_in_16_are_scaled_and_noted(tmp_path, plain, bits, ending):
    levels = np.asarray(stroke()).astype(np.float64) * ((1 << bits) - 1) / 255
    path = tmp_path / f"a.{ending}"
    Image.fromarray(levels.round().astype(np.uint16)).save(path)
    read = read_picture(path, SHAPE, MNIST)
    assert np.abs(read.image.astype(int) - plain).mean() < 1.0
    assert f"{bits} bits in 16, scaled" in read.notes


HEIF_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_heic_without_its_extra_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    picture._register_heif.cache_clear()
    (tmp_path / "a.heic").write_bytes(HEIF_HEAD)
    for source in (tmp_path / "a.heic", HEIF_HEAD):
        with pytest.raises(
            FormatError, match=r"HEIC needs pillow-heif, .*: pip install 'lenet\[heif"
        ):
            read_picture(source, SHAPE, MNIST, "a.heic")
    picture._register_heif.cache_clear()


def test_heic_is_read_with_its_extra(tmp_path, plain):
    need_module("pillow_heif", "pip install 'lenet[heif]'").from_pillow(
        stroke().convert("RGB")
    ).save(tmp_path / "a.heic", quality=100)
    image = read_picture(tmp_path / "a.heic", SHAPE, MNIST).image
    assert np.abs(image.astype(int) - plain).mean() < 2.0


def test_names_of_pictures_that_phones_browsers_and_cameras_write_are_looked_at():
    assert {".jfif", ".jpe", ".heic", ".heif", ".svg", ".dng"} <= picture.SUFFIXES


@pytest.mark.parametrize(("ink", "ground"), [(0, "white"), (255, "black")])
def test_ink_on_nothing_is_laid_over_what_it_shows_on(tmp_path, plain, ink, ground):
    painted = np.full((60, 80, 4), ink, np.uint8)
    painted[..., 3] = 255 - np.asarray(stroke())
    Image.fromarray(painted, "RGBA").save(tmp_path / "x.png")
    read = read_picture(tmp_path / "x.png", SHAPE, MNIST)
    assert f"laid over {ground}" in read.notes
    assert np.abs(read.image.astype(int) - plain).mean() < 2.0


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_a_photo_is_turned_upright(tmp_path, plain, ending):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"x.{ending}"
    stroke().rotate(90, expand=True).save(path, exif=exif)
    read = read_picture(path, SHAPE, MNIST)
    assert "turned upright (EXIF)" in read.notes
    np.testing.assert_array_equal(read.image, plain)


def test_of_an_animation_the_first_frame_is_taken(tmp_path, plain):
    frames = [stroke(), Image.new("L", (80, 60), 255)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    read = read_picture(tmp_path / "x.gif", SHAPE, MNIST)
    assert "the first of 2 frames" in read.notes
    assert np.abs(read.image.astype(int) - plain).mean() < 3.0


def test_of_pillows_pictures_the_frame_at_which_one_stands_is_taken_and_none_is_changed(tmp_path):
    frames = [Image.new("L", (80, 60), 255), stroke()]
    frames[0].save(tmp_path / "x.tiff", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "x.tiff") as several:
        several.seek(1)
        assert "frame 2 of 2 frames" in read_picture(several, SHAPE, MNIST).notes
        assert several.tell() == 1
    stroke().resize((2400, 1800)).save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as large:
        assert max(read_picture(large, SHAPE, MNIST).given.shape) <= LONGEST_SIDE
        assert large.size == (2400, 1800)


def test_a_large_picture_is_reduced_and_gives_the_same(tmp_path, plain):
    stroke().resize((80 * 50, 60 * 50)).save(tmp_path / "x.png")
    read = read_picture(tmp_path / "x.png", SHAPE, MNIST)
    assert max(read.given.shape) <= LONGEST_SIDE
    assert np.abs(read.image.astype(int) - plain).mean() < 6.0


def png_header(width, height):
    """A PNG of a few bytes that promises `width` x `height` pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + check + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture in a format that is known"),
        (b"<html>no</html>", "not a picture in a format that is known"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture in a format"),
        (png_header(10_000, 10_000), "10000x10000 pixels are too many; make it smaller than"),
        (png_header(2**31 - 1, 2**31 - 1), "far too many pixels"),
        (png_header(30, 30), "cannot be read"),
    ],
    ids=["empty", "html", "eps", "huge", "bomb", "cut short"],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FormatError, match=rf"x.png: .*{message}"):
        read_picture(tmp_path / "x.png", SHAPE, MNIST)


def test_a_blank_picture_is_refused_where_ink_is_looked_for_and_taken_elsewhere(tmp_path):
    Image.new("L", (30, 30), 255).save(tmp_path / "x.png")
    with pytest.raises(FormatError, match=r"x.png: blank: nothing stands out from the ground"):
        read_picture(tmp_path / "x.png", SHAPE, MNIST)
    assert read_picture(tmp_path / "x.png", SHAPE, AS_GIVEN).image.min() == 255


def test_stages_lead_from_the_picture_to_the_image(tmp_path):
    stroke().save(tmp_path / "x.png")
    read = read_picture(tmp_path / "x.png", SHAPE, MNIST)
    names = [stage.name for stage in read.stages]
    assert names == [
        "as given",
        "ground",
        "ink on its ground",
        "kept",
        "cropped",
        "fitted",
        "centred",
    ]
    np.testing.assert_array_equal(read.stages[0].image, read.given)
    np.testing.assert_array_equal(read.stages[-1].image, read.image)
    assert max(read.stages[5].image.shape) == 20
    assert read.plain.shape == read.image.shape == SHAPE


def test_pictures_of_unknown_make_keep_their_ground(tmp_path):
    stroke().save(tmp_path / "x.png")
    kept = read_picture(tmp_path / "x.png", SHAPE, AS_GIVEN)
    turned = read_picture(tmp_path / "x.png", SHAPE, CLOTHES)
    assert (kept.inverted, turned.inverted) == (False, True)
    assert kept.image[0, 0, 0] > 200 > 55 > turned.image[0, 0, 0]


def test_stretching_gives_up_the_proportions(tmp_path):
    Image.fromarray(np.pad(np.full((20, 60), 255, np.uint8), 10)).save(tmp_path / "x.png")
    heights = {}
    for kind in ("fit", "stretch"):
        image = read_picture(tmp_path / "x.png", SHAPE, Convention(kind)).image[0]
        heights[kind] = int((image > 128).any(axis=1).sum())
    assert heights["stretch"] == 14
    assert heights["fit"] in (6, 7)


def test_colours_stay_where_a_network_reads_them(tmp_path):
    Image.new("RGB", (30, 20), (200, 30, 60)).save(tmp_path / "x.png")
    image = read_picture(tmp_path / "x.png", (3, 28, 28), AS_GIVEN).image
    assert image[:, 14, 14].tolist() == [200, 30, 60]


def test_no_decoder_hands_the_file_to_another_program():
    assert not {"EPS", "WMF", "PSD", "FITS", "HDF5", "GRIB", "BUFR"} & set(FORMATS)


def test_filters_of_warnings_come_back_when_the_last_of_two_threads_leaves():
    """With `warnings.catch_warnings` alone the second to leave would bring back the first's."""
    before = list(warnings.filters)
    first, second = threading.Event(), threading.Event()

    def outlives_the_other() -> None:
        with no_warnings:
            first.set()
            second.wait(10)
            warnings.warn("of odd metadata", stacklevel=1)

    thread = threading.Thread(target=outlives_the_other)
    with no_warnings:
        thread.start()
        assert first.wait(10)
        warnings.warn("of odd metadata", stacklevel=1)
    second.set()
    thread.join()
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="said again"):
        warnings.warn("said again", stacklevel=1)
