"""Distorted copies of images, by the ranges measured from the paper's figure 7."""

import importlib

import numpy as np
import pytest
from conftest import need_native

from lenet.data.distortion import distort, distort_plainly, draw


def test_the_draw_fills_the_ranges_of_figure_7():
    across, down, shear, right, below = draw(20000, 0, 1).T.astype(float)
    magnification, squeeze = 1 / np.sqrt(across * down), np.sqrt(down / across)
    assert magnification.min() == pytest.approx(0.71, abs=0.001)
    assert magnification.max() == pytest.approx(1.30, abs=0.001)
    assert squeeze.max() == pytest.approx(1.10, abs=0.001)
    assert np.abs(shear).max() == pytest.approx(0.14, abs=0.001)
    assert np.abs(right).max() == pytest.approx(2.0, abs=0.01)
    assert np.abs(below).max() == pytest.approx(2.0, abs=0.01)
    assert np.median(magnification) == pytest.approx(np.sqrt(0.71 * 1.30), abs=0.01)


def test_a_draw_repeats_and_another_version_or_seed_is_another():
    first = draw(50, 3, 1)
    np.testing.assert_array_equal(first, draw(50, 3, 1))
    assert (first != draw(50, 3, 2)).all()
    assert (first != draw(50, 4, 1)).all()


def one_pixel(row, column):
    image = np.zeros((1, 1, 32, 32), np.uint8)
    image[0, 0, row, column] = 200
    return image


def moved(image, *numbers):
    return distort(image, np.array([numbers], np.float32))


def test_nothing_changes_where_nothing_is_asked():
    images = np.random.default_rng(1).integers(0, 256, (3, 2, 32, 32), dtype=np.uint8)
    numbers = np.tile(np.array([1, 1, 0, 0, 0], np.float32), (3, 1))
    np.testing.assert_array_equal(distort(images, numbers), images)


def test_a_shift_takes_pixels_from_the_right_and_from_below():
    np.testing.assert_array_equal(moved(one_pixel(9, 10), 1, 1, 0, 2, 1), one_pixel(8, 8))


def test_a_pixel_that_is_shifted_by_half_is_shared():
    half = moved(one_pixel(9, 10), 1, 1, 0, 0.5, 0)[0, 0, 9]
    assert half[9] == half[10] == 100


def test_what_leaves_the_frame_is_gone():
    assert not moved(one_pixel(9, 1), 1, 1, 0, 2, 0).any()


def test_scaling_leaves_the_foot_and_shear_the_waist_in_place():
    rows = np.zeros((1, 1, 32, 32), np.uint8)
    rows[0, 0, 26] = 100
    taller = moved(rows, 1, 0.5, 0, 0, 0)[0, 0, :, 16]
    assert taller[25:28].argmax() in (0, 1)
    column = np.zeros((1, 1, 32, 32), np.uint8)
    column[0, 0, :, 16] = 100
    sheared = moved(column, 1, 1, 0.14, 0, 0)[0, 0]
    assert sheared[19].argmax() == 16
    assert sheared[0].argmax() > 17
    assert sheared[31].argmax() < 15


@pytest.mark.parametrize("shape", [(200, 1, 32, 32), (40, 3, 28, 45), (5, 1, 1, 1)])
def test_the_compiled_part_gives_the_bytes_of_the_reference(shape):
    need_native()
    images = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    numbers = draw(len(images), 7, 1)
    numbers[0] = [3, 3, 2, 50, -50]  # all of it outside
    compiled = importlib.import_module("lenet.data.pictures._picture").distort(images, numbers)
    np.testing.assert_array_equal(compiled, distort_plainly(images, numbers))
