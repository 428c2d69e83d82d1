import numpy as np

from lenet.system import rng


def test_a_permutation_holds_every_index_once():
    assert sorted(rng.permutation(1000, 3, "order", 7)) == list(range(1000))


def test_a_key_gives_the_same_bytes_for_ever():
    # Written down once: a change of these numbers would change every published run.
    assert rng.permutation(8, 0, "order", 1).tolist() == [0, 6, 2, 5, 4, 7, 1, 3]
    expected = [-0.5308448076248169, 0.8509268164634705, -0.22709496319293976]
    assert rng.uniform((3,), 1.0, 0, "initial", "C1.weight").tolist() == expected


def test_different_keys_give_different_streams():
    keys = [(0, "order", 1), (0, "order", 2), (1, "order", 1), (0, "initial", 1), (0, "order", "1")]
    assert len({rng.permutation(100, *key).tobytes() for key in keys}) == len(keys)


def test_uniform_numbers_fill_their_interval_evenly():
    numbers = rng.uniform((200_000,), 2.0, 5)
    assert numbers.dtype == np.float32
    assert numbers.min() >= -2.0
    assert numbers.max() <= 2.0
    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.var() - 4.0 / 3.0) < 0.01


def test_every_position_of_a_permutation_is_equally_likely():
    first = np.array([rng.permutation(5, seed)[0] for seed in range(5000)])
    assert np.abs(np.bincount(first, minlength=5) - 1000).max() < 120
