import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import need_torch

torch = need_torch()

from lenet.engines.eager import EagerEngine
from lenet.engines.module import LeNet, build_module
from lenet.errors import EngineError
from lenet.network import Convolution, Dense, Pooling, RadialBasis, Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 10, 64)
OPTIMIZERS = [
    Recipe(learning_rate=0.1),
    Recipe(learning_rate=0.1, momentum=0.9, weight_decay=1e-3),
    Recipe(learning_rate=0.1, momentum=0.9, nesterov=True),
    Recipe(learning_rate=1e-3, optimizer="adamw", weight_decay=0.01, label_smoothing=0.1),
]


def open_engine(recipe, spec=None, threads=1):
    spec = spec or zoo.build("lenet5")
    return EagerEngine(spec, recipe, initial_weights(spec, recipe), threads=threads)


def batches(engine, count):
    placed = engine.place(IMAGES, LABELS)
    for step in range(count):
        start = 16 * (step % 4)
        engine.step(placed, np.arange(start, start + 16), 0.1)


def test_the_module_reads_like_the_notes():
    names = [type(module).__name__ for module in LeNet(zoo.build("lenet5")).net]
    assert names == [
        "Reshape",
        "Conv2d", "LeakyReLU", "AvgPool2d",
        "Conv2d", "LeakyReLU", "AvgPool2d",
        "Flatten",
        "Linear", "LeakyReLU",
        "Linear", "Sigmoid",
        "Linear",
    ]  # fmt: skip


def test_logits_equal_the_notes_network_written_by_hand():
    weights = initial_weights(zoo.build("lenet5"), Recipe())
    t = {name: torch.from_numpy(array) for name, array in weights.items()}
    f = torch.nn.functional
    x = torch.from_numpy(IMAGES).float() / 255
    x = f.avg_pool2d(f.leaky_relu(f.conv2d(x, t["C1.weight"], t["C1.bias"], padding=2)), 2)
    x = f.avg_pool2d(f.leaky_relu(f.conv2d(x, t["C3.weight"], t["C3.bias"])), 2).flatten(1)
    x = f.leaky_relu(f.linear(x, t["C5.weight"], t["C5.bias"]))
    x = torch.sigmoid(f.linear(x, t["F6.weight"], t["F6.bias"]))
    x = f.linear(x, t["output.weight"], t["output.bias"])
    engine = open_engine(Recipe())
    np.testing.assert_array_equal(engine.logits(engine.place(IMAGES)), x.numpy())


@pytest.mark.parametrize("recipe", OPTIMIZERS, ids=lambda recipe: recipe.optimizer)
def test_a_restored_engine_goes_on_with_the_same_bytes(recipe):
    whole, first, second = (open_engine(recipe) for _ in range(3))
    batches(whole, 8)
    batches(first, 4)
    second.restore(first.state())
    batches(second, 4)
    expected, found = whole.state(), second.state()
    assert found.updates == expected.updates == 8
    assert set(found.optimizer) == set(expected.optimizer)
    for name, array in (expected.weights | expected.optimizer).items():
        assert array.tobytes() == (found.weights | found.optimizer)[name].tobytes(), name


def test_the_state_is_a_copy():
    engine = open_engine(Recipe())
    before = engine.state().weights["C1.weight"]
    kept = before.copy()
    batches(engine, 1)
    np.testing.assert_array_equal(before, kept)


def test_step_metrics_are_those_of_the_batch_before_the_update():
    engine = open_engine(Recipe())
    logits = engine.logits(engine.place(IMAGES))
    batches(engine, 1)
    found = engine.step_metrics()
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits[:16]), torch.from_numpy(LABELS[:16])
    )
    assert found.loss[0] == pytest.approx(expected.item(), rel=1e-5)
    assert found.misses.tolist() == [int((logits[:16].argmax(1) != LABELS[:16]).sum())]
    assert found.images.tolist() == [16]
    assert len(engine.step_metrics().loss) == 0


def test_activations_of_the_last_layer_are_the_logits():
    engine = open_engine(Recipe())
    placed = engine.place(IMAGES)
    found = engine.activations(placed)
    assert {name: array.shape[1:] for name, array in found.items()} == {
        row.name: row.output_shape for row in zoo.build("lenet5").counts()
    }
    np.testing.assert_array_equal(found["output"][:, :, 0, 0], engine.logits(placed))


def test_a_connection_table_holds_through_training():
    layers = (
        Convolution("C1", 2, 5, activation="scaled_tanh", connections=((0,), (1,))),
        Pooling("S2", "average"),
        Dense("output", 10),
    )
    spec = Spec("test", 2, 28, 28, layers)
    recipe = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    engine = open_engine(recipe, spec)
    placed = engine.place(np.concatenate([IMAGES, IMAGES], axis=1), LABELS)
    for _ in range(3):
        engine.step(placed, np.arange(16), 0.1)
    weights = engine.state().weights["C1.weight"]
    assert not weights[0, 1].any()
    assert not weights[1, 0].any()
    assert weights[0, 0].all()


def test_distances_may_come_right_behind_maps():
    layers = (Convolution("C1", 4, 5), Pooling("S2", "max"), Convolution("C3", 84, 12))
    spec = Spec("own", 1, 28, 28, (*layers, RadialBasis("F4", 10)))
    logits = build_module(spec, initial_weights(spec, Recipe()))(torch.zeros(2, 1, 28, 28))
    assert logits.shape == (2, 10)


def test_other_pixel_scalings_are_part_of_the_module():
    spec = zoo.build("lenet5")
    changed = Spec.from_dict({**spec.to_dict(), "pixel_scale": 2 / 255, "pixel_shift": -0.5})
    weights = initial_weights(spec, Recipe())
    x = torch.rand(3, 1, 28, 28)
    expected = build_module(spec, weights)(x * 2 - 0.5)
    np.testing.assert_allclose(
        build_module(changed, weights)(x).detach(), expected.detach(), atol=1e-6
    )


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device):
    with pytest.raises(EngineError, match=rf"device '{device}': .*; this PyTorch has cpu"):
        EagerEngine(zoo.build(), Recipe(), initial_weights(zoo.build(), Recipe()), device=device)


@pytest.mark.thorough
def test_the_check_of_a_gpu_runs_and_finds_nothing_on_the_cpu():
    program = Path(__file__).with_name("check_gpu.py")
    words = ["--device", "cpu", "--optimizers", "adamw", "--no-speed"]
    done = subprocess.run(
        [sys.executable, program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("all is as it should be")
