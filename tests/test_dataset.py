import hashlib

import numpy as np
import pytest

from lenet import data
from lenet.data.dataset import Split, stratified_split
from lenet.data.published.digest import record_digest
from lenet.data.published.digits import enlarge
from lenet.errors import DataError, UsageError


def split_of(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return Split(images, labels)


def test_held_out_images_are_in_proportion_and_in_nothing_twice():
    split = split_of([60, 30, 9])
    rest, held_out = data.hold_out(split, 33, seed=1)
    assert np.bincount(held_out.labels).tolist() == [20, 10, 3]
    found = np.concatenate([rest.images.ravel(), held_out.images.ravel()])
    assert sorted(found) == list(range(99))


def test_shares_add_up_where_they_do_not_divide():
    for count in range(1, 99):
        _, held_out = data.hold_out(split_of([60, 30, 9]), count, seed=0)
        assert len(held_out) == count


def test_the_seed_chooses_the_held_out_images():
    splits = [data.hold_out(split_of([99]), 20, seed)[1].images.tobytes() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_holding_out_nothing_leaves_the_split_as_it_is():
    split = split_of([5, 5])
    rest, held_out = data.hold_out(split, 0, seed=0)
    assert rest is split
    assert len(held_out) == 0


def test_a_class_that_is_absent_has_no_share():
    rest, chosen = stratified_split(split_of([4, 0, 4]), 4, np.arange(8))
    assert np.bincount(chosen.labels).tolist() == [2, 0, 2]
    assert len(rest) == 4


def test_digits_are_all_there_in_mnists_form():
    digits = data.load("digits")
    assert digits.train.images.shape == (1437, 1, 28, 28)
    assert digits.test.images.shape == (360, 1, 28, 28)
    assert digits.train.images.dtype == np.uint8
    assert digits.train.images.max() == 255
    assert np.bincount(digits.test.labels).min() >= 34
    assert not digits.train.images[:, :, :4].any()
    assert digits.digests == data.load("digits").digests != {}


def test_digits_train_and_test_share_no_image():
    digits = data.load("digits")
    train = {image.tobytes() for image in digits.train.images}
    shared = sum(image.tobytes() in train for image in digits.test.images)
    assert shared == 0


def test_an_enlarged_digit_keeps_its_extremes():
    picture = np.zeros((1, 8, 8), np.uint8)
    picture[0, 2:6, 2:6] = 16
    (large,) = enlarge(picture)
    assert large.shape == (28, 28)
    assert large[14, 14] == 255
    assert large[0, 0] == 0


def test_fashion_mnist_is_the_real_one(fashion_mnist):
    dataset = data.load(fashion_mnist)
    assert dataset.train.images.shape == (60_000, 1, 28, 28)
    assert np.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert dataset.class_names[9] == "ankle boot"
    assert len(dataset.digests) == 4


def test_mnist_is_the_real_one(mnist_folder):
    dataset = data.load("mnist", mnist_folder)
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_files_lying_loose_in_a_folder_are_told_apart_by_their_digests(mnist_folder, fashion_mnist):
    location = data.locate("mnist", mnist_folder / "mnist")
    assert location is not None
    assert location.folder == mnist_folder / "mnist"
    assert data.locate("fashion-mnist", mnist_folder / "mnist").folder.name == "fashion-mnist"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match="'cifar'; known are fashion-mnist, mnist"):
        data.load("cifar")


def write_emnist(folder, split, labels):
    """A tiny set in EMNIST's form: transposed pictures, and a file's sizes as they come."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 20, 3] = 255
    for part in ("train", "test"):
        for kind, array in (("images-idx3", images), ("labels-idx1", np.array(labels, np.uint8))):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            name = f"emnist-{split}-{part}-{kind}-ubyte"
            (folder / name).write_bytes(head + array.tobytes())
            record_digest(folder, name, hashlib.sha256(head + array.tobytes()).hexdigest())


def test_emnist_is_turned_upright_and_letters_start_at_zero(tmp_path):
    (tmp_path / "emnist-letters").mkdir()
    write_emnist(tmp_path / "emnist-letters", "letters", [1, 26])
    dataset = data.load("emnist-letters", tmp_path)
    assert dataset.train.labels.tolist() == [0, 25]
    assert dataset.train.images[0, 0, 3, 20] == 255


def test_a_label_without_a_class_is_refused(tmp_path):
    (tmp_path / "emnist-letters").mkdir()
    write_emnist(tmp_path / "emnist-letters", "letters", [1, 27])
    with pytest.raises(DataError, match="a label is not one of 26 classes"):
        data.load("emnist-letters", tmp_path)
