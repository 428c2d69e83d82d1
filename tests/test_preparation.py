"""What a network does to an image before it scales the pixels."""

import numpy as np
import pytest

from lenet.errors import SpecError
from lenet.network import Dense, Spec
from lenet.network.preparation import prepare, prepared_shape


def slanted(lean):
    """A thick stroke that moves by `lean` pixels to the right a row."""
    image = np.zeros((1, 1, 28, 28), np.uint8)
    for row in range(6, 22):
        middle = round(13.5 + lean * (row - 13.5))
        image[0, 0, row, middle - 1 : middle + 2] = 255
    return image


def test_a_frame_puts_28x28_at_row_and_column_2_of_32x32():
    images = np.arange(784, dtype=np.uint8).reshape(1, 1, 28, 28)
    framed = prepare(("frame",), images)
    assert framed.shape == (1, 1, 32, 32)
    np.testing.assert_array_equal(framed[:, :, 2:30, 2:30], images)
    assert framed.sum(dtype=int) == images.sum(dtype=int)
    assert prepared_shape(("frame",), (1, 28, 28)) == (1, 32, 32)


@pytest.mark.parametrize("lean", [-0.5, -0.25, 0.0, 0.3, 0.6])
def test_deslanting_makes_the_principal_axis_vertical(lean):
    straight = prepare(("deslant",), slanted(lean))[0, 0].astype(float)
    rows, columns = np.indices(straight.shape)
    total = straight.sum()
    middle_row, middle_column = (rows * straight).sum() / total, (columns * straight).sum() / total
    covariance = ((rows - middle_row) * (columns - middle_column) * straight).sum() / total
    assert abs(covariance) < 0.35  # of the stroke of lean 0.5 it is 10.6
    assert total == pytest.approx(slanted(lean).sum(dtype=int), rel=0.01)


def test_an_empty_image_stays_empty():
    empty = np.zeros((2, 1, 28, 28), np.uint8)
    np.testing.assert_array_equal(prepare(("deslant", "shrink"), empty), empty)


def test_shrinking_brings_a_box_of_20_into_16_in_the_middle():
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[0, 0, 4:24, 4:24] = 200
    small = prepare(("shrink",), image)[0, 0]
    expected = np.zeros((28, 28), np.uint8)
    expected[6:22, 6:22] = 200
    np.testing.assert_array_equal(small, expected)


def test_a_pixel_is_the_mean_of_what_it_covers_and_a_half_becomes_the_larger():
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 5, 7), dtype=np.uint8)
    fine = np.kron(image[0, 0], np.ones((8, 8), dtype=int))
    expected = np.zeros((5, 7), np.uint8)
    for row in range(5):
        for column in range(7):
            covered = [
                (tall, wide)
                for tall in range(10 * row - 5, 10 * row + 5)
                for wide in range(10 * column - 7, 10 * column + 3)
                if 0 <= tall < 40 and 0 <= wide < 56
            ]
            expected[row, column] = (sum(fine[place] for place in covered) + 50) // 100
    np.testing.assert_array_equal(prepare(("shrink",), image)[0, 0], expected)


def test_steps_follow_each_other_and_parts_do_not_matter():
    images = np.random.default_rng(0).integers(0, 256, (4100, 1, 9, 9), dtype=np.uint8)
    both = prepare(("deslant", "frame"), images)
    np.testing.assert_array_equal(both, prepare(("frame",), prepare(("deslant",), images)))
    np.testing.assert_array_equal(both[4097:], prepare(("deslant", "frame"), images[4097:]))


def test_an_unknown_step_is_refused_and_a_known_one_survives_json():
    with pytest.raises(SpecError, match="preparation 'wash' is not one of frame, deslant, shrink"):
        Spec("dirty", 1, 8, 8, (Dense("A", 2),), preparation=("wash",))
    spec = Spec("clean", 1, 8, 8, (Dense("A", 2),), preparation=("deslant", "frame"))
    assert Spec.from_dict(spec.to_dict()) == spec
    assert spec.counts()[0].input_shape == (1, 12, 12)
    assert "preparation" not in Spec("plain", 1, 8, 8, (Dense("A", 2),)).to_dict()
