import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from conftest import need_native, run_lenet, train_run
from glyphs import draw_folder

import lenet
from lenet import data
from lenet.data.kind import kind_of
from lenet.data.pictures.convention import AS_GIVEN, MNIST
from lenet.errors import RecipeError
from lenet.recipe import Recipe
from lenet.recipe.augmentation import Augmentation
from lenet.recipe.library import (
    AUTO,
    BEST,
    INK,
    NOTE,
    PHOTO,
    RECIPES,
    TABLE,
    Subject,
    choose,
    find,
)
from lenet.training.choice import choose_recipe, find_recipe


def numbers(**subject):
    subject = Subject(**{"images": 1000, "classes": 10, "kind": INK, **subject})
    return choose(AUTO, subject, {}).recipe


# ---- the library


def test_the_note_is_the_defaults_of_a_recipe():
    choice = choose(NOTE, Subject(60_000, 10, PHOTO), {})
    assert (choice.recipe, choice.model) == (Recipe(), "lenet5")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", [INK, PHOTO, TABLE])
@pytest.mark.parametrize("images", [1, 7, 100, 1437, 60_000, 10**6])
def test_every_recipe_has_numbers_for_any_subject(name, kind, images):
    recipe = choose(name, Subject(images, 2, kind), {}).recipe
    assert not recipe.augmentation.flip
    assert recipe.batch_size <= max(images, 256)
    assert RECIPES[name].purpose
    assert RECIPES[name].cost
    assert RECIPES[name].result


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_changes_rows_of_numbers(name):
    assert choose(name, Subject(1000, 10, TABLE), {}).recipe.augmentation.is_none


def test_auto_takes_more_passes_over_fewer_images():
    epochs = [numbers(images=images).epochs for images in (100, 1000, 10_000, 60_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert numbers(images=6).epochs == numbers(images=32).epochs == 1500
    assert not numbers(kind=INK).augmentation.is_none


def test_auto_sees_other_pictures_more_often_and_erases_parts_of_few():
    few, many = (numbers(images=images, kind=PHOTO).augmentation for images in (5000, 5001))
    assert (few.erase, few.erase_side, many.erase) == (1.0, 0.5, 0.0)
    assert replace(few, erase=0.0, erase_side=many.erase_side) == many
    epochs = [numbers(images=images, kind=PHOTO).epochs for images in (6, 1000, 4800, 60_000)]
    assert epochs == [500, 192, 40, 24]
    ink = numbers(images=100, kind=INK)
    assert (ink.epochs, ink.augmentation.erase) == (960, 0.0)


def test_best_has_numbers_for_each_optimizer():
    subject = Subject(60_000, 10, PHOTO)
    sgd, sdlm, adamw = (
        choose(BEST, subject, {"optimizer": name}).recipe for name in ("sgd", "sdlm", "adamw")
    )
    assert (sgd.momentum, sgd.nesterov, sgd.learning_rate, sgd.weight_decay) == (
        0.9,
        True,
        0.1,
        1e-4,
    )
    assert sdlm.weight_decay == Recipe().weight_decay
    assert adamw == choose(BEST, subject, {}).recipe


def test_another_optimizer_gets_a_rate_of_its_own():
    subject = Subject(1000, 10, INK)
    recipe = choose(AUTO, subject, {"optimizer": "sgd"}).recipe
    assert (recipe.optimizer, recipe.momentum, recipe.nesterov) == ("sgd", 0.9, True)
    assert recipe.learning_rate > 5 * choose(AUTO, subject, {}).recipe.learning_rate
    with pytest.raises(RecipeError, match="optimizer = 'adam': it must be one of sgd, adamw"):
        choose(AUTO, subject, {"optimizer": "adam"})


def test_a_change_is_over_the_number_that_was_chosen():
    changes = {"epochs": 3, "augmentation": {"rotation": 1.5}}
    recipe = choose(AUTO, Subject(1000, 10, INK), changes).recipe
    assert (recipe.epochs, recipe.augmentation.rotation) == (3, 1.5)
    assert recipe.augmentation.shift == numbers().augmentation.shift


def test_what_is_no_recipe_is_named_before_any_data_is_looked_for(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe is called 'fast'; known are note, auto"):
        find_recipe("fast", {})
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot read this recipe"):
        find_recipe(tmp_path / "absent.toml", {})
    with pytest.raises(RecipeError, match=r"arguments: epochs = 0: it must be at least 1"):
        find_recipe(None, {"epochs": 0})
    with pytest.raises(RecipeError, match=r"unknown speed; known are epochs"):
        find(AUTO, {"speed": 3})
    (tmp_path / "mine").write_text("epochs = 2")
    assert find(str(tmp_path / "mine"), {"seed": 3}) == Recipe(epochs=2, seed=3)


# ---- what suits which data


def test_published_data_get_the_note_and_any_other_auto():
    digits = data.load("digits")
    assert choose_recipe(None, digits, {}).name == NOTE
    at_hand = data.load((digits.train.images, digits.train.labels))
    choice = choose_recipe(None, at_hand, {"validation": 100})
    assert choice.name == AUTO
    assert choice.subject == Subject(len(at_hand.train) - 100, 10, INK)


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"epochs": 3}, AUTO), ({"learning_rate": 0.2}, NOTE), ({"momentum": 0.9}, NOTE),
     ({"learning_rate": 0.01, "optimizer": "adamw"}, AUTO)],
)  # fmt: skip
def test_a_rate_by_hand_is_one_for_the_notes_sgd(changes, name):
    digits = data.load("digits")
    own = data.load((digits.train.images, digits.train.labels))
    assert choose_recipe(find_recipe(None, changes), own, changes).name == name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"erase_side": 0.5}, "erase_side = 0.5: it is for erase above 0, and this is 0"),
        ({"elastic_smoothness": 2}, "elastic_smoothness = 2: it is for elastic above 0"),
        ({"border": "edge", "flip": False}, 'border = "edge": it is for images that are moved'),
        (Augmentation(erase_side=0.5, shift=1), "erase_side = 0.5: it is for erase"),
    ],
)
def test_a_field_of_augmentation_that_changes_nothing_is_refused(fields, message):
    with pytest.raises(RecipeError, match=f"augmentation: {message}"):
        choose_recipe("note", data.load("digits"), {"augmentation": fields})
    others = {"erase": 0.1, "elastic": 5, "border": "edge", "elastic_smoothness": 2}
    choose_recipe("note", data.load("digits"), {"augmentation": {**others, "erase_side": 0.5}})


def test_a_network_of_relu_gets_auto_and_a_rate_by_hand_the_notes_sgd():
    digits = data.load("digits")
    for model in ("lenet5-relu", "lenet5-average", "lenet5-modern"):
        found = find_recipe(None, {}, model)
        assert choose_recipe(found, digits, {}).name == AUTO
        changes = {"learning_rate": 0.1}
        found = find_recipe(None, changes, model)
        assert choose_recipe(found, digits, changes).name == NOTE


def test_the_kind_is_told_by_the_pixels(fashion_mnist):
    digits, clothes = data.load("digits").train.images, data.load(fashion_mnist).train.images
    source = np.random.default_rng(0)
    colour = source.integers(0, 256, (50, 3, 28, 28), np.uint8)
    assert kind_of(digits, AS_GIVEN) == kind_of(255 - digits, AS_GIVEN) == INK
    assert kind_of(clothes[:5000], AS_GIVEN) == PHOTO
    assert kind_of(colour, AS_GIVEN) == kind_of(colour[:, :1], AS_GIVEN) == PHOTO
    assert kind_of(colour[:0], AS_GIVEN) == PHOTO
    assert kind_of(colour[:, :1], MNIST) == INK


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_flip_is_refused_where_it_makes_another_class(name):
    digits = data.load("digits")
    assert data.CATALOG["fashion-mnist"].flips
    assert not data.CATALOG[name].flips
    with pytest.raises(RecipeError, match="mirrored, a picture of digits does not show its class"):
        lenet.train(data=digits, epochs=1, augmentation={"flip": True})


# ---- trainings


def test_a_folder_of_pictures_is_trained_by_auto_and_its_receipt_says_so(tmp_path):
    need_native()
    draw_folder(tmp_path / "letters", letters="АБЖ", count=12)
    words = ("train", "--data", tmp_path / "letters", "--out", tmp_path / "run", "--epochs", 2)
    code, out, err = run_lenet(*words, "--quiet")
    assert (code, err) == (0, "")
    assert "recipe auto: " in out
    facts = json.loads((tmp_path / "run" / "receipt.json").read_text())["recipe"]
    assert facts["name"] == "auto"
    assert facts["chosen_for"] == {"images": 30, "classes": 3, "kind": "ink", "flips": False}
    kept = Recipe.read(tmp_path / "run" / "recipe.toml")
    assert Recipe.from_dict(facts["numbers"]) == kept
    assert kept.epochs == 2
    # The numbers that are kept are enough to do the same again.
    again = train_run(
        facts_model(tmp_path), data=tmp_path / "letters",
        recipe=tmp_path / "run" / "recipe.toml", out=tmp_path / "again",
    )  # fmt: skip
    assert again.history_path.read_bytes() == (tmp_path / "run" / "history.jsonl").read_bytes()


def facts_model(folder):
    return json.loads((folder / "run" / "receipt.json").read_text())["model"]


def test_the_recipes_are_listed_and_taken_by_name(tmp_path):
    need_native()
    code, out, _ = run_lenet("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(RECIPES)
    command = shlex.split("train --data digits --recipe auto --epochs 1 --quiet --seed 3")
    code, out, err = run_lenet(*command, "--augmentation", "rotation = 3", "--out", tmp_path / "a")
    assert (code, err) == (0, "")
    recipe = Recipe.read(tmp_path / "a" / "recipe.toml")
    assert (recipe.seed, recipe.augmentation.rotation) == (3, 3.0)
    code, _, err = run_lenet(*command, "--augmentation", "rotation: 3")
    assert (code, "--augmentation 'rotation: 3': not fields, as" in err) == (2, True)


def test_data_show_draws_what_becomes_of_images(tmp_path):
    words = ("data", "show", "digits", "--recipe", "auto", "--out", tmp_path / "sheet.png")
    code, out, err = run_lenet(*words)
    assert (code, err) == (0, "")
    assert "augmentation: shift = " in out
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_the_most_accurate_network_of_a_photo_has_average_pooling_and_that_of_ink_has_not(
    fashion_mnist,
):
    for name, model in (("digits", "lenet5-relu"), (fashion_mnist, "lenet5-average")):
        assert choose_recipe(BEST, data.load(name), {}).model == model
