"""The note's slips (docs/errata.md), one test each."""

import time

import numpy as np
import pytest
from conftest import need_torch, train_run

from lenet import data
from lenet.engines import open_engine
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.prediction.evaluation import evaluate
from lenet.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=0.3)


def open_one(recipe=RECIPE):
    spec = zoo.build("lenet5")
    return open_engine(spec, recipe, initial_weights(spec, recipe), device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_run(data="digits", recipe=RECIPE, out=tmp_path_factory.mktemp("errata") / "run")


def test_1_metrics_cover_one_epoch(run):
    """Train the same three epochs by hand and average the last one alone."""
    from lenet.system import rng

    engine, train = open_one(), data.load("digits").train
    placed = engine.place(train.images, train.labels)
    for epoch in (1, 2, 3):
        order = rng.permutation(len(train), RECIPE.seed, "order", epoch)
        engine.step_metrics()
        for start in range(0, len(train), 64):
            engine.step(placed, order[start : start + 64], 0.3)
    metrics = engine.step_metrics()
    row = run.epochs()[-1]
    assert row["train_loss"] == pytest.approx((metrics.loss * metrics.images).sum() / len(train))
    assert row["train_accuracy"] == 1 - metrics.misses.sum() / len(train)


def test_2_throughput_counts_each_image_once_a_pass(run):
    session = run.receipt()["sessions"][0]
    assert session["training_images"] == 3 * 1437


class SlowEngine:
    """An engine whose device takes a while after `step` has returned."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def step_metrics(self):
        time.sleep(0.05)
        return self.inner.step_metrics()


def test_3_the_clock_covers_the_loop_and_waits_for_the_engine(tmp_path, monkeypatch):
    from lenet.training import setup

    real = setup.open_engine
    monkeypatch.setattr(setup, "open_engine", lambda *a, **k: SlowEngine(real(*a, **k)))
    run = train_run(data="digits", recipe=RECIPE, out=tmp_path / "run")
    assert run.receipt()["sessions"][0]["training_seconds"] > 3 * 5 * 0.05


def test_4_an_evaluation_does_not_change_the_training():
    digits = data.load("digits")
    weights = []
    for looks in (False, True):
        engine = open_one()
        placed = engine.place(digits.train.images, digits.train.labels)
        for step in range(4):
            engine.step(placed, np.arange(64) + 64 * step, 0.3)
            if looks:
                evaluate(engine, digits.test)
        weights.append(engine.state().weights["C1.weight"].tobytes())
    assert weights[0] == weights[1]


def test_5_evaluation_builds_no_gradients(monkeypatch):
    torch = need_torch()
    from lenet.engines.eager import EagerEngine
    from lenet.engines.module import LeNet

    seen = []
    real = LeNet.run

    def watched(self, x):
        logits = real(self, x)
        seen.append((logits.requires_grad, torch.is_grad_enabled()))
        return logits

    monkeypatch.setattr(LeNet, "run", watched)
    spec = zoo.build("lenet5")
    engine = EagerEngine(spec, RECIPE, initial_weights(spec, RECIPE))
    evaluate(engine, data.load("digits").test)
    assert set(seen) == {(False, False)}


@pytest.mark.parametrize("batch_size", [5000, 1437, 800, 400])
def test_6_fewer_than_five_steps_an_epoch_work(tmp_path, batch_size):
    run = train_run(data="digits", epochs=1, batch_size=batch_size, out=tmp_path / "run")
    steps = -(-1437 // batch_size)
    assert [row["step"] for row in run.history()] == list(range(1, steps + 1))


def test_7_a_run_is_seeded_and_saved(run, tmp_path):
    again = train_run(data="digits", recipe=RECIPE, out=tmp_path / "again")
    paths = [item.checkpoint_paths()[0] for item in (run, again)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert run.curves_path.stat().st_size > 10_000


def test_8_the_best_epoch_is_chosen_on_validation_images(tmp_path):
    run = train_run(
        data="digits", epochs=6, batch_size=64, learning_rate=0.5, validation=300,
        out=tmp_path / "run",
    )  # fmt: skip
    rows = run.epochs()
    best = max(rows, key=lambda row: (row["validation_accuracy"], row["epoch"]))
    assert run.checkpoint("best").best.epoch == best["epoch"]
    with_no_validation = train_run(data="digits", epochs=1, out=tmp_path / "none")
    assert not with_no_validation.best_path.exists()


def test_the_table_of_errata_names_these_tests():
    from pathlib import Path

    text = (Path(__file__).parent.parent / "docs" / "errata.md").read_text()
    names = [name for name in globals() if name.startswith("test_") and name[5].isdigit()]
    assert len(names) == 8
    assert all(f"`{name}`" in text for name in names)
