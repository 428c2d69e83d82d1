"""The range test of learning rates."""

import numpy as np
import pytest
from conftest import need_native, run_lenet

import lenet
from lenet.errors import RecipeError
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order
from lenet.training import rate_finder

need_native()


def test_the_suggestion_is_below_the_rate_at_which_the_training_blows_up():
    found = lenet.find_rate(data="digits", steps=60)
    assert found.rates[0] == 1e-3
    assert 0.01 < found.suggestion < 5.0
    assert found.suggestion == found.best / rate_finder.MARGIN
    assert len(found.rates) == len(found.losses) < 60  # it ended where the loss blew up
    assert found.losses[-1] > found.losses.min()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    first, again, other = (
        lenet.find_rate(data="digits", steps=12, seed=seed).losses for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_recipe_keeps_its_seed_unless_another_one_is_named(tmp_path):
    own = lenet.find_rate(data="digits", recipe=Recipe(seed=7), steps=12).losses
    assert np.array_equal(own, lenet.find_rate(data="digits", seed=7, steps=12).losses)
    (tmp_path / "own.toml").write_text("seed = 7\n")
    words = ["lr-find", "--data", "digits", "--steps", "12", "--out", str(tmp_path / "a.png")]
    said = [
        run_lenet(*words, *more)[1]
        for more in (["--recipe", str(tmp_path / "own.toml")], ["--seed", "7"], [])
    ]
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("order", ["shuffled", "constant"])
def test_images_come_in_the_order_of_a_training_and_none_is_held_out(order, monkeypatch):
    seen = []

    def look(engine, placed, batches, epoch):
        seen.extend(indices for _, indices, _ in batches)
        raise RecipeError("looked at")

    monkeypatch.setattr(rate_finder, "Pass", look)
    recipe = Recipe(batch_size=100, validation=437, seed=5, order=order)
    with pytest.raises(RecipeError, match="looked at"):
        lenet.find_rate(data="digits", recipe=recipe, steps=20)
    for epoch in (1, 2):
        steps = seen[10 * (epoch - 1) : 10 * epoch]
        np.testing.assert_array_equal(np.concatenate(steps), epoch_order(recipe, 1000, epoch))


def test_changes_are_of_the_network():
    plain, changed = (
        lenet.find_rate(data="digits", steps=12, changes=changes).losses
        for changes in (None, {"activation": "tanh"})
    )
    assert not np.array_equal(plain, changed)


@pytest.mark.parametrize(
    "words",
    [
        {"lowest": 1.0, "highest": 0.5}, {"lowest": 0.0}, {"lowest": "1e-3"},
        {"steps": 9}, {"steps": 10.5},
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused(words):
    with pytest.raises(RecipeError):
        lenet.find_rate(data="digits", **words)


@pytest.mark.parametrize("rates", [("2", "10"), ("1e-9", "1e-6")])
def test_rates_that_are_all_too_large_or_too_small_are_the_first_thing_to_change(rates, tmp_path):
    words = ["--lowest", rates[0], "--highest", rates[1], "--steps", "20"]
    code, _, err = run_lenet("lr-find", "--data", "digits", *words, "--out", tmp_path / "a.png")
    assert code == 0
    assert "may be chance: " in err
    assert "try other rates (--lowest, --highest), or more --steps" in err


def test_a_lowest_rate_at_which_a_training_diverges_is_refused():
    with pytest.raises(RecipeError, match=r"lowest = 1e\+20: the loss is not finite at this rate"):
        lenet.find_rate("lenet5-1998", "digits", lowest=1e20, highest=1e21)


def test_batches_of_one_image_find_a_rate_that_no_single_image_decides():
    found = [
        lenet.find_rate("lenet5-1998", "digits", lowest=1e-6, highest=1.0, steps=100, seed=seed)
        for seed in range(4)
    ]
    assert min(len(each.losses) for each in found) > 40
    rates = [each.suggestion for each in found]
    assert max(rates) < 5 * min(rates)
