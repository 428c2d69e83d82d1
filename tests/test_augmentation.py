import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import need_native, need_torch, resume_run, train_run

import lenet
from lenet.data import augmentation as pixels
from lenet.data.augmentation import augment
from lenet.engines import open_engine
from lenet.errors import RecipeError
from lenet.network.initialiser import initial_weights
from lenet.network.zoo import build
from lenet.recipe import Recipe
from lenet.recipe.augmentation import ONE, PIXEL, Augmentation

EVERYTHING = Augmentation(
    flip=True, shift=2, scale=0.1, squeeze=0.1, shear=0.2, rotation=15.0, elastic=34.0,
    brightness=0.2, contrast=0.3, erase=0.5, border="edge",
)  # fmt: skip


def images(count=64, channels=1, side=28):
    return np.random.default_rng(3).integers(0, 256, (count, channels, side, side), np.uint8)


def numbered(count):
    return np.arange(count, dtype=np.int64)


def changed(shown, seed=0, epoch=1, **fields):
    return augment(shown, numbered(len(shown)), Augmentation(**fields), seed=seed, epoch=epoch)


def test_the_same_image_in_the_same_epoch_is_the_same_bytes_for_ever():
    # Written down once: a change of these numbers would change every published run.
    shown = (np.arange(2 * 6 * 7) * 5 % 256).astype(np.uint8).reshape(2, 1, 6, 7)
    made = augment(shown, np.array([7, 2**40]), EVERYTHING, seed=2**62, epoch=3)
    assert made[:, 0, 2].tolist() == GOLDEN


GOLDEN = [[41, 46, 52, 57, 59, 59, 58], [103, 90, 71, 48, 25, 19, 105]]


def test_what_becomes_of_an_image_does_not_hang_on_its_batch():
    shown = images()
    whole = augment(shown, numbered(64), EVERYTHING, seed=1, epoch=2)
    chosen = np.array([40, 3, 3])
    few = augment(shown[chosen], chosen, EVERYTHING, seed=1, epoch=2)
    assert few.tobytes() == whole[chosen].tobytes()


def test_another_seed_epoch_or_image_gets_another_draw():
    shown = np.repeat(images(1), 3, axis=0)
    made = [
        augment(shown, numbered(3), EVERYTHING, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 1), (0, 2), (1, 1))
    ]
    assert len({image.tobytes() for images in made for image in images}) == 9


def test_without_numbers_every_image_stays_as_it_is():
    shown = images()
    assert Augmentation().is_none
    assert (changed(shown) == shown).all()


def test_half_of_the_images_are_mirrored():
    shown = images(2000, side=5)
    made = changed(shown, flip=True)
    same, mirrored = ((made == each).all((1, 2, 3)) for each in (shown, shown[..., ::-1]))
    assert (same | mirrored).all()
    assert 900 < mirrored.sum() < 1100


def test_a_shift_moves_whole_pixels_each_way_equally_often():
    shown = np.zeros((5000, 1, 9, 9), np.uint8)
    shown[:, 0, 4, 4] = 200
    _, _, rows, columns = np.nonzero(changed(shown, shift=2))
    assert len(rows) == 5000
    counts = np.bincount(5 * (rows - 2) + columns - 2, minlength=25)
    assert np.abs(counts - 200).max() < 60


@pytest.mark.parametrize("edge", [0, 1])
def test_whole_pixels_are_what_the_general_map_makes_of_them(edge):
    shown = images(channels=3)
    numbers = replace(Augmentation(flip=True, shift=3).numbers(), edge=edge)
    keys = pixels.stream_keys(5, 2, numbered(64))
    places = pixels._places(numbers, keys, 28, 28)
    general = pixels._sample(shown, *places, edge)
    assert (pixels._shifted(shown, numbers, keys) == general).all()


def test_beyond_the_border_is_black_or_the_edge():
    white = np.full((200, 1, 8, 8), 255, np.uint8)
    assert (changed(white, shift=3, border="edge") == 255).all()
    assert changed(white, shift=3).min() == 0
    assert (changed(white, rotation=45.0, border="edge") == 255).all()


def test_sine_and_cosine_are_right_all_around():
    angles = np.linspace(-math.pi, math.pi, 1001)
    sine, cosine = pixels._sine_and_cosine(np.round(angles * ONE).astype(np.int64))
    np.testing.assert_allclose(sine / ONE, np.sin(angles), atol=2e-6)
    np.testing.assert_allclose(cosine / ONE, np.cos(angles), atol=2e-6)


@pytest.mark.parametrize(
    ("fields", "matrix"),
    [
        ({"rotation": 30.0}, lambda u: [[math.cos(u * math.pi / 6), math.sin(u * math.pi / 6)],
                                        [-math.sin(u * math.pi / 6), math.cos(u * math.pi / 6)]]),
        ({"scale": 0.2}, lambda u: [[1 / (1 + 0.2 * u), 0], [0, 1 / (1 + 0.2 * u)]]),
        ({"squeeze": 0.2}, lambda u: [[1 / (1 + 0.2 * u), 0], [0, 1 + 0.2 * u]]),
        ({"shear": 0.3}, lambda u: [[1, -0.3 * u], [0, 1]]),
    ],
)  # fmt: skip
def test_each_affine_part_is_the_map_that_it_says(fields, matrix):
    numbers, keys = Augmentation(**fields).numbers(), pixels.stream_keys(0, 1, numbered(50))
    (name,) = fields
    units = pixels._drawn(keys, pixels.Word[name], ONE) / ONE
    columns, rows = pixels._places(numbers, keys, 28, 28)
    middle = np.arange(28) - 13.5
    for index, unit in enumerate(units):
        (xx, xy), (yx, yy) = matrix(unit)
        x, y = middle[None], middle[:, None]
        np.testing.assert_allclose(columns[index] / PIXEL, 13.5 + xx * x + xy * y, atol=1e-3)
        np.testing.assert_allclose(rows[index] / PIXEL, 13.5 + yx * x + yy * y, atol=1e-3)


def test_displacements_are_as_large_and_as_smooth_as_simards():
    numbers = Augmentation(elastic=34.0, elastic_smoothness=4.0).numbers()
    across, along = pixels._displacements(numbers, pixels.stream_keys(0, 1, numbered(400)), 48, 48)
    for field in (across / PIXEL, along / PIXEL):
        middle = field[:, 16:32, 16:32]
        # Uniform noise has variance 1/3; a Gaussian of 4 pixels leaves 1 / (4 pi 4^2) of it.
        assert middle.std() == pytest.approx(34 * math.sqrt(1 / 3 / (64 * math.pi)), rel=0.05)
        near = (middle[:, :, 1:] * middle[:, :, :-1]).mean() / middle.var()
        assert near == pytest.approx(math.exp(-1 / 64), abs=0.01)
    assert abs((across * along).mean() / (across.std() * along.std())) < 0.02


def test_light_changes_levels_around_middle_grey_and_clips():
    shown = np.tile(np.arange(256, dtype=np.uint8), (100, 1)).reshape(100, 1, 16, 16)
    keys = pixels.stream_keys(0, 1, numbered(100))
    gain = 1 + 0.5 * pixels._drawn(keys, pixels.Word.contrast, ONE) / ONE
    lift = 255 * 0.2 * pixels._drawn(keys, pixels.Word.brightness, ONE) / ONE
    exact = (np.arange(256) - 127.5) * gain[:, None] + 127.5 + lift[:, None]
    made = changed(shown, brightness=0.2, contrast=0.5).reshape(100, 256)
    assert np.abs(made - np.clip(exact, 0, 255)).max() < 0.51


def test_a_rectangle_is_erased_in_the_share_that_is_asked_for():
    shown = np.zeros((3000, 2, 20, 20), np.uint8)
    keys = pixels.stream_keys(0, 1, numbered(3000))
    made = changed(shown, erase=0.3, erase_side=0.5)
    assert (made[:, 0] == made[:, 1]).all()
    touched = (made > 0).any((1, 2, 3))
    assert 820 < touched.sum() < 980
    rows, columns = ((made[:, 0] > 0).any(axis).sum(1)[touched] for axis in (2, 1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 10, 1, 10)
    assert ((made[touched, 0] > 0).sum((1, 2)) == rows * columns).all()
    assert len(keys) == 3000


def test_colours_and_other_shapes_are_changed_alike():
    grey = images(20)
    made = changed(np.repeat(grey, 3, axis=1), rotation=20.0, elastic=20.0, shift=1)
    assert made.flags["C_CONTIGUOUS"]
    assert (made == changed(grey, rotation=20.0, elastic=20.0, shift=1)).all()
    wide = np.random.default_rng(0).integers(0, 256, (4, 1, 12, 31), np.uint8)
    assert changed(wide, rotation=20.0, elastic=20.0, erase=1.0).shape == wide.shape


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rotation": 200.0}, r"rotation = 200.0: it must be from 0 to 180"),
        ({"scale": 1.0}, r"scale = 1.0: it must be from 0 to 0.9"),
        ({"shift": 1.5}, r"shift = 1.5: it must be a whole number"),
        ({"erase": math.nan}, r"erase = nan: it must be from 0 to 1"),
        ({"elastic": 1000.0}, r"elastic = 1000.0: it must be at least 0 and below 256"),
        ({"border": "grey"}, r"border = 'grey': it must be one of zero, edge"),
    ],
)
def test_a_number_that_cannot_work_is_named_with_its_range(fields, message):
    with pytest.raises(RecipeError, match=message):
        Augmentation(**fields)


def test_a_recipe_keeps_it_as_a_table_and_changes_one_field_at_a_time():
    recipe = Recipe(augmentation=EVERYTHING)
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert "[augmentation]" in recipe.to_toml()
    other = recipe.with_changes({"augmentation": {"rotation": 3}})
    assert other.augmentation == replace(EVERYTHING, rotation=3.0)
    assert Recipe.from_toml("epochs = 3").augmentation.is_none
    with pytest.raises(RecipeError, match=r"augmentation: unknown turn; known are flip, shift"):
        Recipe(augmentation={"turn": 3})
    with pytest.raises(RecipeError, match=r"augmentation = 3: it must be a table of its fields"):
        Recipe(augmentation=3)


AUGMENTED = Recipe(learning_rate=0.05, augmentation=EVERYTHING, seed=4)


@pytest.mark.parametrize("name", ["native", "eager"])
def test_an_engine_steps_on_the_images_of_the_epoch(name):
    need_native()
    if name == "eager":
        need_torch()
    shown, labels, chosen = images(64), np.arange(64) % 10, np.array([5, 9, 9, 33])
    made = augment(shown[chosen], chosen, EVERYTHING, seed=4, epoch=7)
    spec = build()
    states = []
    for recipe, given, indices in (
        (AUGMENTED, (shown, labels), chosen),
        (replace(AUGMENTED, augmentation={}), (made, labels[chosen]), np.arange(4)),
    ):
        weights = initial_weights(spec, recipe)
        engine = open_engine(spec, recipe, weights, engine=name, device="cpu", threads=1)
        engine.step(engine.place(*given), indices, 0.05, 7)
        states.append(engine.state().weights)
    for key, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][key])


def test_a_training_that_augments_ends_with_the_same_bytes_after_a_stop(tmp_path):
    need_native()
    options = {"batch_size": 64, "validation": 1000, "augmentation": {"rotation": 9, "shift": 2}}
    whole = train_run(data="digits", epochs=2, out=tmp_path / "whole", **options)
    one = lenet.train(data="digits", epochs=2, out=tmp_path / "other", threads=1, **options).run
    assert whole.history_path.read_bytes() == one.history_path.read_bytes()
    # Back to the first epoch: what a kill in the second one leaves.
    for path in one.checkpoint_paths()[:1]:
        path.unlink()
    resume_run(one.path)
    for left, right in zip(whole.checkpoint_paths(), one.checkpoint_paths(), strict=True):
        assert left.read_bytes() == right.read_bytes()


ODD = [
    {"shift": 2, "flip": True},
    {"shift": 3, "flip": True, "border": "edge"},
    {"shift": 700, "rotation": 180, "scale": 0.9, "squeeze": 0.9, "shear": 2},
    {"elastic": 200, "elastic_smoothness": 0.5, "border": "edge", "flip": True},
    {"elastic": 34, "elastic_smoothness": 32},
    {"brightness": 0.5, "contrast": 1},
    {"erase": 0.9, "erase_side": 1},
    EVERYTHING,
]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 17, 45), (1, 150, 140)])
def test_each_instruction_set_makes_the_bytes_of_the_reference(shape, monkeypatch):
    need_native()
    from lenet.engines.native import NativeEngine, instruction_sets

    source = np.random.default_rng(0)
    shown, chosen = source.integers(0, 256, (30, *shape), np.uint8), np.array([0, 29, 7])
    spec = build(channels=shape[0], height=shape[1], width=shape[2])
    for isa in instruction_sets():
        monkeypatch.setenv("LENET_ISA", isa)
        for fields, seed in zip(ODD * 2, [0, 2**63 - 1] * len(ODD), strict=True):
            recipe = Recipe(augmentation=fields, seed=seed)
            engine = NativeEngine(spec, recipe, initial_weights(spec, recipe), threads=1)
            seen = engine.seen(engine.place(shown, np.zeros(30, np.int64)), chosen, 41)
            made = augment(shown[chosen], chosen, recipe.augmentation, seed=seed, epoch=41)
            np.testing.assert_array_equal(seen, made, err_msg=str(recipe.augmentation))
