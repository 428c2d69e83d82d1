"""What can be told of arrays in a network's shape."""

import numpy as np
import pytest

from lenet import data
from lenet.data.pictures.arrays import look_transposed, settle, settle_one
from lenet.data.pictures.convention import AS_GIVEN, CLOTHES, MNIST


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion-mnist"])
def test_nothing_is_found_in_the_published_images(name, mnist_folder, fashion_mnist):
    dataset = data.load(name, mnist_folder if name == "mnist" else None)
    images = dataset.test.images
    settled, light = settle(images, dataset.convention)
    assert settled is images
    assert not light.any()
    for start in range(0, len(images), 50):
        assert not look_transposed(images[start : start + 50])


def test_the_transposed_published_digits_are_told(mnist_folder):
    images = data.load("mnist", mnist_folder).test.images.transpose(0, 1, 3, 2)
    parts = [look_transposed(images[start : start + 500]) for start in range(0, len(images), 500)]
    assert all(parts)


def test_only_a_network_of_light_ink_turns_a_light_ground():
    page = np.full((1, 28, 28), 250, np.uint8)
    page[0, 9:19, 12:15] = 5
    assert settle_one(page, MNIST)[1] == settle_one(page, CLOTHES)[1] != ()
    assert settle_one(page, AS_GIVEN)[1] == ()
    np.testing.assert_array_equal(settle_one(page, MNIST)[0], 255 - page)
    colour = np.repeat(page, 3, axis=0)
    assert settle_one(colour, CLOTHES)[0] is not None
    assert settle_one(colour, CLOTHES)[1] == ()


def test_blank_images_are_not_called_faint():
    assert settle_one(np.zeros((1, 28, 28), np.uint8), MNIST)[1] == ()
