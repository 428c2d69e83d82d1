"""Learning pattern by pattern: what an epoch sees, and runs of the networks of 1998."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import need_native, need_torch, resume_run, run_lenet, train_run
from test_session import Press, content

import lenet
from lenet.data import Split, load
from lenet.data.distortion import distort, draw
from lenet.engines.native import NativeEngine
from lenet.errors import RecipeError, UsageError
from lenet.export import Options
from lenet.export.delivery import export
from lenet.network import Dense, RadialBasis, Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.network.preparation import prepare
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order, learning_rate
from lenet.training.patterns import Patterns

need_native()

BRIEF = {"data": "digits", "model": "lenet5-1998", "epochs": 2, "curvature_images": 50}


@pytest.fixture(scope="module")
def brief_run(tmp_path_factory):
    """LeNet-5 of 1998 after two passes over the bundled digits, pattern by pattern."""
    return train_run(out=tmp_path_factory.mktemp("1998") / "run", **BRIEF)


def test_the_rates_of_twenty_passes_are_the_papers():
    recipe = zoo.recipe_of("lenet5-1998")
    rates = [learning_rate(recipe, epoch * 10, 10) for epoch in range(20)]
    papers = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert rates == pytest.approx(papers)


def test_a_constant_order_is_the_same_in_every_pass_and_of_each_seed_its_own():
    recipe = Recipe(order="constant")
    first = epoch_order(recipe, 100, 1)
    np.testing.assert_array_equal(first, epoch_order(recipe, 100, 7))
    np.testing.assert_array_equal(np.sort(first), np.arange(100))
    assert (first != epoch_order(Recipe(order="constant", seed=1), 100, 1)).any()
    shuffled = Recipe()
    assert (epoch_order(shuffled, 100, 1) != epoch_order(shuffled, 100, 2)).any()


def test_twenty_passes_see_each_of_ten_times_as_many_patterns_twice():
    recipe = Recipe(order="constant", distortions=9)
    passes = [epoch_order(recipe, 50, epoch) for epoch in range(1, 21)]
    assert all(len(order) == 50 for order in passes)
    counts = np.bincount(np.concatenate(passes), minlength=500)
    assert (counts == 2).all()
    np.testing.assert_array_equal(passes[0], passes[10])


def test_a_pattern_is_an_image_or_its_copy_of_that_number():
    spec, train = zoo.build("lenet5-1998"), load("digits").train
    train = Split(train.images[:20], train.labels[:20])
    recipe = Recipe(order="constant", distortions=2, seed=3)
    engine = NativeEngine(spec, recipe, initial_weights(spec, recipe), threads=1)
    placed, order = Patterns(engine, spec, recipe, train).of(2)
    framed = prepare(spec.preparation, train.images)
    expected = []
    for pattern in epoch_order(recipe, 20, 2):
        version, place = divmod(int(pattern), 20)
        numbers = draw(20, 3, version)[place : place + 1]
        image = framed[place : place + 1]
        expected.append(distort(image, numbers) if version else image)
    again = engine.place(np.concatenate(expected), prepared=True)
    np.testing.assert_array_equal(engine.logits(placed), engine.logits(again))
    np.testing.assert_array_equal(order, np.arange(20))


def test_it_learns_pattern_by_pattern_with_nothing_else_said(brief_run):
    recipe = brief_run.checkpoint().recipe
    assert (recipe.optimizer, recipe.batch_size, recipe.order) == ("sdlm", 1, "constant")
    assert brief_run.epochs()[-1]["test_accuracy"] > 0.8


@pytest.mark.parametrize(
    "changes", [{}, {"distortions": 1}, {"loss": "mse", "validation": 200}], ids=str
)
def test_a_run_cut_in_the_middle_of_a_pass_ends_with_the_same_bytes(tmp_path, changes):
    recipe = {**BRIEF, **changes}
    whole = train_run(out=tmp_path / "whole", threads=1, **recipe)
    with pytest.raises(lenet.InterruptedRunError, match="stopped after step 700 of epoch 2"):
        train_run(out=tmp_path / "cut", threads=2, display=Press(2, 2, 700), **recipe)
    assert content(resume_run(tmp_path / "cut")) == content(whole)


def test_the_other_networks_and_other_pictures_train_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (120, 30, 36), dtype=np.uint8)
    images[::2, :, :18] = 0
    for model in ("lenet1", "lenet4", "lenet4-120", "lenet5-1998"):
        run = train_run(
            model=model, data=(images, np.arange(120) % 2), epochs=1, out=tmp_path / model
        )
        assert run.checkpoint().spec.classes == 2
        assert np.isfinite(run.epochs()[-1]["train_loss"])


def test_probabilities_are_the_softmax_of_minus_the_distances(brief_run):
    model = lenet.load(brief_run.path)
    images = load("digits").test.images[:6]
    logits = model.logits(images)
    assert (logits < 0).all()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    np.testing.assert_allclose(model(images), powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    answers = model.predict(list(images[:, 0]))
    assert [answer.class_name for answer in answers] == [
        model.class_names[best] for best in logits.argmax(axis=1)
    ]


def test_the_module_of_a_network_of_1998_prepares_its_pixels_itself(brief_run, tmp_path):
    torch = need_torch()
    small = train_run(out=tmp_path / "small", **{**BRIEF, "model": "lenet1", "epochs": 1})
    images = load("digits").test.images[:40]
    for run in (brief_run, small):
        expected = lenet.load(run.path).logits(images)
        with torch.no_grad():
            found = lenet.load_module(run.path)(torch.from_numpy(images).float() / 255)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-3)


def test_a_decision_is_drawn_beside_its_targets_and_a_report_is_written(brief_run, tmp_path):
    code, out, err = run_lenet("explain", brief_run.path, "test:3", "--out", tmp_path / "why.png")
    assert code == 0, err
    assert "why.png" in out
    assert (tmp_path / "why.png").stat().st_size > 20_000
    report = lenet.load(brief_run.path).report(tmp_path / "report.html")
    assert "lenet5-1998" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("to", ["onnx", "tflite", "c", "torch", "hub"])
def test_a_preparation_that_no_export_knows_is_refused_in_one_sentence(brief_run, tmp_path, to):
    model = lenet.load(brief_run.path)
    spec = replace(model.spec, preparation=("deslant", "frame"))
    slanted = replace(model._trained(None, None), checkpoint=replace(model.checkpoint, spec=spec))
    sentence = (
        r"no export knows the preparation \(deslant\) of lenet5-1998; use it with lenet\.load"
    )
    with pytest.raises(UsageError, match=sentence):
        export(slanted, to, tmp_path / "file", Options())
    assert not (tmp_path / "file").exists()


def test_a_loss_of_distances_needs_distances(tmp_path):
    with pytest.raises(RecipeError, match="loss = 'map': lenet5 ends in no distances; use loss"):
        train_run(data="digits", model="lenet5", loss="map", out=tmp_path / "run")
    spec = Spec("own", 1, 28, 28, (Dense("F6", 84, "tanh"), RadialBasis("output", 10)))
    with pytest.raises(RecipeError, match="squares = 'whole': own has them half; say the same"):
        train_run(data="digits", model=spec, squares="whole", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "map", "label_smoothing": 0.1}, "label_smoothing = 0.1: loss 'map' has none"),
        ({"optimizer": "sdlm", "weight_decay": 0.1}, "weight_decay = 0.1: optimizer .sdlm. has"),
        ({"optimizer": "sdlm", "momentum": 0.1}, "optimizer 'sdlm' has none; leave it out"),
        (
            {"distortions": 1, "augmentation": {"shift": 1}},
            "distortions = 1: images are changed by",
        ),
        ({"distortions": -1}, "distortions = -1: it must be at least 0"),
        ({"curvature_floor": 0.0}, "curvature_floor = 0.0: it must be above 0 and finite"),
        ({"rubbish_cost": float("nan")}, "rubbish_cost = nan: it must be at least 0"),
    ],
)
def test_numbers_that_cannot_work_together_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(**changes)


@pytest.mark.thorough
def test_one_pass_over_mnist_learns_what_the_papers_first_pass_learnt(tmp_path, mnist_folder):
    run = train_run(
        data="mnist", model="lenet5-1998", epochs=1, data_dir=mnist_folder, out=tmp_path / "run"
    )
    assert run.epochs()[0]["test_accuracy"] > 0.94


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_passes_over_mnist_end_near_the_papers_error(tmp_path, mnist_folder):
    run = train_run(data="mnist", model="lenet5-1998", data_dir=mnist_folder, out=tmp_path / "run")
    assert 1 - run.epochs()[-1]["test_accuracy"] < 0.0125
