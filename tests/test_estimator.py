import copy
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from unittest import SkipTest

import joblib
import numpy as np
import pytest
from conftest import need, need_module, need_native, run_lenet
from joblib import Parallel, delayed
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import lenet
from lenet import data as data_sets
from lenet.errors import DivergenceError, InputError, LenetError, RunError
from lenet.estimator import LeNetClassifier, classifier
from lenet.estimator.fitting import thread_count
from lenet.estimator.pictures import Form, square
from lenet.estimator.rows import collect, epoch_rows
from lenet.recipe import Recipe
from lenet.recipe.augmentation import Augmentation
from lenet.recipe.library import AUTO, PHOTO, TABLE, Subject, choose

need_native()
ROOT = Path(__file__).parent.parent


ARRAY_API_CHECK = """
import warnings
warnings.simplefilter("error")
from sklearn.utils.estimator_checks import estimator_checks_generator
from lenet.estimator import LeNetClassifier
for estimator, check in estimator_checks_generator(LeNetClassifier()):
    if check.func.__name__ == "check_array_api_input":
        check(estimator)
        print("passed")
"""


@pytest.mark.thorough
@parametrize_with_checks([LeNetClassifier()])
def test_scikit_learns_check_passes_and_is_not_skipped(estimator, check):
    """One of them wants a variable that SciPy reads when it is imported: a process of its own."""
    need_module("pandas", "pip install pandas")
    if check.func.__name__ == "check_array_api_input":
        done = subprocess.run(
            [sys.executable, "-c", ARRAY_API_CHECK], capture_output=True, text=True, check=False,
            env={**os.environ, "SCIPY_ARRAY_API": "1"},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "passed\n"), done.stderr
        return
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.fail(f"it was skipped: {reason}")


def test_there_are_as_many_checks_as_ever():
    assert len(list(estimator_checks_generator(LeNetClassifier()))) >= 40


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)


@pytest.fixture(scope="module")
def small(digits):
    """300 digits, and 100 to ask about."""
    train, test, train_labels, _ = digits
    return train[:300], train_labels[:300], test[:100]


def quick(**changes):
    return LeNetClassifier(**{"epochs": 3, "random_state": 0, **changes})


def probabilities(classifier, images, labels, asked, **more):
    return classifier.fit(images, labels, **more).predict_proba(asked)


# ---- real pictures


def test_digits_are_learned_through_a_pipeline(digits):
    train, test, train_labels, test_labels = digits
    pipeline = make_pipeline(MinMaxScaler(), LeNetClassifier(random_state=0))
    assert pipeline.fit(train, train_labels).score(test, test_labels) > 0.95


def test_a_grid_search_in_two_processes_finds_the_rate_that_learns(digits):
    train, test, train_labels, test_labels = digits
    search = GridSearchCV(
        quick(epochs=8),
        {"learning_rate": np.array([1e-6, 4e-3]), "batch_size": np.array([64])},
        n_jobs=2, cv=2, error_score="raise",
    )  # fmt: skip
    search.fit(train[:800], train_labels[:800])
    assert search.best_params_["learning_rate"] == 4e-3
    assert search.score(test, test_labels) > 0.85


def test_cross_validation_scores_every_part(digits):
    scores = cross_val_score(quick(epochs=10), digits[0], digits[2], cv=3, n_jobs=2)
    assert scores.shape == (3,)
    assert scores.min() > 0.88


def test_calibration_wraps_the_classifier(digits):
    train, test, train_labels, test_labels = digits
    calibrated = CalibratedClassifierCV(quick(epochs=10), cv=2).fit(train, train_labels)
    assert calibrated.score(test, test_labels) > 0.9
    assert np.allclose(calibrated.predict_proba(test).sum(axis=1), 1.0)


def test_five_thousand_pictures_of_fashion_mnist_are_enough_for_the_floor(fashion_mnist):
    dataset = data_sets.load(fashion_mnist)
    classifier = LeNetClassifier(random_state=0)
    classifier.fit(dataset.train.images[:5000], dataset.train.labels[:5000])
    accuracy = classifier.score(dataset.test.images, dataset.test.labels)
    print(f"test accuracy {accuracy:.4f}")
    assert accuracy > 0.83


def test_five_thousand_pictures_of_mnist_are_enough_for_the_floor(mnist_folder):
    dataset = data_sets.load("mnist", mnist_folder)
    classifier = LeNetClassifier(random_state=0)
    classifier.fit(dataset.train.images[:5000], dataset.train.labels[:5000])
    accuracy = classifier.score(dataset.test.images, dataset.test.labels)
    print(f"test accuracy {accuracy:.4f}")
    assert accuracy > 0.965


# ---- what a row is


def test_three_shapes_of_the_same_pictures_give_the_same_bytes(small):
    images, labels, asked = small
    answers = [
        probabilities(quick(), images.reshape(-1, *shape), labels, asked.reshape(-1, *shape))
        for shape in ((64,), (8, 8), (1, 8, 8))
    ]
    assert answers[0].tobytes() == answers[1].tobytes() == answers[2].tobytes()


def test_a_classifier_fitted_on_rows_answers_pictures(small):
    images, labels, asked = small
    classifier = quick().fit(images, labels)
    assert (classifier.predict(asked.reshape(-1, 8, 8)) == classifier.predict(asked)).all()


def test_nested_lists_are_pictures_too(small):
    images, labels, asked = small
    classifier = quick().fit(images.reshape(-1, 8, 8).tolist(), labels.tolist())
    assert (classifier.predict(asked.tolist()) == quick().fit(images, labels).predict(asked)).all()


def test_pictures_may_have_channels_and_need_not_be_square(small):
    images, labels, _ = small
    pictures = np.stack([images.reshape(-1, 4, 16)] * 3, axis=1)
    classifier = quick().fit(pictures, labels)
    assert classifier.spec_.input_shape == (3, 24, 96)
    assert classifier.n_features_in_ == 192
    assert classifier.predict(pictures).shape == labels.shape


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_may_be_last_as_keras_has_them(small, channels):
    images, labels, _ = small
    first = np.stack([images.reshape(-1, 8, 8)] * channels, axis=1)
    last = np.moveaxis(first, 1, -1)
    one, other = quick().fit(first, labels), quick().fit(last, labels)
    assert one.form_.shape == other.form_.shape == (channels, 8, 8)
    expected = one.predict_proba(first)
    for asked_in in (first, last, last.tolist()):
        np.testing.assert_array_equal(other.predict_proba(asked_in), expected)


def test_pictures_of_another_shape_are_refused_with_the_fitted_one(small):
    images, labels, _ = small
    classifier = quick().fit(images.reshape(-1, 8, 8), labels)
    with pytest.raises(InputError, match=r"these pictures are \(1, 4, 16\).*\(1, 8, 8\)"):
        classifier.predict(images.reshape(-1, 4, 16))


@pytest.mark.parametrize(
    ("features", "side", "pixels"),
    [(1, 1, 24), (2, 2, 24), (5, 3, 24), (10, 4, 24), (20, 5, 25), (64, 8, 24), (784, 28, 28)],
)
def test_a_count_that_is_no_square_fills_the_smallest_square(features, side, pixels):
    form = Form(square(features), 0.0, 1.0)
    pictures = form.pictures(np.ones((1, features)))
    assert form.shape == (1, side, side)
    assert pictures.shape == (1, 1, pixels, pixels)
    factor = pixels // side
    assert pictures[0, 0, ::factor, ::factor].ravel().tolist() == (
        [255] * features + [0] * (side * side - features)
    )
    assert np.count_nonzero(pictures) == features * factor**2


# ---- grey levels


def test_uint8_and_floats_of_either_convention_give_the_same_bytes(fashion_mnist):
    split = data_sets.load(fashion_mnist).train.at(np.arange(300))
    answers = [
        probabilities(quick(epochs=1), images, split.labels, images)
        for images in (
            split.images,
            split.images.astype(np.float64),
            split.images.astype(np.float32) / np.float32(255),
            split.images / 127.5 - 1.0,
        )
    ]
    assert all(answer.tobytes() == answers[0].tobytes() for answer in answers)


def test_whole_numbers_that_span_256_values_keep_their_differences():
    levels = Form((1, 1, 256), -20.0, 235.0).pictures(np.arange(-20, 236)[None])
    assert levels[0, 0, 0, ::24].tolist() == list(range(256))


def test_rounding_to_grey_levels_loses_half_a_level_at_most():
    values = np.random.default_rng(0).uniform(-3.0, 5.0, (50, 576))
    levels = Form((1, 24, 24), -3.0, 5.0).pictures(values).reshape(50, 576)
    assert np.abs(levels / 255.0 * 8.0 - 3.0 - values).max() <= 8.0 / 510.0 * (1 + 1e-9)


def test_values_beyond_the_range_of_the_training_data_are_clipped(small):
    images, labels, asked = small
    classifier = quick().fit(images, labels)
    far = np.where(asked >= 16, 1e9, np.where(asked <= 0, -1e9, asked))
    assert classifier.predict_proba(far).tobytes() == classifier.predict_proba(asked).tobytes()


def test_a_range_given_is_a_range_kept(small):
    images, labels, _ = small
    classifier = quick(pixel_range=(0, 64)).fit(images, labels)
    assert classifier.form_.pictures(images).max() == 64  # 16 of 64, in 255 levels
    with pytest.raises(InputError, match=r"pixel_range = \(5, 5\): it must be None or two rising"):
        quick(pixel_range=(5, 5)).fit(images, labels)
    with pytest.raises(InputError, match="pixel_range = 255: it must be None or two rising"):
        quick(pixel_range=255).fit(images, labels)


def test_constant_data_are_answered_with_the_share_of_each_class():
    constant, labels = np.full((40, 9), 7.0), np.array([0] * 30 + [1] * 10)
    answer = quick(epochs=None).fit(constant, labels).predict_proba(constant[:1])
    # Two different rows are left, of weights 30 and 10.
    assert answer[0, 0] == pytest.approx(0.75, abs=0.15)


def test_a_range_too_wide_for_a_number_is_refused():
    data = np.array([[-1.7e308, 0.0], [1.7e308, 1.0]])
    with pytest.raises(InputError, match="too wide a range; scale the data first"):
        quick().fit(data, [0, 1])


# ---- what cannot be used


def test_what_is_not_finite_real_and_dense_is_refused(small):
    images, labels, asked = small
    classifier = quick(epochs=1).fit(images, labels)
    hole = asked.copy()
    hole[3, 5] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        classifier.predict(hole)
    hole[3, 5] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        classifier.fit(hole, labels[:100])
    with pytest.raises(ValueError, match="Complex data not supported"):
        classifier.fit(images + 1j, labels)
    with pytest.raises(TypeError, match=r"Sparse data was passed.*toarray"):
        classifier.fit(csr_array(images), labels)


def test_asking_before_fitting_names_the_cure(small):
    with pytest.raises(NotFittedError, match=r"not fitted yet\. Call 'fit'"):
        LeNetClassifier().predict(small[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "alexnet"}, "no network is called 'alexnet'"),
        ({"epochs": 0}, "epochs = 0: it must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0: it must be above 0"),
        ({"optimizer": "adam"}, "optimizer = 'adam': it must be one of sgd, adamw"),
        ({"random_state": -3}, "seed = -3: it must be between 0"),
        ({"early_stopping": True, "validation_fraction": 1}, "validation_fraction = 1: it must be"),
        ({"early_stopping": True, "n_iter_no_change": 0}, "n_iter_no_change = 0: it must be at"),
        ({"early_stopping": True, "n_iter_no_change": 2.5}, "n_iter_no_change = 2.5: it must be"),
        (
            {"early_stopping": True, "validation_fraction": "a"},
            "validation_fraction = 'a': it must",
        ),
        ({"early_stopping": "no"}, "early_stopping = 'no': it must be True or False"),
    ],
)
def test_a_parameter_that_cannot_be_is_named_with_its_value(small, changes, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        quick(**changes).fit(small[0], small[1])
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, LenetError)


def test_a_training_that_diverges_says_so_and_leaves_the_last_fit(small):
    images, labels, asked = small
    classifier = quick().fit(images, labels)
    before = classifier.predict_proba(asked)
    classifier.set_params(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(DivergenceError, match=r"diverged; try a smaller learning_rate than 1e\+30"):
        classifier.fit(images, labels)
    assert classifier.predict_proba(asked).tobytes() == before.tobytes()


def test_a_last_step_that_diverges_is_counted_within_its_epoch(small):
    images, labels, _ = small
    classifier = quick(batch_size=300, optimizer="sgd", learning_rate=0.1)
    classifier.partial_fit(images, labels, np.unique(labels)).set_params(learning_rate=1e40)
    with pytest.raises(DivergenceError, match="some weights are not finite in epoch 2") as caught:
        classifier.partial_fit(images, labels)
    assert (caught.value.epoch, caught.value.step) == (2, 1)


# ---- labels


def test_labels_of_any_kind_come_back_as_they_were(small):
    images, labels, asked = small
    numbers = quick().fit(images, labels).predict(asked)
    names = np.array(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    )
    for named in (names[labels], names[labels].astype(object)):
        classifier = quick().fit(images, named)
        assert classifier.classes_.tolist() == sorted(names)
        assert set(classifier.predict(asked)) <= set(names)
    shifted = quick().fit(images, labels - 5).predict(asked)
    assert (shifted == numbers - 5).all()


def test_one_class_alone_is_always_predicted(small):
    classifier = quick().fit(small[0], ["only"] * len(small[0]))
    assert set(classifier.predict(small[2])) == {"only"}
    assert (classifier.predict_proba(small[2]) == 1.0).all()


def test_labels_in_a_column_are_read_with_scikit_learns_warning(small):
    images, labels, _ = small
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        quick(epochs=1).fit(images, labels[:, None])


def test_a_data_frame_leaves_its_names(small):
    pandas = need_module("pandas", "pip install pandas")
    images, labels, asked = small
    names = [f"pixel{k}" for k in range(64)]
    classifier = quick().fit(pandas.DataFrame(images, columns=names), pandas.Series(labels))
    assert classifier.feature_names_in_.tolist() == names
    framed = classifier.predict_proba(pandas.DataFrame(asked, columns=names))
    assert framed.tobytes() == probabilities(quick(), images, labels, asked).tobytes()


# ---- weights


def test_whole_weights_are_repetitions_and_zero_is_absence_to_the_byte(small):
    images, labels, asked = small
    weights = np.arange(len(labels)) % 4
    weighted = probabilities(quick(), images, labels, asked, sample_weight=weights)
    shuffled = np.random.default_rng(0).permutation(weights.sum())
    repeated = np.repeat(images, weights, axis=0)[shuffled]
    again = probabilities(quick(), repeated, np.repeat(labels, weights)[shuffled], asked)
    assert weighted.tobytes() == again.tobytes()


def test_only_the_ratio_of_weights_counts(small):
    images, labels, asked = small
    equal = np.full(len(labels), 1 / len(labels))
    assert (
        probabilities(quick(), images, labels, asked, sample_weight=equal).tobytes()
        == probabilities(quick(), images, labels, asked).tobytes()
    )


@pytest.mark.parametrize("weight", [1e306, 5e-324, 2.0**-1074, 1e-300, 3e300])
def test_the_size_of_equal_weights_changes_nothing(small, weight):
    images, labels, asked = small
    expected = quick().fit(images, labels).predict_proba(asked)
    found = quick().fit(images, labels, np.full(len(labels), weight)).predict_proba(asked)
    np.testing.assert_array_equal(found, expected)


def test_weights_too_far_apart_are_refused(small):
    images, labels, _ = small
    weights = np.ones(len(labels))
    weights[3] = 1e-20
    with pytest.raises(InputError, match="goes from 1e-20 to 1: beside the largest the smallest"):
        quick().fit(images, labels, weights)


# Not getrusage: its maximum goes on through exec, so a child would report its parent's.
MEMORY_OF_LARGE_PICTURES = """
import re, numpy as np
from pathlib import Path
from lenet import LeNetClassifier
from lenet.errors import EngineError
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    LeNetClassifier(epochs=1).fit(np.eye(2000, dtype=np.uint8)[None].repeat(4, 0), [0, 1, 0, 1])
except EngineError as error:
    print(error)
print(peak() - before < 1 << 19)
"""


@pytest.mark.thorough
def test_pictures_too_large_for_the_engine_cost_no_memory():
    need(Path("/proc/self/status").is_file(), "Linux tells a process its peak of memory")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_OF_LARGE_PICTURES], capture_output=True, text=True, check=True
    )
    assert "it is too large" in done.stdout
    assert done.stdout.endswith("True\n")


def test_a_heavier_class_is_predicted_more_often():
    random = np.random.default_rng(0)
    data, labels = random.normal(0, 1, (400, 9)), random.integers(0, 2, 400)
    data[labels == 1] += 0.3
    asked = random.normal(0.15, 1, (400, 9))
    shares = [
        (
            quick(epochs=10).fit(data, labels, np.where(labels == 1, w, 1.0)).predict(asked) == 1
        ).mean()
        for w in (0.05, 1.0, 20.0)
    ]
    assert shares[0] + 0.2 < shares[1] < shares[2] - 0.2


def test_an_epoch_draws_each_row_by_its_share_of_the_weights():
    weights = np.array([1.0, 0.25, 2.5, 0.75, 0.5])
    drawn = np.zeros(5)
    for epoch in range(1, 2001):
        order = epoch_rows(weights, Recipe(seed=0), epoch)
        counts = np.bincount(order, minlength=5)
        assert (np.floor(weights) <= counts).all()
        assert (counts <= np.ceil(weights)).all()
        drawn += counts
    assert np.abs(drawn / 2000 - weights).max() < 0.05


@pytest.mark.parametrize("weight", [1.0, 3.0, 0.1, 1e-9])
def test_equal_weights_draw_every_row_once(weight):
    for epoch in range(1, 50):
        assert sorted(epoch_rows(np.full(777, weight), Recipe(seed=1), epoch)) == list(range(777))


def test_rows_are_sorted_and_merged_by_picture_and_label():
    pictures = np.array([3, 1, 3, 1, 3], np.uint8).reshape(5, 1, 1, 1)
    rows = collect(pictures, np.array([0, 1, 0, 0, 2]), np.array([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert rows.split.images.ravel().tolist() == [1, 1, 3, 3]
    assert rows.split.labels.tolist() == [0, 1, 0, 2]
    assert rows.weights.tolist() == [8.0, 2.0, 5.0, 16.0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"shape \(3,\); 300 rows need \(300,\)"),
        (-np.ones(300), "must be finite and not negative"),
        (np.full(300, np.nan), "must be finite and not negative"),
        (np.zeros(300), "every sample_weight is zero"),
        ("balanced", "sample_weight must be a number for each row: .*'balanced'"),
    ],
)
def test_weights_that_cannot_be_are_refused(small, weights, message):
    with pytest.raises(InputError, match=message):
        quick().fit(small[0], small[1], sample_weight=weights)


# ---- epochs


def test_the_numbers_are_those_of_auto_but_for_those_that_are_given(small):
    images, labels, _ = small
    auto = choose(AUTO, Subject(300, 10, PHOTO), {"seed": 0})
    fitted = quick(batch_size=50, epochs=1).fit(images, labels)
    expected = auto.recipe.with_changes({"batch_size": 50, "epochs": 1})
    assert (fitted.recipe_, fitted.spec_.name) == (expected, auto.model)
    table = choose(AUTO, Subject(300, 10, TABLE), {"seed": 0, "epochs": 2})
    fitted = quick(epochs=2).fit(images[:, :11], labels)  # no square
    assert fitted.recipe_ == table.recipe
    assert fitted.recipe_.augmentation.is_none


def test_a_recipe_may_be_a_name_a_file_or_fields(small, tmp_path):
    images, labels, asked = small
    wanted = Recipe(epochs=2, batch_size=32, learning_rate=0.1, augmentation={"shift": 1})
    (tmp_path / "mine.toml").write_text(wanted.to_toml())
    answers = {
        probabilities(LeNetClassifier("lenet5", **one, random_state=0), images, labels, asked)
        .tobytes()
        for one in (
            {"recipe": wanted},
            {"recipe": asdict(wanted)},
            {"recipe": tmp_path / "mine.toml"},
            {"recipe": "note", "epochs": 2, "batch_size": 32, "learning_rate": 0.1,
             "augmentation": {"shift": 1}},
        )
    }  # fmt: skip
    assert len(answers) == 1
    with pytest.raises(InputError, match="no recipe is called 'fast'; known are note, auto, best"):
        LeNetClassifier(recipe="fast").fit(images, labels)


def test_a_classifier_with_a_recipe_of_its_own_is_kept(small, tmp_path):
    images, labels, asked = small
    classifier = quick(epochs=1, recipe=Recipe(learning_rate=0.2), augmentation={"shift": 1})
    run = classifier.fit(images, labels).save_run(tmp_path / "run")
    again = LeNetClassifier.from_run(run)
    assert again.fit(images, labels).recipe_ == classifier.recipe_
    whole = quick(epochs=1, recipe="note", augmentation=asdict(Augmentation(shift=1)))
    assert whole.fit(images, labels).recipe_.augmentation == Augmentation(shift=1)
    with pytest.raises(InputError, match=r"erase_side = 0\.5: it is for erase above 0"):
        quick(recipe="note", augmentation={"erase_side": 0.5}).fit(images, labels)
    assert again.predict_proba(asked).tobytes() == classifier.predict_proba(asked).tobytes()


def test_numbers_of_numpy_within_parameters_are_kept(small, tmp_path):
    images, labels, asked = small
    span = (np.float32(images.min()), np.float32(images.max()))
    recipe = {"epochs": np.int64(1), "learning_rate": np.float64(0.2)}
    classifier = LeNetClassifier(recipe=recipe, pixel_range=span, random_state=0)
    run = classifier.fit(images, labels).save_run(tmp_path / "run")
    again = LeNetClassifier.from_run(run)
    assert again.predict_proba(asked).tobytes() == classifier.predict_proba(asked).tobytes()


def test_images_are_held_out_by_the_classifiers_own_arguments_alone(small, tmp_path):
    images, labels, _ = small
    file = tmp_path / "mine.toml"
    file.write_text("validation = 50\n")
    for recipe in (Recipe(validation=50), {"validation": 50}, file, str(file)):
        with pytest.raises(InputError, match=r"recipe: validation = 50: .* early_stopping=True"):
            LeNetClassifier(recipe=recipe).fit(images, labels)
    with pytest.raises(InputError, match=r"recipe: distortions = 2: .*; leave it out"):
        LeNetClassifier(recipe={"distortions": 2}).fit(images, labels)


def test_a_run_that_held_images_out_is_fitted_anew(small, tmp_path):
    images, labels, _ = small
    pictures = (15 * images).astype(np.uint8).reshape(-1, 8, 8).repeat(4, 1).repeat(4, 2)
    run = lenet.train(data=(pictures, labels), epochs=1, validation=20, out=tmp_path / "run").run
    again = LeNetClassifier.from_run(run)
    assert again.partial_fit(pictures, again.classes_[labels]).n_iter_ == 2
    assert again.fit(pictures, labels).n_iter_ == 1


def test_partial_fit_k_times_is_fit_of_k_epochs_at_a_constant_rate(small):
    images, labels, asked = small
    whole = quick(epochs=2, schedule="constant").fit(images, labels)
    parts = quick().partial_fit(images, labels, classes=np.arange(10)).partial_fit(images, labels)
    assert parts.n_iter_ == 2
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.predict_proba(asked).tobytes() == whole.predict_proba(asked).tobytes()


def test_partial_fit_goes_on_after_fit_and_after_a_pickle(small):
    images, labels, asked = small
    whole = quick(epochs=3, schedule="constant").fit(images, labels)
    first = quick(epochs=2, schedule="constant").fit(images, labels)
    parts = pickle.loads(pickle.dumps(first)).partial_fit(images, labels)  # noqa: S301 - our own
    assert parts.predict_proba(asked).tobytes() == whole.predict_proba(asked).tobytes()


def test_partial_fit_learns_from_a_stream_of_parts(digits):
    train, test, train_labels, test_labels = digits
    classifier = LeNetClassifier(pixel_range=(0, 16), random_state=0)
    for _ in range(8):
        for start in range(0, len(train), 200):
            part = slice(start, start + 200)
            classifier.partial_fit(train[part], train_labels[part], classes=np.arange(10))
    assert classifier.score(test, test_labels) > 0.85


def test_partial_fit_refuses_what_it_cannot_know(small):
    images, labels, _ = small
    with pytest.raises(InputError, match="first call of partial_fit needs classes"):
        quick().partial_fit(images, labels)
    with pytest.raises(InputError, match=r"labels \[9\] are not among classes"):
        quick().partial_fit(images, labels, classes=np.arange(9))
    with pytest.raises(InputError, match=r"they were .* before; fit anew"):
        quick().partial_fit(images, labels, np.arange(10)).partial_fit(images, labels, [0, 1])
    with pytest.raises(InputError, match="early_stopping=True: partial_fit is one epoch"):
        quick(early_stopping=True).partial_fit(images, labels, np.arange(10))
    fitted = quick(epochs=1).fit(images, labels).set_params(model="lenet5-sigmoid")
    with pytest.raises(
        InputError, match=r"model = 'lenet5-sigmoid': partial_fit goes on with lenet5"
    ):
        fitted.partial_fit(images, labels)


def test_a_constant_order_is_drawn_once():
    weights = np.ones(50)
    first, second = (epoch_rows(weights, Recipe(order="constant"), epoch) for epoch in (1, 2))
    assert (first == second).all()
    assert (first != epoch_rows(weights, Recipe(), 2)).any()


def test_early_stopping_stops_and_keeps_the_best_epoch(small):
    images, _, _ = small
    noise = np.random.default_rng(0).integers(0, 2, len(images))  # nothing to learn
    classifier = LeNetClassifier(
        epochs=100, early_stopping=True, validation_fraction=0.2, n_iter_no_change=4, random_state=0
    ).fit(images, noise)
    scores = classifier.validation_scores_
    assert 5 <= classifier.n_iter_ == len(scores) == len(classifier.loss_curve_) < 100
    best = scores.index(max(scores)) + 1  # scores of later epochs may tie, with a lower loss
    assert classifier.n_iter_ - best >= 4
    assert classifier.state_.updates <= 8 * (classifier.n_iter_ - 4)  # 8 steps an epoch
    assert classifier.state_.updates >= 8 * best


def test_early_stopping_with_weights_is_early_stopping_with_repetitions(small):
    images, labels, asked = small
    weights = 1 + np.arange(len(labels)) % 2
    answers = [
        probabilities(quick(epochs=6, early_stopping=True), *rows, asked, sample_weight=weight)
        for rows, weight in (
            ((images, labels), weights),
            ((np.repeat(images, weights, axis=0), np.repeat(labels, weights)), None),
        )
    ]
    assert answers[0].tobytes() == answers[1].tobytes()


def test_early_stopping_refuses_to_take_the_last_row_of_a_class():
    with pytest.raises(InputError, match=r"nothing is left to train on of class .*'b'"):
        quick(early_stopping=True, validation_fraction=0.6).fit(
            [[1.0], [2.0], [3.0]], ["a", "a", "b"]
        )


# ---- the same bytes


def test_any_number_of_threads_gives_the_same_bytes(small):
    images, labels, asked = small
    answers = [probabilities(quick(n_jobs=jobs), images, labels, asked) for jobs in (1, 2, 3)]
    assert answers[0].tobytes() == answers[1].tobytes() == answers[2].tobytes()


def test_random_state_fixes_the_bytes_and_none_does_not(small):
    def answer(state):
        return probabilities(quick(epochs=1, random_state=state), *small).tobytes()

    assert answer(7) == answer(7) == answer(np.int64(7)) != answer(8)
    assert answer(np.random.RandomState(7)) == answer(np.random.RandomState(7))
    assert answer(None) != answer(None)
    shared = np.random.RandomState(7)
    assert answer(shared) != answer(shared)


def test_the_order_of_the_rows_does_not_matter(small):
    images, labels, asked = small
    order = np.random.default_rng(0).permutation(len(labels))
    assert (
        probabilities(quick(), images, labels, asked).tobytes()
        == probabilities(quick(), images[order], labels[order], asked).tobytes()
    )


def test_one_picture_is_answered_as_it_is_among_others(small):
    images, labels, asked = small
    classifier = quick().fit(images, labels)
    together = classifier.predict_proba(asked)
    for size in (1, 2, 3, 4, 5, 7):
        parts = [classifier.predict_proba(asked[k : k + size]) for k in range(0, len(asked), size)]
        assert np.concatenate(parts).tobytes() == together.tobytes()


def test_a_classifier_survives_pickle_joblib_copy_and_clone(small, tmp_path):
    images, labels, asked = small
    classifier = quick(n_jobs=2).fit(images, labels)
    expected = classifier.predict_proba(asked).tobytes()
    joblib.dump(classifier, tmp_path / "classifier")
    others = [
        pickle.loads(pickle.dumps(classifier)),  # noqa: S301 - our own
        joblib.load(tmp_path / "classifier"),
        copy.deepcopy(classifier),
        clone(classifier).fit(images, labels),
    ]
    assert all(other.predict_proba(asked).tobytes() == expected for other in others)
    assert not hasattr(clone(classifier), "state_")


# ---- threads


def system_threads():
    return len(list(Path("/proc/self/task").iterdir()))


def threads_of(n_jobs):
    """Of a fit and an answer here: the engine's threads, and those the system then has more."""
    counts, open_engine = [], classifier.open_engine

    def counting(*args, **kwargs):
        before = system_threads()
        engine = open_engine(*args, **kwargs)
        counts.append((engine.threads, system_threads() - before))
        return engine

    classifier.open_engine = counting
    try:
        data = np.random.default_rng(0).uniform(size=(60, 64))
        quick(epochs=1, n_jobs=n_jobs).fit(data, np.arange(60) % 3).predict(data)
    finally:
        classifier.open_engine = open_engine
    return counts


def test_n_jobs_are_the_threads_of_the_engine():
    need(Path("/proc/self/task").is_dir(), "count threads on Linux")
    assert threads_of(None) == threads_of(1) == [(1, 0)] * 2
    assert threads_of(3) == [(3, 2)] * 2
    assert threads_of(-1)[0][0] == joblib.cpu_count()
    with joblib.parallel_config("loky", n_jobs=2):
        assert threads_of(None) == [(2, 1)] * 2


@pytest.mark.parametrize("n_jobs", [None, 1, -1, 7])
def test_workers_never_have_more_threads_than_their_share_of_the_cores(n_jobs, monkeypatch):
    need(Path("/proc/self/task").is_dir(), "count threads on Linux")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    workers, share = 2, max(1, joblib.cpu_count() // 2)
    found = Parallel(n_jobs=workers)(delayed(threads_of)(n_jobs) for _ in range(4))
    for counts in found:
        assert len(counts) == 2
        for threads, more in counts:
            assert threads - 1 == more
            assert threads <= share


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_workers_that_are_told_no_share_have_one_core(backend, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with joblib.parallel_config(backend):
        assert Parallel(n_jobs=2)(delayed(thread_count)(-1) for _ in range(2)) == [1, 1]


def test_no_jobs_at_all_are_refused_as_joblib_does():
    with pytest.raises(ValueError, match="n_jobs == 0 in Parallel has no meaning"):
        quick(n_jobs=0).fit([[0.0], [1.0]], [0, 1])


# ---- the page


@pytest.mark.thorough
def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/estimator.md").read_text(), re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, "estimator.md", "exec"), names)  # noqa: S102 - our own page


def test_a_transformer_may_make_pictures_in_a_pipeline(small):
    images, labels, asked = small
    invert = FunctionTransformer(lambda rows: 16.0 - rows)
    pipeline = make_pipeline(invert, quick(epochs=10)).fit(images, labels)
    assert pipeline.predict(asked).shape == (len(asked),)


def test_a_saved_classifier_comes_back_to_the_same_bytes(small, tmp_path):
    images, labels, asked = small
    saved = quick(early_stopping=True, n_iter_no_change=2).fit(images, labels)
    found = LeNetClassifier.from_run(saved.save_run(tmp_path / "run"))
    np.testing.assert_array_equal(found.predict_log_proba(asked), saved.predict_log_proba(asked))
    assert found.get_params() == saved.get_params()
    for name in ("classes_", "form_", "spec_", "recipe_", "n_iter_", "n_features_in_",
                 "loss_curve_", "validation_scores_"):  # fmt: skip
        np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))
    again = LeNetClassifier.from_run(found.save_run(tmp_path / "again"))
    np.testing.assert_array_equal(again.predict_proba(asked), saved.predict_proba(asked))


def test_a_saved_classifier_goes_on_training_to_the_same_bytes(small, tmp_path):
    images, labels, asked = small
    saved = quick(schedule="constant").partial_fit(images, labels, classes=np.arange(10))
    saved.partial_fit(images, labels)
    found = LeNetClassifier.from_run(saved.save_run(tmp_path / "run"))
    saved.partial_fit(images, labels)
    found.partial_fit(images, labels)
    np.testing.assert_array_equal(found.predict_proba(asked), saved.predict_proba(asked))
    assert found.n_iter_ == 3


@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, np.float32, str, object, bool], ids=lambda kind: kind.__name__
)
def test_labels_of_any_kind_that_a_file_can_keep_come_back(small, tmp_path, kind):
    images, labels, asked = small
    labels = (labels % 2).astype(str if kind is object else kind)
    saved = quick(epochs=1).fit(images, labels.astype(kind))
    found = LeNetClassifier.from_run(saved.save_run(tmp_path / "run"))
    np.testing.assert_array_equal(found.predict(asked), saved.predict(asked))
    assert found.classes_.dtype.kind == saved.classes_.dtype.kind


def test_the_names_of_features_come_back(small, tmp_path):
    pandas = pytest.importorskip("pandas")
    images, labels, asked = small
    names = [f"pixel {index}" for index in range(images.shape[1])]
    saved = quick(epochs=1).fit(pandas.DataFrame(images, columns=names), labels)
    found = LeNetClassifier.from_run(saved.save_run(tmp_path / "run"))
    frame = pandas.DataFrame(asked, columns=names)
    np.testing.assert_array_equal(found.predict(frame), saved.predict(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(frame.rename(columns={"pixel 0": "other"}))


def test_a_saved_classifier_is_a_run_to_all_that_read_runs(small, tmp_path):
    import lenet

    images, labels, asked = small
    saved = quick().fit(images, labels)
    model = lenet.load(saved.save_run(tmp_path / "run"))
    pictures = saved.form_.pictures(asked)
    np.testing.assert_array_equal(np.log(model(pictures)), np.log(saved.predict_proba(asked)))
    assert model.class_names == tuple("0123456789")
    code, out, err = run_lenet("runs", tmp_path)
    assert (code, err) == (0, "")
    row = out.splitlines()[1].split()
    assert row[:4] == ["run", "scikit-learn", saved.spec_.name, str(saved.n_iter_)]
    code, _, err = run_lenet("evaluate", tmp_path / "run")
    assert code == 5
    assert "trained on data that was at hand and is not kept" in err


def test_a_run_is_a_fitted_classifier_with_the_same_answers(digits_run):
    import lenet
    from lenet.prediction.metrics import log_probabilities

    model, test = lenet.load(digits_run.path), lenet.data.load("digits").test
    classifier = LeNetClassifier.from_run(digits_run.path)
    expected = log_probabilities(model.logits(test.images))
    for images in (test.images, test.images[:, 0], test.images.reshape(len(test), -1)):
        np.testing.assert_array_equal(classifier.predict_log_proba(images), expected)
    assert classifier.score(test.images, test.labels.astype(str)) == model.evaluate().accuracy
    numbered = LeNetClassifier.from_run(digits_run, labels="numbers")
    assert numbered.score(test.images, test.labels) == model.evaluate().accuracy
    assert classifier.learning_rate == 0.3
    assert len(classifier.loss_curve_) == len(classifier.validation_scores_) == 3


def test_a_run_with_distorted_copies_is_trained_on_without_them(tmp_path):
    import lenet

    run = lenet.train(data="digits", out=tmp_path / "run", epochs=1, distortions=2).run
    found, train = LeNetClassifier.from_run(run, labels="numbers"), lenet.data.load("digits").train
    found.partial_fit(train.images[:300], train.labels[:300])
    assert len(found.loss_curve_) == 2


def test_a_run_of_small_images_is_read_as_they_are(tmp_path):
    import lenet
    from lenet import Dense, Spec

    images = np.random.default_rng(0).integers(0, 256, (90, 8, 9), np.uint8)
    labels = np.arange(90) % 3
    spec = Spec("flat", 1, 8, 9, (Dense("output", 3),))
    model = lenet.train(
        spec, data=(images, labels), out=tmp_path / "run", epochs=1, batch_size=8, learning_rate=0.1
    )
    found = LeNetClassifier.from_run(tmp_path / "run")
    np.testing.assert_array_equal(found.predict_proba(images), model(images))
    assert found.model == LeNetClassifier().model


def test_what_cannot_be_kept_or_read_is_refused(small, tmp_path, digits_run):
    images, labels, _ = small
    with pytest.raises(InputError, match="labels = 'colours': it must be 'names' or 'numbers'"):
        LeNetClassifier.from_run(digits_run, labels="colours")
    with pytest.raises(RunError, match="no run of lenet is here"):
        LeNetClassifier.from_run(tmp_path)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LeNetClassifier().save_run(tmp_path / "run")
    saved = quick(epochs=1).fit(images, labels)
    run = saved.save_run(tmp_path / "run")
    with pytest.raises(RunError, match="already there; choose another"):
        saved.save_run(run)
    receipt = json.loads((run / "receipt.json").read_text())
    receipt["classifier"]["classes"] = [1, 2]
    (run / "receipt.json").write_text(json.dumps(receipt))
    with pytest.raises(RunError, match=r"receipt\.json: no classifier can be made of it: it has"):
        LeNetClassifier.from_run(run)


def test_a_network_of_1998_learns_as_a_classifier_too():
    digits = load_digits()
    classifier = LeNetClassifier(
        model="lenet5-1998", recipe="note", optimizer="sdlm", learning_rate=5e-4, epochs=2,
        batch_size=1, n_jobs=1, random_state=0,
    ).fit(digits.images[:600], digits.target[:600])  # fmt: skip
    assert classifier.score(digits.images[600:900], digits.target[600:900]) > 0.7
