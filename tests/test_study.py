"""A study as data: what is read, and what is refused before any run."""

import re

import pytest
from conftest import run_lenet

from lenet import studies
from lenet.errors import StudyError
from lenet.studies.study import parse

GOOD = """
question = "Does it matter?"
data = "digits"
seeds = 3
control = "sigmoid"
learning_rates = [0.2, 0.9]

[recipe]
validation = 200

[arms.sigmoid]
head_activation = "sigmoid"

[arms.relu]
head_activation = "relu"
"""

BAD = {
    "not TOML": (GOOD + "=", "not TOML"),
    "an unknown field": ("colour = 1\n" + GOOD, "unknown colour; known are title, question"),
    "a field of the wrong type": (GOOD.replace("seeds = 3", 'seeds = "3"'), "whole number"),
    "no question": (GOOD.replace('question = "Does it matter?"', ""), "question must be given"),
    "zero seeds": (GOOD.replace("seeds = 3", "seeds = 0"), r"seeds = 0: it must be at least 1"),
    "an arm without change": (GOOD + "[arms.same]\n", "arm 'same' changes nothing"),
    "an arm with an unknown field": (
        GOOD + "[arms.x]\nhead_activatoin = 'relu'\n",
        "arm 'x': unknown head_activatoin; known are epochs",
    ),
    "an unknown activation": (
        GOOD + "[arms.x]\nhead_activation = 'swish'\n",
        "arm 'x': layer F6: activation 'swish' is not one of",
    ),
    "two arms that are the same": (
        GOOD + "[arms.twin]\nhead_activation = 'relu'\n",
        "arms 'relu' and 'twin' are the same",
    ),
    "an unknown control": (GOOD.replace('"sigmoid"\nlearning', '"tanh"\nlearning'), "control = "),
    "one arm": (GOOD.split("[arms.relu]")[0], "at least two arms"),
    "a rate that is no number": (GOOD.replace("0.9]", "nan]"), "learning_rate = nan"),
    "the same rate twice": (GOOD.replace("0.9]", "0.2]"), "one is there twice"),
    "rates of an arm that are no list": (
        GOOD + "[arms.x]\nlearning_rates = 0.2\n",
        "arm 'x': learning_rates is a list",
    ),
    "a rate and rates": (
        GOOD + "[arms.x]\nlearning_rate = 0.1\nlearning_rates = [0.2]\n",
        "and stands instead of learning_rate",
    ),
    "no rate of an arm": (GOOD + "[arms.x]\nlearning_rates = []\n", "learning_rates is empty"),
    "no rate": (GOOD.replace("[0.2, 0.9]", "[]"), "learning_rates is empty"),
    "an unknown measure": ("measure = 'f1'\n" + GOOD, "measure = 'f1'"),
    "an unknown model": ("model = 'vgg'\n" + GOOD, "no network is called 'vgg'"),
    "rates to choose from and nothing held out": (
        GOOD.replace("validation = 200", "validation = 0"),
        "arm 'sigmoid' chooses among 2 learning rates",
    ),
    "a seed of an arm": (GOOD + "[arms.x]\nseed = 5\n", "arm 'x': seed = 5: .*use seeds"),
    "a seed of all": (GOOD.replace("validation", "seed = 5\nvalidation"), r"\[recipe\]: seed = 5"),
    "a teacher's share": (GOOD + "[arms.x]\ntemperature = 3.0\n", "a study has no teachers"),
    "a number that the arm's optimizer has no use for": (
        GOOD + "[arms.x]\nbeta1 = 0.5\n",
        "arm 'x': beta1 = 0.5: it is for optimizer 'adamw'",
    ),
    "a number that the arm's changes of images have no use for": (
        GOOD + "[arms.x]\naugmentation = { erase_side = 0.5 }\n",
        "arm 'x': augmentation: erase_side = 0.5: it is for erase above 0",
    ),
    "a loss that the network does not have": (
        GOOD + "[arms.x]\nloss = 'mse'\n",
        "arm 'x': loss = 'mse': lenet5 ends in no distances",
    ),
    "a negative seed offset": (
        GOOD + "[arms.x]\nseed_offset = -1\n",
        r"seed_offset = -1: it must be at least 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_study_with_an_error_is_refused_in_one_message(name):
    text, message = BAD[name]
    with pytest.raises(StudyError, match=message) as caught:
        parse(text, "bad", "bad.toml")
    assert str(caught.value).startswith("bad.toml: ")


@pytest.mark.parametrize("text", ["seeds = " + "9" * 5000, "x = " + "[" * 3000])
def test_toml_that_python_cannot_read_is_an_error_of_the_study(text):
    with pytest.raises(StudyError, match=r"bad\.toml: not TOML: "):
        parse(text, "bad", "bad.toml")


def test_the_command_refuses_it_before_any_run(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(GOOD.replace("seeds = 3", "seeds = 0"))
    code, _, err = run_lenet("study", "run", file, "--out", tmp_path / "out")
    assert code == 2
    assert re.fullmatch(r"lenet: error: .*seeds = 0: it must be at least 1\n", err)
    assert not (tmp_path / "out").exists()


def test_mirrored_digits_are_refused_before_any_run(tmp_path):
    study = parse(GOOD + "[arms.x]\naugmentation = { flip = true }\n", "x", "x")
    message = "arm 'x': augmentation: flip = true: mirrored, a picture of digits"
    with pytest.raises(StudyError, match=message):
        studies.run_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_neither_built_in_nor_a_file_is_refused():
    with pytest.raises(StudyError, match=r"neither a built-in study .*head-activation"):
        studies.find("no-such")


def test_the_built_in_studies_are_complete():
    known = studies.built_in()
    assert set(known) == {
        "activation",
        "head-activation",
        "head-activation-chosen",
        "initialisation",
        "learning-rate",
        "pooling",
        "unknowns-1998",
    }
    for study in known.values():
        assert study.seeds >= 10
        assert any(study.is_null(arm) for arm in study.arms), "the control against itself"
        assert all(arm.recipe.validation == 10_000 for arm in study.arms)


def test_head_activation_asks_what_the_note_says():
    study = studies.find("head-activation")
    heads = {dict(arm.network)["head_activation"] for arm in study.arms}
    assert heads == {"sigmoid", "relu", "leaky_relu", "tanh", "identity"}
    for arm in study.arms:
        # A Sigmoid's outputs are bounded: it may take rates at which the others blow up.
        larger = (1.3, 1.8) if dict(arm.network)["head_activation"] == "sigmoid" else ()
        assert arm.learning_rates == (0.05, 0.1, 0.2, 0.4, 0.9, *larger)
    assert len({task.key for task in study.tasks()}) == (6 * 5 + 2 * 2) * 10


def test_seeds_are_paired_across_arms_and_shifted_for_the_null_arm():
    study = studies.find("head-activation")
    seeds = {arm.name: study.task(arm, 0.2, 3).recipe.seed for arm in study.arms}
    assert seeds.pop("sigmoid again") == 1003
    assert set(seeds.values()) == {3}


def test_another_number_of_seeds_is_another_text_with_the_same_tasks():
    few, many = studies.find("pooling", 2), studies.find("pooling")
    assert "seeds = 2" in few.source
    assert {task.key for task in few.tasks()} < {task.key for task in many.tasks()}


def test_an_arm_with_a_rate_of_its_own_is_tried_at_that_one_alone():
    study = parse(GOOD + "[arms.slow]\nlearning_rate = 0.01\n", "x", "x")
    assert study.arm("slow").learning_rates == (0.01,)
    assert study.arm("relu").learning_rates == (0.2, 0.9)


def test_an_arm_with_rates_of_its_own_is_tried_at_those():
    study = parse(GOOD + "[arms.wide]\nmomentum = 0.5\nlearning_rates = [0.2, 1.8]\n", "x", "x")
    assert study.arm("wide").learning_rates == (0.2, 1.8)
    assert study.arm("relu").learning_rates == (0.2, 0.9)
