import math

import numpy as np
import pytest

from lenet.network import Convolution, Dense, Spec, zoo
from lenet.network.initialiser import initial_weights, weight_bound
from lenet.recipe import Recipe
from lenet.recipe.recipe import INITIALISERS

OF_1998 = ("lecun_1998", "lecun_1998_rates", "lush")


@pytest.mark.parametrize("initialiser", [name for name in INITIALISERS if name not in OF_1998])
def test_weights_fill_the_published_interval(initialiser):
    weights = initial_weights(zoo.build(), Recipe(initialiser=initialiser))["C5.weight"]
    bound = weight_bound(initialiser, weights.shape)
    assert 0.999 * bound < np.abs(weights).max() <= bound
    assert weights.var() == pytest.approx(bound**2 / 3, rel=0.02)


def test_the_bounds_are_those_of_the_papers():
    shape = (16, 6, 5, 5)  # fan in 150, fan out 400
    assert weight_bound("xavier_uniform", shape) == pytest.approx(math.sqrt(6 / 550))
    assert weight_bound("lecun_uniform", shape) == pytest.approx(math.sqrt(3 / 150))
    assert weight_bound("kaiming_uniform", shape) == pytest.approx(math.sqrt(6 / 150))


def test_biases_are_drawn_as_pytorch_draws_them():
    bias = initial_weights(zoo.build(), Recipe())["C5.bias"]
    assert 0.9 / 20 < np.abs(bias).max() <= 1 / math.sqrt(400)


def test_seeds_differ_and_a_seed_repeats():
    first, again, other = (
        initial_weights(zoo.build(), Recipe(seed=seed))["C1.weight"] for seed in (0, 0, 1)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_networks_share_the_numbers_of_layers_that_they_share():
    note, textbook = (initial_weights(zoo.build(name), Recipe()) for name in list(zoo.ZOO)[:2])
    assert all(note[name].tobytes() == textbook[name].tobytes() for name in note)


def test_a_connection_table_leaves_no_weight_between_unconnected_maps():
    layers = (Convolution("C1", 2, 3, connections=((0,), (0, 1))), Dense("output", 3))
    spec = Spec("test", 2, 8, 8, layers)
    weights = initial_weights(spec, Recipe())["C1.weight"]
    assert not weights[0, 1].any()
    assert weights[1].all()
    assert spec.masks()["C1.weight"].sum() == 3 * 9


@pytest.mark.parametrize(
    ("initialiser", "bound", "coefficient"),
    [
        ("lecun_1998", lambda fan_in: 2.4 / fan_in, 0.6),
        ("lecun_1998_rates", lambda fan_in: 1.2 / math.sqrt(fan_in), 0.6),
        ("lush", lambda fan_in: 1 / math.sqrt(fan_in), 0.5),
    ],
)
def test_the_presets_of_1998_count_the_connections_of_each_unit(initialiser, bound, coefficient):
    weights = initial_weights(zoo.build("lenet5-1998"), Recipe(initialiser=initialiser))
    for unit, table in ((0, 3), (7, 4), (15, 6)):
        largest = np.abs(weights["C3.weight"][unit]).max()
        assert 0.9 * bound(25 * table) < largest <= bound(25 * table) * (1 + 1e-6)
    assert 0.999 * bound(400) < np.abs(weights["C5.weight"]).max() <= bound(400) * (1 + 1e-6)
    assert set(weights["S2.weight"]) == {np.float32(coefficient)}
    assert not any(weights[name].any() for name in weights if name.endswith(".bias"))


def test_a_subsampling_begins_as_an_average_for_the_other_presets():
    weights = initial_weights(zoo.build("lenet5-1998"), Recipe())
    assert set(weights["S4.weight"]) == {np.float32(0.25)}
    assert not weights["S4.bias"].any()
