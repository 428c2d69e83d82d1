import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import need_native, need_torch, resume_run, run_lenet, train_run

import lenet
from lenet import data
from lenet.engines import open_engine
from lenet.errors import RunError, UsageError
from lenet.network.initialiser import initial_weights
from lenet.network.zoo import build
from lenet.prediction.metrics import log_probabilities
from lenet.recipe import Recipe
from lenet.training.teaching import find_teachers, soft_targets

need_native()


def test_targets_are_the_mean_of_the_teachers_and_the_rest_of_the_label(digits_run):
    teachers = find_teachers([digits_run.path, digits_run.path])
    train = data.load("digits").train.at(np.arange(50))
    recipe = Recipe(teacher_share=0.7, temperature=3.0)
    targets = soft_targets(teachers, train, recipe)
    logits = lenet.load(digits_run.path).logits(train.images)
    expected = 0.7 * np.exp(log_probabilities(logits / np.float32(3.0)))
    expected[np.arange(50), train.labels] += 0.3
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    assert soft_targets((), train, recipe) is None


@pytest.mark.parametrize("name", ["native", "eager"])
def test_targets_that_are_the_smoothed_labels_are_learned_as_these_are(name):
    if name == "eager":
        need_torch()
    spec, split = build(), data.load("digits").train.at(np.arange(64))
    targets = np.full((64, 10), 0.01, np.float32)
    targets[np.arange(64), split.labels] += 0.9
    states = []
    for recipe, given in (
        (Recipe(label_smoothing=0.1), (split.images, split.labels)),
        (Recipe(label_smoothing=0.0), (split.images, split.labels, targets)),
    ):
        weights = initial_weights(spec, recipe)
        engine = open_engine(spec, recipe, weights, engine=name, device="cpu", threads=1)
        engine.step(engine.place(*given), np.arange(64), 0.5)
        states.append((engine.state().weights, engine.step_metrics()))
    for key, array in states[0][0].items():
        np.testing.assert_allclose(array, states[1][0][key], atol=1e-6)
    assert states[0][1].misses == states[1][1].misses
    assert states[0][1].loss == pytest.approx(states[1][1].loss, abs=1e-5)


def test_a_pupil_learns_what_only_its_teacher_knows(digits_run, tmp_path):
    """Wrong labels, no share for them: all that is right comes from the teacher."""
    digits = data.load("digits")
    wrong = replace(digits, train=replace(digits.train, labels=(digits.train.labels + 1) % 10))
    options = {"batch_size": 32, "epochs": 8, "learning_rate": 0.4, "teacher_share": 1.0}
    pupil = lenet.train("lenet5-relu", wrong, Recipe(learning_rate=0.1), out=tmp_path / "pupil",
                        teacher=[digits_run.path], **options | {"learning_rate": 0.1})  # fmt: skip
    test = digits.test
    agreed = pupil(test.images).argmax(1) == lenet.load(digits_run.path)(test.images).argmax(1)
    assert agreed.mean() > 0.7
    facts = pupil.run.receipt()["teachers"]
    assert [each["run"] for each in facts] == [str(digits_run.path)]


def test_a_taught_training_ends_with_the_same_bytes_after_a_stop(digits_run, tmp_path):
    options = {"data": "digits", "epochs": 2, "batch_size": 64, "teacher": [digits_run.path]}
    whole = train_run(out=tmp_path / "whole", **options)
    stopped = train_run(out=tmp_path / "stopped", threads=1, **options)
    stopped.checkpoint_paths()[0].unlink()
    resume_run(stopped.path)
    for left, right in zip(whole.checkpoint_paths(), stopped.checkpoint_paths(), strict=True):
        assert left.read_bytes() == right.read_bytes()
    receipt = stopped.receipt()
    receipt["teachers"][0]["sha256"] = "0" * 64
    stopped.write_receipt(receipt)
    with pytest.raises(RunError, match="is another network than when the training began"):
        resume_run(stopped.path)
    for damaged in ("x", [1], [{}], [{"run": 3, "sha256": ""}]):
        receipt["teachers"] = damaged
        stopped.write_receipt(receipt)
        with pytest.raises(RunError, match=r"receipt\.json: .*teacher"):
            resume_run(stopped.path)


def test_the_command_line_says_which_run_the_last_one_was(digits_run, tmp_path, monkeypatch):
    shutil.copytree(digits_run.path, tmp_path / "runs" / "newest")
    monkeypatch.chdir(tmp_path)
    words = ("train", "--data", "digits", "--epochs", "1", "--out", "pupil", "--teacher", "last")
    code, _, err = run_lenet(*words, "--recipe", "note")
    assert (code, err) == (0, "lenet: last: runs/newest\n")


def test_a_teacher_of_something_else_is_refused(digits_run, tmp_path):
    images = np.zeros((40, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(40)
    with pytest.raises(UsageError, match=r"knows the classes .*; arrays has .*: name a run"):
        lenet.train(data=(images, np.arange(40) % 2), teacher=[digits_run.path])
    words = ("train", "--data", "digits", "--out", tmp_path / "run", "--quiet", "--epochs", 1)
    code, _, err = run_lenet(*words, "--teacher", tmp_path / "none")
    assert (code, "no run of lenet is here" in err) == (6, True)
    code, _, err = run_lenet(*words, "--teacher", digits_run.path, "--label-smoothing", 0.1)
    assert (code, "what a teacher says is not smoothed" in err) == (2, True)
    code, _, err = run_lenet(*words, "--teacher", digits_run.path, "--temperature", 4)
    assert (code, err) == (0, "")
    assert len(json.loads((tmp_path / "run" / "receipt.json").read_text())["teachers"]) == 1
