import math

import numpy as np
import pytest

from lenet.network import Convolution, Dense, Spec, zoo
from lenet.network.initialiser import connection_masks, initial_weights, weight_bound
from lenet.recipe import Recipe
from lenet.recipe.recipe import INITIALISERS


@pytest.mark.parametrize("initialiser", INITIALISERS)
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
    assert connection_masks(spec)["C1.weight"].sum() == 3 * 9
