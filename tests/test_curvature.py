"""Second derivatives of Gauss and Newton, and the optimizer that goes by them.

What is right is found by finite differences in float64: exactly where nothing couples the units
that a weight reaches, and elsewhere layer by layer, as LeCun et al. 1998 define it (appendix C):
each layer's Jacobian, squared number by number.
"""

import numpy as np
import pytest
from conftest import need_native, need_torch

torch = need_torch()
native = need_native()

from lenet.data import load
from lenet.engines.eager import EagerEngine
from lenet.engines.module import build_module, modules_by_layer
from lenet.engines.native import NO_TARGETS, NativeEngine, build_network, instruction_sets
from lenet.network import Convolution, Dense, Pooling, RadialBasis, Spec, Subsampling, zoo
from lenet.network.initialiser import initial_weights
from lenet.network.preparation import prepare
from lenet.recipe import Recipe
from lenet.training.curvature import measure_curvature

SDLM = Recipe(optimizer="sdlm", learning_rate=5e-4, batch_size=1, initialiser="lush")

TABLE = ((0, 1), (1, 2), (0, 2), (0, 1, 2))
SHALLOW = Spec(
    "shallow", 1, 4, 4,
    (
        Dense("A", 5, "tanh"),
        Dense("B", 6, "scaled_tanh"),
        RadialBasis("output", 6, "place", "whole"),
    ),
    pixel_scale=1 / 200,
)  # fmt: skip
DEEP = {
    "1998": Spec(
        "1998", 1, 12, 13,
        (
            Convolution("C1", 3, 3, 1, "scaled_tanh"),
            Subsampling("S2", 2, "scaled_tanh", copies=2),
            Convolution("C3", 4, 3, 0, "tanh", TABLE),
            Subsampling("S4", 2, "sigmoid"),
            Dense("C5", 9, "scaled_tanh", reads=5),
            Dense("F6", 4, "scaled_tanh"),
            RadialBasis("output", 4, "place"),
        ),
        pixel_scale=1 / 200, pixel_shift=-0.1,
    ),
    "modern": Spec(
        "modern", 2, 11, 10,
        (
            Convolution("A", 3, 3, 0, "leaky_relu"),
            Pooling("B", "max"),
            Convolution("C", 4, 3, 1, "relu"),
            Pooling("D", "average"),
            Dense("E", 7, "sigmoid"),
            Dense("F", 5),
        ),
        pixel_scale=1 / 255,
    ),
}  # fmt: skip


def draw(spec, count):
    source = np.random.default_rng(4)
    images = source.integers(0, 256, (count, *spec.input_shape), dtype=np.uint8)
    return images, source.integers(0, spec.classes, count)


def weights_of(spec, seed=5):
    source, masks = np.random.default_rng(seed), spec.masks()
    return {
        name: (source.uniform(-0.6, 0.6, shape) * masks.get(name, 1)).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }


def plain(spec, weights, images):
    """By weight, from the plain kernels in float64."""
    centres = spec.layers[-1].centres().ravel() if isinstance(spec.layers[-1], RadialBasis) else []
    parameters = np.concatenate([*(weights[name].ravel() for name in weights), centres])
    split = native.Split(images, np.zeros(0, np.int64), spec.classes, NO_TARGETS)
    flat = native.reference_curvature(build_network(spec), parameters.astype(np.float64), split)
    named, start = {}, 0
    for name, shape in spec.weight_shapes().items():
        size = int(np.prod(shape))
        named[name] = flat[start : start + size].reshape(shape) * spec.masks().get(name, 1)
        start += size
    return named


def by_modules(spec, weights):
    """The network in float64, layer by layer, and its pixels' scaling."""
    engine = EagerEngine(spec, SDLM, weights, threads=1)
    module = build_module(spec, weights).double()
    steps, layers = iter(list(module.net)[1:]), []
    for layer in modules_by_layer(engine._module, spec):
        layers.append([next(steps) for _ in layer])
    return module, layers


def test_where_nothing_is_coupled_it_is_the_diagonal_of_the_gauss_newton_matrix():
    images, _ = draw(SHALLOW, 3)
    weights = weights_of(SHALLOW)
    module, _ = by_modules(SHALLOW, weights)
    pixels = torch.from_numpy(images).double() * SHALLOW.pixel_scale
    units = torch.nn.Sequential(*list(module.net)[:-1])
    ours, step = plain(SHALLOW, weights, images), 1e-5
    for name, parameter in zip(weights, module.parameters(), strict=True):
        flat = parameter.data.view(-1)
        for place in range(0, len(flat), 3):
            ends = []
            for sign in (1, -1):
                flat[place] += sign * step
                ends.append(units(pixels).detach())
                flat[place] -= sign * step
            slopes = (ends[0] - ends[1]) / (2 * step)
            expected = float(2.0 * (slopes**2).sum(dim=1).mean())
            assert ours[name].ravel()[place] == pytest.approx(expected, rel=1e-6, abs=1e-10)


def squared_jacobian(function, tensor):
    """(outputs, inputs): the squares of finite differences at `tensor`, float64."""
    columns, flat, step = [], tensor.view(-1), 1e-5
    for place in range(len(flat)):
        ends = []
        for sign in (1, -1):
            flat[place] += sign * step
            ends.append(function().detach().reshape(-1).clone())
            flat[place] -= sign * step
        columns.append(((ends[0] - ends[1]) / (2 * step)) ** 2)
    return torch.stack(columns, dim=1)


@torch.no_grad()
def by_finite_differences(spec, weights, image):
    """Second derivatives for one image by the squares of each layer's Jacobian."""
    _, layers = by_modules(spec, weights)
    x = torch.from_numpy(image[None]).double() * spec.pixel_scale + spec.pixel_shift
    passed = []
    for layer, steps in zip(spec.layers, layers, strict=True):
        given, run = x.clone(), torch.nn.Sequential(*steps)
        x = run(given)
        passed.append((layer, given, run))
    if isinstance(spec.layers[-1], RadialBasis):
        last, given, _ = passed.pop()
        flow = torch.full((given.numel(),), 2.0 * last.scale, dtype=torch.float64)
    else:
        chances = x.softmax(dim=1).reshape(-1)
        flow = chances * (1 - chances)
    found = {}
    for layer, given, run in reversed(passed):
        for part, parameter in run.named_parameters():
            name = f"{layer.name}.{part.rsplit('.', 1)[-1]}"
            squares = squared_jacobian(lambda run=run, given=given: run(given), parameter.data)
            values = (squares.T @ flow).reshape(parameter.shape).numpy()
            found[name] = values * spec.masks().get(name, 1)
        flow = squared_jacobian(lambda run=run, given=given: run(given), given).T @ flow
    return found


@pytest.mark.parametrize("network", DEEP)
def test_layer_by_layer_it_is_the_squares_of_finite_differences(network):
    spec = DEEP[network]
    images, _ = draw(spec, 2)
    weights = weights_of(spec)
    ours = plain(spec, weights, images)
    each = [by_finite_differences(spec, weights, image) for image in images]
    for name in weights:
        expected = (each[0][name] + each[1][name]) / 2
        np.testing.assert_allclose(ours[name], expected, rtol=1e-5, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("network", [*DEEP, "lenet5-1998", "lenet1", "lenet4-120", "lenet5"])
def test_both_engines_give_the_plain_ones(network, isa, monkeypatch):
    monkeypatch.setenv("LENET_ISA", isa)
    spec = DEEP.get(network) or zoo.build(network)
    images, labels = draw(spec, 7)
    weights = weights_of(spec) if network in DEEP else initial_weights(spec, SDLM)
    expected = plain(spec, weights, prepare(spec.preparation, images))
    for kind in (NativeEngine, EagerEngine):
        engine = kind(spec, SDLM, weights, threads=1)
        found = engine.curvature(engine.place(images, labels), np.arange(7))
        assert found.keys() == weights.keys()
        for name, array in found.items():
            largest = np.abs(expected[name]).max()
            np.testing.assert_allclose(
                array, expected[name], rtol=2e-4, atol=1e-6 * largest, err_msg=name
            )


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "map"])
@pytest.mark.parametrize("network", ["1998", "lenet5-1998", "lenet4"])
def test_steps_of_one_pattern_and_of_several_go_where_pytorch_goes(network, loss):
    recipe = Recipe.from_dict({
        "optimizer": "sdlm", "learning_rate": 5e-4, "loss": loss, "rubbish_cost": 5.0,
        "initialiser": "lush",
    })  # fmt: skip
    spec = DEEP.get(network) or zoo.build(network)
    images, labels = draw(spec, 40)
    weights = initial_weights(spec, recipe)
    ends = []
    for kind in (NativeEngine, EagerEngine):
        engine = kind(spec, recipe, weights, threads=1)
        placed = engine.place(images, labels)
        measure_curvature(engine, recipe, placed, 40, 1)
        for pattern in range(10):
            engine.step(placed, np.array([pattern]), 5e-4)
        engine.step(placed, np.arange(10, 40), 1e-4)
        engine.step(placed, np.array([3]), 5e-4)
        ends.append((engine.state(), engine.step_metrics()))
    (ours, our_metrics), (theirs, their_metrics) = ends
    for name, array in ours.weights.items():
        np.testing.assert_allclose(array, theirs.weights[name], rtol=2e-4, atol=2e-5, err_msg=name)
    np.testing.assert_allclose(our_metrics.loss, their_metrics.loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(our_metrics.misses, their_metrics.misses)
    assert ours.optimizer.keys() == {f"curvature/{name}" for name in weights}
    assert ours.updates == theirs.updates == 12


def test_a_state_in_the_middle_of_a_pass_goes_on_to_the_same_bytes():
    spec = zoo.build("lenet5-1998")
    images, labels = draw(spec, 30)
    first = NativeEngine(spec, SDLM, initial_weights(spec, SDLM), threads=1)
    placed = first.place(images, labels)
    first.curvature(placed, np.arange(30))
    for pattern in range(15):
        first.step(placed, np.array([pattern]), 5e-4)
    second = NativeEngine(spec, SDLM, initial_weights(spec, SDLM), threads=2)
    second.restore(first.state())
    for engine in (first, second):
        there = engine.place(images, labels)
        engine.logits(there)  # an answer in between changes nothing
        for pattern in range(15, 30):
            engine.step(there, np.array([pattern]), 5e-4)
    for name, array in first.state().weights.items():
        assert array.tobytes() == second.state().weights[name].tobytes()


def test_absent_connections_stay_absent():
    spec = zoo.build("lenet4-120")
    images, labels = draw(spec, 20)
    engine = NativeEngine(spec, SDLM, initial_weights(spec, SDLM), threads=1)
    placed = engine.place(images, labels)
    engine.curvature(placed, np.arange(20))
    for pattern in range(20):
        engine.step(placed, np.array([pattern]), 5e-4)
    for name, mask in spec.masks().items():
        assert not engine.state().weights[name][mask == 0].any()


@pytest.mark.parametrize(
    ("changes", "meets"),
    [
        ({"initialiser": "lecun_1998_rates"}, True),
        ({"initialiser": "lecun_1998"}, False),
        ({"initialiser": "lecun_1998_rates", "squares": "whole"}, False),
    ],
)
def test_only_one_preset_has_the_effective_rates_that_the_paper_reports(
    changes, meets, mnist_folder
):
    """7e-5 to 0.016 in the first pass: LeCun et al. 1998, appendix C."""
    recipe = zoo.recipe_of("lenet5-1998").with_changes(changes)
    spec = zoo.build("lenet5-1998", squares=recipe.squares)
    train = load("mnist", mnist_folder).train
    engine = NativeEngine(spec, recipe, initial_weights(spec, recipe), threads=1)
    placed = engine.place(train.images[:5000], train.labels[:5000])
    masks = spec.masks()
    found = engine.curvature(placed, np.arange(500))
    present = np.concatenate(
        [array[masks.get(name, np.ones_like(array)) == 1] for name, array in found.items()]
    )
    rates = 5e-4 / (recipe.curvature_floor + present)
    inside = 6e-5 < rates.min() < 8.5e-5 and 0.0135 < rates.max() < 0.0165
    assert inside == meets
