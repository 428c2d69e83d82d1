import math

import pytest

from lenet.errors import RecipeError
from lenet.recipe import Recipe


def test_the_defaults_are_the_notes_recipe():
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (10, 256, 0.9)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.0, 0.0)
    assert (recipe.initialiser, recipe.schedule) == ("xavier_uniform", "constant")


def test_a_recipe_survives_toml():
    recipe = Recipe(seed=2**62, learning_rate=0.1, momentum=0.9, nesterov=True, schedule="cosine")
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_a_recipe_file_may_name_only_what_it_changes(tmp_path):
    (tmp_path / "recipe.toml").write_text("epochs = 3\nlearning_rate = 1\n")
    assert Recipe.read(tmp_path / "recipe.toml") == Recipe(epochs=3, learning_rate=1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": math.nan}, r"learning_rate = nan: it must be above 0 and finite"),
        ({"learning_rate": math.inf}, r"learning_rate = inf: it must be above 0 and finite"),
        ({"learning_rate": -0.1}, r"learning_rate = -0.1: it must be above 0"),
        ({"learning_rate": "fast"}, r"learning_rate = 'fast': it must be a number"),
        ({"batch_size": 0}, r"batch_size = 0: it must be at least 1"),
        ({"batch_size": 1.5}, r"batch_size = 1.5: it must be a whole number"),
        ({"epochs": -1}, r"epochs = -1: it must be at least 1"),
        ({"epochs": True}, r"epochs = True: it must be a whole number"),
        ({"momentum": 1.0}, r"momentum = 1.0: it must be at least 0 and below 1"),
        ({"nesterov": True}, r"nesterov = true: it needs optimizer 'sgd' and momentum above 0"),
        ({"optimizer": "adamw", "momentum": 0.5}, r"optimizer 'adamw' has none; use beta1"),
        ({"optimizer": "adam"}, r"optimizer = 'adam': it must be one of sgd, adamw"),
        ({"weight_decay": math.nan}, r"weight_decay = nan: it must be at least 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing = 1.0: it must be at least 0 and below 1"),
        ({"warmup_fraction": 0.0}, r"warmup_fraction = 0.0: it must be between 0 and 1"),
        ({"step_factor": 0.0}, r"step_factor = 0.0: it must be above 0 and at most 1"),
        ({"seed": -1}, r"seed = -1: it must be between 0 and 2\^63 - 1"),
        ({"validation": -5}, r"validation = -5: it must be at least 0"),
    ],
)
def test_a_number_that_cannot_work_is_named_with_its_range(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(**changes)


def test_unknown_keys_are_named_beside_the_known_ones():
    with pytest.raises(RecipeError, match=r"my.toml: unknown lr; known are epochs, batch_size"):
        Recipe.from_toml("lr = 0.1", "my.toml")


def test_a_file_that_is_not_toml_is_named(tmp_path):
    (tmp_path / "bad.toml").write_text("epochs: 3")
    with pytest.raises(RecipeError, match=r"bad\.toml: not TOML"):
        Recipe.read(tmp_path / "bad.toml")


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot read this recipe"):
        Recipe.read(tmp_path / "absent.toml")


def test_a_recipe_is_frozen():
    with pytest.raises(AttributeError, match="cannot assign to field"):
        Recipe().epochs = 3  # type: ignore[misc]
