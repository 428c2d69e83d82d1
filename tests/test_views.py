from dataclasses import replace

import numpy as np
import pytest
from conftest import run_lenet, train_run
from PIL import Image

import lenet
from lenet import data
from lenet.prediction.evaluation import evaluate_runs
from lenet.prediction.metrics import log_probabilities
from lenet.prediction.views import Views, mean_of


@pytest.fixture(scope="module")
def other_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "other"
    return train_run(data="digits", out=out, epochs=2, batch_size=32, learning_rate=0.3, seed=5)


def test_views_are_the_image_and_its_neighbours_and_their_mirror_images():
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 1, 3, 4)
    seen = [each[0, 0].tolist() for each in Views().of_images(image)]
    assert len(seen) == Views().count == 5
    assert seen[0] == image[0, 0].tolist()
    assert seen[1] == [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11]]
    assert [[5, 6, 7, 8], [9, 10, 11, 12], [0, 0, 0, 0]] in seen
    edge = [each[0, 0].tolist() for each in Views(edge=True).of_images(image)]
    assert [[5, 6, 7, 8], [9, 10, 11, 12], [9, 10, 11, 12]] in edge
    both = [each[0, 0].tolist() for each in Views(flips=True).of_images(image)]
    assert len(both) == 10
    assert image[0, 0, :, ::-1].tolist() in both


def test_the_mean_is_of_probabilities_and_not_of_logits():
    logits = [np.array([[2.0, 0.0, -1.0]], np.float32), np.array([[-3.0, 1.0, 0.5]], np.float32)]
    expected = np.mean([np.exp(log_probabilities(each)) for each in logits], axis=0)
    np.testing.assert_allclose(np.exp(mean_of(logits)), expected, rtol=1e-6)


def test_only_who_has_learnt_mirrored_images_is_shown_them(digits_run):
    checkpoint = digits_run.checkpoint()
    assert not Views.of(checkpoint).flips
    clothes = replace(checkpoint, data=replace(checkpoint.data, name="fashion-mnist"))
    assert not Views.of(clothes).flips
    mirrored = clothes.recipe.with_changes({"augmentation": {"flip": True}})
    assert Views.of(replace(clothes, recipe=mirrored)).flips


def test_scores_over_views_stand_beside_those_of_the_images(digits_run, digits_model):
    code, out, err = run_lenet("evaluate", digits_run.path, "--views")
    assert (code, err) == (0, "")
    plain, viewed = digits_model.evaluate(), digits_model.evaluate(views=True)
    first, second = out.splitlines()[:2]
    assert f"accuracy {plain.accuracy:.4f}" in first
    assert second.startswith("mean over 5 views (as it is, moved by a pixel each way): accuracy ")
    assert f"accuracy {viewed.accuracy:.4f}" in second
    assert viewed.loss != plain.loss


def test_an_answer_over_views_is_the_mean_of_its_answers(digits_model, digits_run, tmp_path):
    image = data.load("digits").test.images[7]
    seen = np.concatenate(list(Views().of_images(image[None])))
    expected = digits_model(seen).mean(axis=0)
    answer = digits_model.predict(image[0], views=True)
    assert answer.class_name == str(expected.argmax())
    assert answer.probability == pytest.approx(expected.max(), rel=1e-4)
    assert digits_model.predict(image[0]).probability != answer.probability
    Image.fromarray(image[0]).save(tmp_path / "seven.png")
    code, out, err = run_lenet("predict", digits_run.path, tmp_path / "seven.png", "--views")
    assert (code, err) == (0, "")
    found = digits_model.predict(tmp_path / "seven.png", views=True)
    assert f"{found.probability:.4f}" in out


def test_an_ensemble_answers_with_the_mean_of_its_members(digits_run, other_run):
    members = [lenet.load(run.path) for run in (digits_run, other_run)]
    test = data.load("digits").test
    mean = np.mean([model(test.images) for model in members], axis=0)
    *alone, together = evaluate_runs([digits_run.path, other_run.path], views=True)
    assert [each.evaluation.accuracy for each in alone] == [
        model.evaluate().accuracy for model in members
    ]
    assert together.evaluation.misses == (mean.argmax(1) != test.labels).sum()
    code, out, err = run_lenet("evaluate", digits_run.path, other_run.path, "--ensemble")
    assert (code, err) == (0, "")
    (line,) = (row for row in out.splitlines() if row.startswith("the ensemble of 2 runs"))
    assert line.split()[-2] == f"{together.evaluation.accuracy:.4f}"
    assert (digits_run.path / "confusion-of-2-digits-test.png").is_file()


def test_what_is_no_ensemble_is_refused(digits_run, tmp_path):
    code, _, err = run_lenet("evaluate", digits_run.path, "--ensemble")
    assert code == 2
    assert "--ensemble is the mean answer of several runs" in err
    images, labels = data.load("digits").train.images[:200], np.arange(200) % 3
    odd = train_run(data=(images, labels), out=tmp_path / "odd", epochs=1)
    code, _, err = run_lenet("evaluate", digits_run.path, odd.path, "--ensemble")
    assert code == 2
    assert "its classes (0, 1, 2) are not those of" in err
