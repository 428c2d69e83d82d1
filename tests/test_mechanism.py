"""What is seen inside a network while it trains."""

import numpy as np
import pytest

from lenet import data
from lenet.engines import open_engine
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.studies.mechanism import Recorder, relative_slope
from lenet.training.watcher import Plan

PLAN = Plan("a training", 1, 10, 1, 0)


def recorder(head, weights=None, **recipe):
    train = data.load("digits").train
    spec = zoo.build(changes={"head_activation": head})
    numbers = Recipe(**recipe)
    engine = open_engine(spec, numbers, weights or initial_weights(spec, numbers), threads=1)
    return Recorder(engine, spec, train.at(np.arange(100)), steps_per_epoch=10)


@pytest.mark.parametrize(
    ("activation", "inputs"),
    [("sigmoid", (0.0, 9.0)), ("tanh", (0.0, 9.0)), ("scaled_tanh", (0.0, 9.0))],
)
def test_a_bounded_activation_is_steep_in_the_middle_and_flat_far_out(activation, inputs):
    functions = {
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "tanh": np.tanh,
        "scaled_tanh": lambda a: 1.7159 * np.tanh(2 / 3 * a),
    }
    outputs = functions[activation](np.array(inputs)).astype(np.float32)
    steep, flat = relative_slope(outputs, activation)
    assert steep == pytest.approx(1.0, abs=1e-6)
    assert flat < 0.01


def test_slopes_are_those_that_finite_differences_give():
    a = np.linspace(-3.0, 3.0, 13)
    for name, function, largest in (
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), 0.25),
        ("tanh", np.tanh, 1.0),
    ):
        numeric = (function(a + 1e-5) - function(a - 1e-5)) / 2e-5 / largest
        assert np.allclose(relative_slope(function(a), name), numeric, atol=1e-6)


def test_piecewise_linear_activations_are_flat_below_zero():
    outputs = np.array([-1.0, 0.0, 2.0], np.float32)
    assert relative_slope(outputs, "relu").tolist() == [0.0, 0.0, 1.0]
    assert relative_slope(outputs, "leaky_relu").tolist() == [0.01, 0.01, 1.0]
    assert relative_slope(outputs, "identity").tolist() == [1.0, 1.0, 1.0]


def test_a_silu_does_not_tell_its_slope_and_all_else_is_seen():
    assert relative_slope(np.array([-0.2, 1.0], np.float32), "silu") is None
    seen = recorder("silu")
    seen.start(PLAN)
    (row,) = seen.rows
    assert (row["saturated"], row["dead"]) == (None, None)
    assert row["loss"] > 0
    assert all(row["gradient_norm"].values())


def test_it_looks_at_the_start_at_powers_of_two_and_after_epochs():
    seen = recorder("sigmoid")
    seen.start(PLAN)
    for epoch in (1, 2):
        for step in range(1, 11):
            seen.step(epoch, step)
    assert [row["updates"] for row in seen.rows] == [0, 1, 2, 4, 8, 10, 16, 20]


def test_gradient_norms_are_those_of_the_engine():
    seen = recorder("sigmoid")
    seen.start(PLAN)
    placed = seen.engine.place(seen.probe.images, seen.probe.labels)
    loss, gradient = seen.engine.gradient(placed, np.arange(100))
    norm = np.sqrt(np.sum(gradient["F6.weight"] ** 2) + np.sum(gradient["F6.bias"] ** 2))
    assert seen.rows[0]["loss"] == loss
    assert seen.rows[0]["gradient_norm"]["F6"] == pytest.approx(float(norm), rel=1e-5)
    assert set(seen.rows[0]["gradient_norm"]) == {"C1", "C3", "C5", "F6", "output"}


def test_dead_units_are_counted():
    spec = zoo.build(changes={"head_activation": "relu"})
    weights = initial_weights(spec, Recipe())
    weights["F6.bias"][:21] = -1000.0
    seen = recorder("relu", weights)
    seen.start(PLAN)
    assert seen.rows[0]["dead"] >= 21 / 84
    assert seen.rows[0]["saturated"] >= seen.rows[0]["dead"]
    alive = recorder("identity")
    alive.start(PLAN)
    assert alive.rows[0]["dead"] == alive.rows[0]["saturated"] == 0.0


def test_after_a_number_that_is_not_finite_it_looks_no_more():
    spec = zoo.build(changes={"head_activation": "identity"})
    weights = initial_weights(spec, Recipe())
    weights["output.weight"][:] = np.nan
    seen = recorder("identity", weights)
    seen.start(PLAN)
    seen.step(1, 1)
    assert len(seen.rows) == 1
    assert seen.rows[0]["loss"] is None
