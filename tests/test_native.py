import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import FASHION_MNIST, need, need_native

from lenet.data.files import idx
from lenet.engines import native
from lenet.engines.native import NO_TARGETS, NativeEngine, build_network, instruction_sets
from lenet.errors import EngineError
from lenet.network import Convolution, Dense, Pooling, RadialBasis, Spec, Subsampling, zoo
from lenet.network.initialiser import initial_weights
from lenet.network.layers import ACTIVATIONS
from lenet.recipe import Recipe

module = need_native()

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (300, 1, 28, 28), dtype=np.uint8)
LABELS = RANDOM.integers(0, 10, 300)
RECIPES = {
    "sgd": Recipe(learning_rate=0.1),
    "momentum": Recipe(learning_rate=0.1, momentum=0.9, weight_decay=1e-3),
    "nesterov": Recipe(learning_rate=0.1, momentum=0.9, nesterov=True),
    "adamw": Recipe(learning_rate=1e-3, optimizer="adamw", weight_decay=0.01, label_smoothing=0.1),
    "sdlm": Recipe(learning_rate=1e-3, optimizer="sdlm"),
    "averaged, clipped and augmented": Recipe(
        learning_rate=0.1,
        momentum=0.9,
        averaging=0.99,
        clip_norm=0.2,
        augmentation={"shift": 1, "rotation": 10, "elastic": 8, "contrast": 0.2, "erase": 0.5},
    ),
}


@pytest.fixture(params=instruction_sets())
def isa(request, monkeypatch):
    """Each instruction set that this processor has, in turn."""
    monkeypatch.setenv("LENET_ISA", request.param)
    return request.param


def open_engine(spec=None, recipe=None, threads=1, weights=None):
    spec, recipe = spec or zoo.build(), recipe or Recipe()
    return NativeEngine(spec, recipe, weights or initial_weights(spec, recipe), threads=threads)


def train(engine, images, labels, batch_size, learning_rate=0.1):
    placed = engine.place(images, labels)
    order = np.random.default_rng(3).permutation(len(images))
    for start in range(0, len(order), batch_size):
        engine.step(placed, order[start : start + batch_size], learning_rate)
    return engine


def everything(state):
    arrays = {**state.weights, **state.optimizer}
    return {name: array.tobytes() for name, array in arrays.items()} | {"updates": state.updates}


def flat(weights):
    return np.concatenate([array.ravel() for array in weights.values()])


def reference(spec, weights, images, labels, smoothing=0.0):
    """Mean loss, its gradient by name and the logits, from the plain kernels in float64."""
    split = module.Split(images, np.asarray(labels, np.int64), spec.classes, NO_TARGETS)
    parameters = flat(weights).astype(np.float64)
    return module.reference(build_network(spec), parameters, split, cross_entropy(smoothing))


def cross_entropy(smoothing):
    return ("cross_entropy", smoothing, 0.0)


def small(activation="identity", pooling="average", size=2, padding=1, kernel=3):
    """Every kind of layer, with a border that pooling drops and maps that do not fill a vector."""
    layers = (
        Convolution("A", 3, kernel, padding, activation),
        Pooling("B", pooling, size),
        Convolution("C", 5, 2, 1, activation),
        Dense("D", 7, activation),
        Dense("E", 4),
    )
    return Spec("small", 2, 9, 11, layers, pixel_scale=1 / 256, pixel_shift=-0.4)


TABLE = ((0, 1), (1, 2), (0, 2), (0, 1, 2))


def tabled():
    """A convolution whose maps read some of those below."""
    layers = (
        Convolution("C1", 3, 5, activation="scaled_tanh"),
        Pooling("S2", "average"),
        Convolution("C3", 4, 5, activation="scaled_tanh", connections=TABLE),
        Dense("output", 10),
    )
    return Spec("table", 1, 28, 28, layers)


SMALL_IMAGES = RANDOM.integers(0, 256, (6, 2, 9, 11), dtype=np.uint8)
SMALL_LABELS = RANDOM.integers(0, 4, 6)


def draw(spec, seed=5, bound=0.5):
    source = np.random.default_rng(seed)
    return {
        name: source.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_plain_gradients_are_the_finite_differences_of_the_loss(activation, pooling):
    spec = small(activation, pooling)
    parameters = flat(draw(spec)).astype(np.float64)
    network = build_network(spec)
    split = module.Split(SMALL_IMAGES, SMALL_LABELS, spec.classes, NO_TARGETS)
    _, gradient, _ = module.reference(network, parameters, split, cross_entropy(0.1))
    step = 1e-5  # truncation and rounding both stay near 1e-10
    for place in np.random.default_rng(2).choice(len(parameters), 60, replace=False):
        ends = []
        for sign in (1, -1):
            moved = parameters.copy()
            moved[place] += sign * step
            ends.append(module.reference(network, moved, split, cross_entropy(0.1))[0])
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(gradient[place], rel=1e-6, abs=1e-9)


def small_of_1998(squares="half", border=0):
    """The layers of 1998, with rows that squares leave out and maps that fill no vector."""
    layers = (
        Convolution("A", 3, 3, border, "scaled_tanh"),
        Subsampling("B", 2, "scaled_tanh", copies=2),
        Convolution("C", 5, 2, 1, "tanh", ((0, 1), (1, 2, 5), (3, 4), (0, 5), tuple(range(6)))),
        Subsampling("D", 2, "identity"),
        Dense("E", 7, "scaled_tanh", reads=9),
        Dense("F", 4, "scaled_tanh"),
        RadialBasis("G", 4, "place", squares),
    )
    return Spec("small of 1998", 2, 9, 11, layers, pixel_scale=1 / 256, pixel_shift=-0.1)


LOSSES = [("cross_entropy", 0.1, 0.0), ("mse", 0.0, 0.0), ("map", 0.0, 2.0)]


def plain_of_1998(spec, parameters, loss):
    split = module.Split(SMALL_IMAGES, SMALL_LABELS, spec.classes, NO_TARGETS)
    centres = spec.layers[-1].centres().ravel()
    return module.reference(build_network(spec), np.append(parameters, centres), split, loss)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss[0])
@pytest.mark.parametrize("squares", ["half", "whole"])
def test_the_plain_gradients_of_1998_are_the_finite_differences_of_each_loss(squares, loss):
    spec = small_of_1998(squares)
    parameters = flat(draw(spec)).astype(np.float64)
    _, gradient, _ = plain_of_1998(spec, parameters, loss)
    step = 1e-5
    for place in range(0, len(parameters), 5):
        ends = []
        for sign in (1, -1):
            moved = parameters.copy()
            moved[place] += sign * step
            ends.append(plain_of_1998(spec, moved, loss)[0])
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(gradient[place], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss[0])
@pytest.mark.parametrize("border", [0, 1])
def test_each_instruction_set_follows_the_plain_kernels_of_1998(isa, border, loss):
    spec = small_of_1998(border=border)
    masks = spec.masks()
    weights = {name: array * masks.get(name, 1) for name, array in draw(spec).items()}
    expected_loss, gradient, logits = plain_of_1998(spec, flat(weights).astype(np.float64), loss)
    name, smoothing, rubbish = loss
    recipe = Recipe(loss=name, label_smoothing=smoothing, rubbish_cost=rubbish)
    engine = open_engine(spec, recipe, weights=weights)
    placed = engine.place(SMALL_IMAGES, SMALL_LABELS)
    ours, ours_gradient = engine.gradient(placed, np.arange(6))
    assert ours == pytest.approx(expected_loss, rel=1e-5)
    kept = np.concatenate(
        [masks.get(name, np.ones(shape)).ravel() for name, shape in spec.weight_shapes().items()]
    )
    found = gradient[: len(kept)] * kept
    np.testing.assert_allclose(flat(ours_gradient), found, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(engine.logits(placed), logits, rtol=1e-5, atol=1e-5)
    one_by_one = engine.logits(engine.place(SMALL_IMAGES[:3]))
    np.testing.assert_allclose(one_by_one, logits[:3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("pooling", "size"), [("average", 2), ("max", 2), ("max", 3)])
def test_each_instruction_set_follows_the_plain_kernels(isa, activation, pooling, size):
    spec = small(activation, pooling, size)
    weights = draw(spec)
    loss, gradient, logits = reference(spec, weights, SMALL_IMAGES, SMALL_LABELS, 0.1)
    engine = open_engine(spec, Recipe(label_smoothing=0.1), weights=weights)
    placed = engine.place(SMALL_IMAGES, SMALL_LABELS)
    ours, ours_gradient = engine.gradient(placed, np.arange(6))
    # float32 has 24 bits, and the longest sums here have some 200 terms of order one.
    assert ours == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(flat(ours_gradient), gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(engine.logits(placed), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [14, 16])  # C has 3 columns and is plain, or 4 and is filtered
@pytest.mark.parametrize("model", ["relu, max", "identity, average"])
def test_whole_numbers_give_exactly_the_plain_logits(isa, model, columns):
    activation, pooling = model.split(", ")
    layers = (
        Convolution("A", 5, 5, 2, activation),
        Pooling("B", pooling),
        Convolution("C", 6, 5, 0, activation),
        Dense("D", 17, activation),
        Dense("E", 10),
    )
    spec = Spec("whole", 1, 12, columns, layers, pixel_scale=1.0)
    source = np.random.default_rng(1)
    weights = {
        name: 4.0 * source.integers(-1, 2, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    weights |= {name: array / 4 for name, array in weights.items() if name[0] in "DE"}
    images = source.integers(0, 3, (37, 1, 12, columns), dtype=np.uint8)
    _, _, logits = reference(spec, weights, images, np.zeros(37, np.int64))
    assert np.abs(logits).max() < 2**24
    engine = open_engine(spec, weights=weights)
    np.testing.assert_array_equal(engine.logits(engine.place(images)), logits)
    np.testing.assert_array_equal(engine.logits(engine.place(images[:3])), logits[:3])


def test_exponential_sigmoid_and_tanh_are_good_to_a_few_units_in_the_last_place(isa):
    x = np.concatenate([np.linspace(-20, 20, 40001), np.linspace(-0.3, 0.3, 6001)])
    x = x.astype(np.float32)
    exact = x.astype(np.float64)
    truth = np.exp(exact), 1 / (1 + np.exp(-exact)), np.tanh(exact)
    for ours, expected in zip(module.functions(isa, x), truth, strict=True):
        units = np.abs(ours - expected) / np.spacing(np.abs(expected).astype(np.float32))
        assert units.max() < 4


def test_functions_saturate_and_keep_nan(isa):
    x = np.array([-np.inf, -1e4, 1e4, np.inf, np.nan], np.float32)
    _, sigmoid, tanh = module.functions(isa, x)
    np.testing.assert_allclose(sigmoid[:4], [0, 0, 1, 1], atol=1e-37)
    np.testing.assert_array_equal(tanh[:4], [-1, -1, 1, 1])
    assert np.isnan(sigmoid[4])
    assert np.isnan(tanh[4])


def test_the_loss_is_nan_once_the_training_diverged(isa):
    weights = initial_weights(zoo.build(), Recipe())
    weights["output.bias"][0] = np.nan
    engine = open_engine(weights=weights)
    engine.step(engine.place(IMAGES, LABELS), np.arange(256), 0.1)
    assert np.isnan(engine.step_metrics().loss[0])


@pytest.mark.parametrize("count", [*range(1, 34), 255, 256, 257])
def test_any_number_of_images_gives_the_mean_of_single_ones(count):
    engine = open_engine(threads=2)
    placed = engine.place(IMAGES, LABELS)
    loss, gradient = engine.gradient(placed, np.arange(count))
    _, expected, logits = reference(
        zoo.build(), engine.state().weights, IMAGES[:count], LABELS[:count]
    )
    np.testing.assert_allclose(flat(gradient), expected, rtol=1e-3, atol=2e-6)
    ours = engine.logits(engine.place(IMAGES[:count]))
    np.testing.assert_allclose(ours, logits, rtol=1e-4, atol=1e-5)
    shifted = logits - logits.max(1, keepdims=True)
    own = shifted[np.arange(count), LABELS[:count]]
    assert loss == pytest.approx((np.log(np.exp(shifted).sum(1)) - own).mean(), rel=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_epoch_gives_the_same_bytes_for_one_to_eight_threads(recipe, isa):
    images, labels = IMAGES, LABELS
    states, metrics = [], []
    for threads in (1, 2, 3, 4, 5, 6, 7, 8):
        engine = open_engine(recipe=RECIPES[recipe], threads=threads)
        train(engine, images, labels, 77)
        states.append(everything(engine.state()))
        metrics.append(engine.step_metrics().loss.tobytes())
    assert all(state == states[0] for state in states)
    assert all(loss == metrics[0] for loss in metrics)


@pytest.mark.thorough
def test_two_epochs_of_fashion_mnist_give_the_same_bytes_for_any_number_of_threads():
    need(FASHION_MNIST.is_dir(), "install Fashion-MNIST: apt install dataset-fashion-mnist")
    images = idx.read_idx(FASHION_MNIST / "train-images-idx3-ubyte.gz")[:, None]
    labels = idx.read_idx(FASHION_MNIST / "train-labels-idx1-ubyte.gz").astype(np.int64)
    states = []
    for threads in (1, 3, 8):
        engine = open_engine(recipe=Recipe(), threads=threads)
        for _ in range(2):
            train(engine, images, labels, 256, 0.9)
        states.append(everything(engine.state()))
    assert states[1] == states[0]
    assert states[2] == states[0]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_restored_engine_continues_with_the_same_bytes(recipe):
    first = train(open_engine(recipe=RECIPES[recipe]), IMAGES, LABELS, 64)
    second = open_engine(recipe=RECIPES[recipe], threads=2)
    second.restore(first.state())
    for engine in (first, second):
        train(engine, IMAGES, LABELS, 50)
    assert everything(first.state()) == everything(second.state())


def test_answers_are_those_of_the_averaged_weights(isa):
    recipe = RECIPES["averaged, clipped and augmented"]
    engine = train(open_engine(recipe=recipe), IMAGES, LABELS, 64)
    state = engine.state()
    assert {name.split("/")[0] for name in state.optimizer} == {"momentum", "average"}
    other = open_engine(weights=state.answering)
    for count in (1, 40):
        ours, theirs = (each.logits(each.place(IMAGES[:count])) for each in (engine, other))
        assert ours.tobytes() == theirs.tobytes()
    raw = open_engine(weights=state.weights)
    assert not np.array_equal(ours, raw.logits(raw.place(IMAGES[:40])))


def test_the_average_follows_its_rule():
    recipe = Recipe(learning_rate=0.1, averaging=0.3)
    engine = open_engine(recipe=recipe)
    placed, expected = engine.place(IMAGES, LABELS), flat(engine.state().weights).astype(float)
    for step in range(1, 6):
        engine.step(placed, np.arange(40), 0.1)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * flat(engine.state().weights)
    np.testing.assert_allclose(flat(engine.state().answering), expected, rtol=1e-5, atol=1e-7)


def test_a_gradient_is_no_longer_than_it_may_be():
    weights = initial_weights(zoo.build(), Recipe())
    lengths = []
    for clip_norm in (0.0, 0.5, 1e6):
        engine = open_engine(recipe=Recipe(clip_norm=clip_norm), weights=weights)
        engine.step(engine.place(IMAGES, LABELS), np.arange(40), 1.0)
        lengths.append(np.linalg.norm(flat(engine.state().weights) - flat(weights)))
    assert lengths[0] > 0.6
    assert lengths[1] == pytest.approx(0.5, rel=1e-3)
    assert lengths[2] == lengths[0]


@pytest.mark.parametrize("count", [1, 3, 16, 37])
def test_one_hot_targets_are_labels(isa, count):
    engine = open_engine()
    labels, targets = LABELS[:count], np.eye(10, dtype=np.float32)[LABELS[:count]]
    plain = engine.gradient(engine.place(IMAGES[:count], labels), np.arange(count))
    soft = engine.gradient(engine.place(IMAGES[:count], labels, targets), np.arange(count))
    assert soft[0] == pytest.approx(plain[0], rel=1e-6)
    np.testing.assert_allclose(flat(soft[1]), flat(plain[1]), atol=1e-7)


@pytest.mark.parametrize("targets", [np.ones((300, 9), np.float32), np.ones((2, 10), np.float32)])
def test_targets_that_do_not_fit_are_refused(targets):
    with pytest.raises(EngineError, match="a target for each image, a probability for each class"):
        open_engine().place(IMAGES, LABELS, targets)


@pytest.mark.parametrize("network", ["lenet5", "deep"])
def test_a_step_on_one_image_follows_the_plain_kernels(isa, network):
    """Also where a convolution covers its whole input, and where there are several of many maps."""
    layers = (
        Convolution("C1", 6, 5, activation="silu"),
        Pooling("S2", "max"),
        Convolution("C3", 18, 5, activation="tanh"),
        Pooling("S4", "average"),
        Convolution("C4", 20, 3, 1, "relu"),
        Convolution("C5", 30, 5, activation="silu"),
        Dense("output", 10),
    )
    spec = zoo.build() if network == "lenet5" else Spec("deep", 2, 32, 32, layers)
    weights = draw(spec, bound=0.2)
    images = RANDOM.integers(0, 256, (1, *spec.input_shape), dtype=np.uint8)
    loss, expected, _ = reference(spec, weights, images, LABELS[:1], 0.1)
    engine = open_engine(spec, Recipe(label_smoothing=0.1), weights=weights)
    ours, gradient = engine.gradient(engine.place(images, LABELS[:1]), np.arange(1))
    assert ours == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(flat(gradient), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", ["lenet5", "lenet5-relu", "lenet5-small", "table"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradient_and_update_in_one_pass_give_the_bytes_of_two(isa, model, batch_size, threads):
    """A gradient that may be clipped is kept whole first, here for a bound that it never meets."""
    spec, ends = tabled() if model == "table" else zoo.build(model), []
    images = RANDOM.integers(0, 256, (12, *spec.input_shape), dtype=np.uint8)
    for clip_norm in (0.0, 1e9):
        engine = open_engine(spec, Recipe(clip_norm=clip_norm), threads=threads)
        ends.append(everything(train(engine, images, LABELS[:12], batch_size).state()))
    assert ends[0] == ends[1]
    assert ends[0] != everything(open_engine(spec, Recipe(clip_norm=0.0)).state())


def test_a_state_is_a_copy():
    engine = open_engine(recipe=RECIPES["momentum"])
    before = everything(engine.state())
    train(engine, IMAGES, LABELS, 100)
    state = engine.state()
    for array in (*state.weights.values(), *state.optimizer.values()):
        array[...] = 7
    assert everything(engine.state()) != before
    assert not any((array == 7).all() for array in engine.state().weights.values())


def test_metrics_tell_each_step_once():
    engine = open_engine()
    placed = engine.place(IMAGES, LABELS)
    misses = int((engine.logits(placed)[:40].argmax(1) != LABELS[:40]).sum())
    engine.step(placed, np.arange(40), 0.1)
    engine.step(placed, np.arange(40, 47), 0.1)
    metrics = engine.step_metrics()
    assert metrics.images.tolist() == [40, 7]
    assert metrics.misses[0] == misses
    assert metrics.loss.dtype == np.float64
    assert len(engine.step_metrics().loss) == 0


def test_activations_are_those_of_each_layer():
    spec = zoo.build("lenet5-relu")
    engine = open_engine(spec)
    outputs = engine.activations(engine.place(IMAGES[:21]))
    shapes = {row.name: (21, *row.output_shape) for row in spec.counts()}
    assert {name: array.shape for name, array in outputs.items()} == shapes
    pooled = outputs["C1"].reshape(21, 6, 14, 2, 14, 2).max((3, 5))
    np.testing.assert_array_equal(pooled, outputs["S2"])
    logits = engine.logits(engine.place(IMAGES[:21]))
    np.testing.assert_array_equal(outputs["output"][:, :, 0, 0], logits)


def test_connection_tables_keep_their_absent_weights_at_zero():
    spec = tabled()
    engine = train(open_engine(spec, RECIPES["momentum"]), IMAGES, LABELS, 30)
    weight = engine.state().weights["C3.weight"]
    for output, inputs in enumerate(TABLE):
        absent = [i for i in range(3) if i not in inputs]
        assert (weight[output, absent] == 0).all()
        assert (weight[output, list(inputs)] != 0).all()


@pytest.mark.parametrize(
    "sizes", [(1, 28, 28), (3, 32, 32), (4, 32, 32), (1, 64, 64), (2, 28, 45), (1, 16, 16)]
)
def test_pictures_of_other_sizes_train(sizes):
    channels, height, width = sizes
    spec = zoo.build(channels=channels, height=height, width=width, classes=7)
    weights = initial_weights(spec, Recipe())
    images = RANDOM.integers(0, 256, (5, *sizes), dtype=np.uint8)
    labels = RANDOM.integers(0, 7, 5)
    _, expected, logits = reference(spec, weights, images, labels)
    engine = open_engine(spec, weights=weights)
    _, gradient = engine.gradient(engine.place(images, labels), np.arange(5))
    np.testing.assert_allclose(flat(gradient), expected, rtol=1e-3, atol=1e-5)
    for count in (1, 5):
        ours = engine.logits(engine.place(images[:count]))
        np.testing.assert_allclose(ours, logits[:count], rtol=1e-4, atol=1e-4)


def test_two_threads_of_python_take_turns():
    engine = open_engine(threads=2)
    callers = [threading.Thread(target=train, args=(engine, IMAGES, LABELS, 20)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert engine.state().updates == 4 * 15


def child_logits(engine, placed, queue):
    queue.put(engine.logits(placed))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_computes_with_threads_of_its_own():
    context = multiprocessing.get_context("fork")
    engine = open_engine(threads=2)
    placed = engine.place(IMAGES, LABELS)
    expected = engine.logits(placed)
    queue = context.Queue()
    child = context.Process(target=child_logits, args=(engine, placed, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), expected)
    child.join(60)
    assert child.exitcode == 0


def test_lenet_isa_chooses_and_an_unknown_one_is_refused(isa, monkeypatch):
    assert native.instruction_set() == isa
    monkeypatch.setenv("LENET_ISA", "mmx")
    with pytest.raises(EngineError, match=r"LENET_ISA=mmx: this processor has .*baseline"):
        open_engine()


def test_what_cannot_be_done_is_refused_by_layer_with_the_cure():
    late = (Dense("A", 16), Convolution("B", 2, 1), Dense("C", 10))
    with pytest.raises(EngineError, match=r"cannot do layer B: it comes after a dense.*eager"):
        open_engine(Spec("late", 1, 28, 28, late))
    wide = (Convolution("A", 60000, 28), Dense("B", 60000), Dense("C", 10))
    with pytest.raises(
        EngineError, match=r"cannot do layer B: it is too large; use --engine eager"
    ):
        build_network(Spec("wide", 1, 28, 28, wide))
    deep = tuple(Dense(f"D{k}", 4) for k in range(33))
    with pytest.raises(EngineError, match="32 layers at most; use --engine eager"):
        open_engine(Spec("deep", 1, 28, 28, deep))


@pytest.mark.parametrize("index", [-1, 300, 2**62, -(2**63)])
def test_an_index_out_of_range_is_refused_and_changes_nothing(index):
    engine = open_engine()
    before = everything(engine.state())
    with pytest.raises(EngineError, match="an index is not one of the images"):
        engine.step(engine.place(IMAGES, LABELS), np.array([0, index]), 0.1)
    assert everything(engine.state()) == before
    assert len(engine.step_metrics().loss) == 0


@pytest.mark.parametrize("label", [-1, 10, 2**40])
def test_a_label_out_of_range_is_refused(label):
    with pytest.raises(EngineError, match="a label is not one of the classes"):
        open_engine().place(IMAGES[:2], np.array([0, label]))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float32), LABELS, "float32.*reads uint8"),
        (IMAGES[:, 0], LABELS, r"\(300, 28, 28\).*uint8 \(n, 1, 28, 28\)"),
        (IMAGES[:, :, :27], LABELS, "27"),
        (IMAGES, LABELS[:-1], "a label for each image"),
        (IMAGES, LABELS.astype(np.float64), "these labels cannot be used"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(EngineError, match=message):
        open_engine().place(images, labels)


@pytest.mark.parametrize(
    "indices", [np.zeros(0, np.int64), np.zeros(3), np.zeros((2, 2), np.int64)]
)
def test_indices_that_are_no_batch_are_refused(indices):
    engine = open_engine()
    with pytest.raises(EngineError, match="this step cannot be taken"):
        engine.step(engine.place(IMAGES, LABELS), indices, 0.1)


def test_images_without_labels_and_of_another_network_are_refused():
    engine, other = open_engine(), open_engine(zoo.build(classes=4))
    with pytest.raises(EngineError, match="placed without labels"):
        engine.step(engine.place(IMAGES), np.arange(4), 0.1)
    with pytest.raises(EngineError, match="placed for other classes"):
        other.step(engine.place(IMAGES, LABELS), np.arange(4), 0.1)


def test_images_are_read_where_they_lie():
    images = IMAGES.copy()
    engine = open_engine()
    placed = engine.place(images)
    before = engine.logits(placed)
    images[:] = 255 - images
    assert (engine.logits(placed) != before).any()


def test_the_peak_is_a_rate():
    assert native.measure_peak(0.05) > 1e8


def run_python(script, **options):
    """A process of its own: it may be short of memory or threads, or be killed by a fault."""
    code = PREPARATION + script
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False,
        **options,
    )  # fmt: skip


PREPARATION = """
import ctypes, os, resource, sys, threading, time
import numpy as np
from lenet.engines.native import NativeEngine
from lenet.errors import EngineError
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe

spec, recipe = zoo.build(), Recipe(learning_rate=0.1, momentum=0.9)
images = np.random.default_rng(0).integers(0, 256, (300, 1, 28, 28), dtype=np.uint8)
labels = np.random.default_rng(1).integers(0, 10, 300)

def open_engine(threads=1):
    return NativeEngine(spec, recipe, initial_weights(spec, recipe), threads=threads)

def limit_memory(more):
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))

def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""

linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits are Linux's")


@linux
def test_a_batch_beyond_memory_is_refused_and_the_engine_goes_on_with_the_same_bytes():
    done = run_python("""
engine, other = open_engine(), open_engine()
placed = engine.place(images, labels)
large = np.arange(400_000) % 300
for call in ("step", "gradient"):
    limit_memory(1 << 28)
    try:
        getattr(engine, call)(placed, large, *([0.1] if call == "step" else []))
    except EngineError as error:
        print(error)
    lift()
for each in (engine, other):
    for count in (4, 200, 300):
        each.step(placed, np.arange(count), 0.1)
ours, theirs = engine.state().weights, other.state().weights
print(all((ours[name] == theirs[name]).all() for name in ours))
""")
    assert done.returncode == 0, done.stderr
    step, gradient, same = done.stdout.splitlines()
    large = "a batch of 400,000 images needs more memory than there is; use a smaller one"
    assert step == f"this step cannot be taken: {large}"
    assert gradient == f"this gradient cannot be computed: {large}"
    assert same == "True"


@linux
def test_whatever_is_too_large_for_memory_is_named_in_one_error():
    done = run_python("""
engine = open_engine()
many = np.zeros((40_000, 1, 28, 28), np.uint8)
placed = engine.place(many)
def attempt(call):
    limit_memory(1 << 20)
    try:
        call()
    except EngineError as error:
        print(error)
    finally:
        lift()
attempt(lambda: engine.activations(placed))
attempt(lambda: engine.logits(placed))
attempt(lambda: engine.place(many[:, :, ::-1]))
attempt(lambda: open_engine(threads=1))
print(engine.logits(engine.place(images)).shape)
""")
    assert done.returncode == 0, done.stderr
    activations, logits, place, construction, shape = done.stdout.splitlines()
    assert "activations of 40,000 images needs more memory than there is" in activations
    assert "logits of 40,000 images needs more memory than there is" in logits
    assert "a copy of 40,000 images needs more memory than there is" in place
    assert "61,706 parameters on 1 threads needs more memory than there is" in construction
    assert shape == "(300, 10)"


@pytest.mark.thorough
def test_indices_that_change_during_a_step_do_no_harm():
    done = run_python("""
engine = open_engine()
placed = engine.place(images, labels)
indices, leaving = np.zeros(4096, np.int64), threading.Event()
def refill():
    while not leaving.is_set():
        indices[:] = 2**40
        indices[:] = 0
filler = threading.Thread(target=refill)
filler.start()
taken = refused = 0
while taken < 20 and taken + refused < 5000:
    try:
        engine.step(placed, indices, 0.0)
        taken += 1
    except EngineError:
        refused += 1
leaving.set()
filler.join()
print("alive")
""")
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_indices_of_any_stride_and_address_are_those_that_were_given():
    indices = np.array([5, 250, 7, 7, 299])
    spaced, record = np.zeros(10, np.int64), np.zeros(5, [("flag", "u1"), ("index", "<i8")])
    spaced[::2], record["index"] = indices, indices
    unaligned = np.zeros(41, np.uint8)[1:].view(np.int64)
    unaligned[:] = indices
    assert not unaligned.flags.aligned
    expected = None
    for view in (indices, spaced[::2], indices[::-1][::-1], record["index"], unaligned):
        engine = open_engine()
        engine.step(engine.place(IMAGES, LABELS), view, 0.1)
        expected = expected or everything(engine.state())
        assert everything(engine.state()) == expected


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@fork
def test_a_fork_while_another_thread_steps_leaves_a_child_that_can_compute():
    done = run_python("""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
engine = open_engine(threads=2)
placed = engine.place(images, labels)
leaving = threading.Event()
def train():
    while not leaving.is_set():
        engine.step(placed, np.arange(300), 0.0)
trainer = threading.Thread(target=train)
trainer.start()
codes = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        before = engine.state().updates
        engine.step(placed, np.arange(100), 0.0)
        os._exit(0 if engine.state().updates == before + 1 else 3)
    end = time.monotonic() + 60
    while (reaped := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if reaped[0] == 0:
        os.kill(child, 9)
        codes.append("waits for ever")
        break
    codes.append(os.waitstatus_to_exitcode(reaped[1]))
leaving.set()
trainer.join()
print(codes)
""")
    assert (done.returncode, done.stdout) == (0, f"{[0] * 20}\n"), done.stderr


@linux
def test_a_forked_child_that_gets_no_threads_is_told_so_each_time_and_lives():
    done = run_python("""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
engine = open_engine(threads=4)
placed = engine.place(images, labels)
child = os.fork()
if child == 0:
    libc, attributes = ctypes.CDLL(None), (ctypes.c_char * 256)()
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(1 << 30))
    assert libc.pthread_setattr_default_np(attributes) == 0
    limit_memory(1 << 28)  # less than such a stack
    for _ in range(2):
        try:
            engine.step(placed, np.arange(100), 0.1)
        except EngineError as error:
            os.write(1, f"{error}\\n".encode())
    lift()
    engine.step(placed, np.arange(100), 0.1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
""")
    assert done.returncode == 0, done.stderr
    *refusals, code = done.stdout.splitlines()
    assert len(refusals) == 2, done.stdout
    assert all("this step cannot be taken" in refusal for refusal in refusals)
    assert code == "0"


@pytest.mark.thorough
def test_python_goes_on_while_a_state_waits_for_its_turn():
    done = run_python("""
engine = open_engine()
placed = engine.place(images, labels)
order, ends = np.arange(60_000) % 300, []
def step():
    engine.step(placed, order, 0.1)
    ends.append("step")
stepper = threading.Thread(target=step)
stepper.start()
time.sleep(0.1)
state = threading.Thread(target=lambda: (engine.state(), ends.append("state")))
state.start()
moments = 0
while not ends and moments < 20:
    time.sleep(0.001)
    moments += not ends
print(moments)
stepper.join()
state.join()
print(sorted(ends))
""")
    assert (done.returncode, done.stdout) == (0, "20\n['state', 'step']\n"), done.stderr


def test_a_daemon_thread_that_steps_does_not_abort_the_end_of_the_process():
    done = run_python("""
engine = open_engine()
placed = engine.place(images, labels)
def train():
    while True:
        engine.step(placed, np.arange(300), 0.1)
for _ in range(3):
    threading.Thread(target=train, daemon=True).start()
time.sleep(0.5)
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_call_with_what_it_cannot_use_is_an_engine_error():
    engine, other = open_engine(), open_engine(small(), weights=draw(small()))
    placed = engine.place(IMAGES, LABELS)
    for call in (other.logits, other.activations):
        with pytest.raises(EngineError, match=r"cannot be computed: the images do not have"):
            call(placed)
    for call in (engine.logits, engine.activations):
        with pytest.raises(EngineError, match=r"cannot be computed: what is given must be images"):
            call(IMAGES)
    for indices in (np.array([300]), np.zeros(3), np.zeros((2, 2), np.int64), ["a"], [[1], [2, 3]]):
        with pytest.raises(EngineError, match=r"this gradient cannot be computed: .*int64 \(n,\)"):
            engine.gradient(placed, indices)
    with pytest.raises(EngineError, match=r"this step cannot be taken: it takes int64 \(n,\)"):
        engine.step(placed, np.arange(3), "fast")
    with pytest.raises(EngineError, match=r"uint8 \(n, 1, 28, 28\)"):
        engine.place([[1, 2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.weights.pop("C1.weight"), "C1.weight is missing"),
        (
            lambda state: state.weights.update({"C1.bias": np.zeros((2, 3), np.float32)}),
            r"C1.bias is \(2, 3\), not \(6,\)",
        ),
        (lambda state: state.weights.update({"C1.bias": np.full(6, "x")}), "could not convert"),
        (
            lambda state: state.optimizer.update({"momentum/C1.bias": np.zeros(7, np.float32)}),
            r"C1.bias is \(7,\), not \(6,\)",
        ),
        (lambda state: object.__setattr__(state, "updates", -1), "whole number of updates"),
        (lambda state: object.__setattr__(state, "updates", 1.5), "whole number of updates"),
        (lambda state: object.__setattr__(state, "updates", 2**70), "whole number of updates"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    engine = train(open_engine(recipe=RECIPES["momentum"]), IMAGES, LABELS, 100)
    before, state = everything(engine.state()), engine.state()
    change(state)
    with pytest.raises(EngineError, match=f"this state cannot be restored: .*{message}"):
        engine.restore(state)
    assert everything(engine.state()) == before
    assert len(engine.step_metrics().loss) == 3


@pytest.mark.parametrize("threads", [-1, 1025, 2.5, 2**40])
def test_a_number_of_threads_that_cannot_be_is_refused(threads):
    with pytest.raises(EngineError, match=r"threads: .*1 to 1024 threads are possible"):
        open_engine(threads=threads)


def test_weights_that_do_not_fit_the_network_are_refused():
    weights = initial_weights(zoo.build(), Recipe())
    weights["output.bias"] = np.zeros(9, np.float32)
    with pytest.raises(EngineError, match=r"output.bias is \(9,\), not \(10,\)"):
        open_engine(weights=weights)
