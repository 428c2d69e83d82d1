import pytest

from lenet.errors import SpecError, UsageError
from lenet.network import Dense, RadialBasis, Spec, Subsampling, zoo

OF_THE_SHAPE = ["lenet5", "lenet5-sigmoid", "lenet5-relu", "lenet5-average", "lenet5-modern"]


@pytest.mark.parametrize("name", OF_THE_SHAPE)
def test_every_network_of_the_full_size_has_the_published_counts(name):
    spec = zoo.build(name)
    assert spec.parameters == 61_706
    assert spec.multiply_adds == 416_520
    assert spec.connections == 429_342


def test_counts_by_layer_are_those_of_the_note():
    rows = zoo.build("lenet5").counts()
    assert [(row.name, row.output_shape, row.parameters, row.multiply_adds) for row in rows] == [
        ("C1", (6, 28, 28), 156, 117_600),
        ("S2", (6, 14, 14), 0, 0),
        ("C3", (16, 10, 10), 2_416, 240_000),
        ("S4", (16, 5, 5), 0, 0),
        ("C5", (120, 1, 1), 48_120, 48_000),
        ("F6", (84, 1, 1), 10_164, 10_080),
        ("output", (10, 1, 1), 850, 840),
    ]


def test_the_small_network_has_weights_of_under_8_kilobytes_in_bytes():
    spec = zoo.build("lenet5-small")
    assert [(row.name, row.output_shape, row.parameters) for row in spec.counts()] == [
        ("C1", (6, 28, 28), 156),
        ("S2", (6, 14, 14), 0),
        ("C3", (12, 10, 10), 1_812),
        ("S4", (12, 5, 5), 0),
        ("C5", (18, 1, 1), 5_418),
        ("output", (10, 1, 1), 190),
    ]
    assert (spec.parameters, spec.multiply_adds) == (7_576, 303_180)


def test_32x32_pictures_lead_to_the_same_parameters():
    spec = zoo.build("lenet5", height=32, width=32)
    assert spec.parameters == 61_706
    assert spec.counts()[3].output_shape == (16, 5, 5)


def test_any_number_of_classes_and_channels():
    spec = zoo.build("lenet5-relu", channels=3, classes=47)
    assert spec.classes == 47
    assert spec.parameters == 61_706 + 2 * 6 * 25 + 37 * 85


def test_an_unknown_network_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'lenet6'; known are lenet5, lenet5-sigmoid"):
        zoo.build("lenet6")


def test_a_picture_that_is_too_small_is_refused_at_the_layer():
    with pytest.raises(SpecError, match="layer C3: nothing is left"):
        zoo.build("lenet5", height=7, width=7)


ROWS_OF_1998 = {
    "lenet5-1998": [
        ("C1", (6, 28, 28), 156, 122_304),
        ("S2", (6, 14, 14), 12, 5_880),
        ("C3", (16, 10, 10), 1_516, 151_600),
        ("S4", (16, 5, 5), 32, 2_000),
        ("C5", (120, 1, 1), 48_120, 48_120),
        ("F6", (84, 1, 1), 10_164, 10_164),
        ("output", (10, 1, 1), 0, 840),
    ],
    "lenet1": [
        ("C1", (4, 24, 24), 104, 59_904),
        ("S2", (4, 12, 12), 8, 2_880),
        ("C3", (12, 8, 8), 512, 32_768),
        ("S4", (12, 4, 4), 24, 960),
        ("units", (10, 1, 1), 1_930, 1_930),
        ("output", (10, 1, 1), 0, 0),
    ],
    "lenet4": [
        ("C1", (4, 28, 28), 104, 81_536),
        ("S2", (8, 14, 14), 16, 7_840),
        ("C3", (16, 10, 10), 1_516, 151_600),
        ("S4", (16, 5, 5), 32, 2_000),
        ("C5", (37, 1, 1), 14_837, 14_837),
        ("units", (10, 1, 1), 380, 380),
        ("output", (10, 1, 1), 0, 0),
    ],
    "lenet4-120": [
        ("C1", (4, 28, 28), 104, 81_536),
        ("S2", (8, 14, 14), 16, 7_840),
        ("C3", (16, 10, 10), 1_516, 151_600),
        ("S4", (16, 5, 5), 32, 2_000),
        ("C5", (120, 1, 1), 14_160, 14_160),
        ("units", (10, 1, 1), 1_210, 1_210),
        ("output", (10, 1, 1), 0, 0),
    ],
}


@pytest.mark.parametrize("name", ROWS_OF_1998)
def test_the_networks_of_1998_have_the_published_counts_layer_by_layer(name):
    rows = zoo.build(name).counts()
    found = [(row.name, row.output_shape, row.parameters, row.connections) for row in rows]
    assert found == ROWS_OF_1998[name]


def test_the_networks_of_1998_have_the_published_totals():
    totals = {
        name: (zoo.build(name).parameters, zoo.build(name).connections) for name in ROWS_OF_1998
    }
    assert totals["lenet5-1998"] == (60_000, 340_908)
    assert totals["lenet1"] == (2_578, 98_442)
    # "about 17,000" and "about 260,000"; there are two readings that meet both.
    assert totals["lenet4"] == (16_885, 258_193)
    assert totals["lenet4-120"] == (17_038, 258_346)


@pytest.mark.parametrize("name", ROWS_OF_1998)
def test_masks_hold_as_many_weights_as_are_counted(name):
    spec = zoo.build(name)
    masks = spec.masks()
    weights = {
        row: int(masks[f"{row}.weight"].sum()) if f"{row}.weight" in masks else None
        for row in ("C3", "C5")
    }
    assert weights["C3"] == {"lenet1": 20 * 25}.get(name, 60 * 25)
    assert weights["C5"] == (120 * 117 if name == "lenet4-120" else None)


def test_table_1_gives_every_map_of_s2_to_ten_of_c3():
    readers = [sum(k in row for row in zoo.TABLE_1) for k in range(6)]
    assert readers == [10] * 6
    assert [len(row) for row in zoo.TABLE_1] == [3] * 6 + [4] * 9 + [6]
    assert len(set(zoo.TABLE_1)) == len(set(zoo.TABLE_OF_LENET_4)) == 16


def test_a_network_of_1998_needs_nothing_else():
    recipe = zoo.recipe_of("lenet5-1998")
    assert (recipe.optimizer, recipe.batch_size, recipe.epochs, recipe.order) == (
        "sdlm", 1, 20, "constant",
    )  # fmt: skip
    spec = zoo.build("lenet5-1998")
    assert spec.input_shape == (1, 28, 28)
    assert spec.prepared_shape == (1, 32, 32)
    assert 0 * spec.pixel_scale + spec.pixel_shift == pytest.approx(-0.1)
    assert 255 * spec.pixel_scale + spec.pixel_shift == pytest.approx(1.175)
    assert zoo.build("lenet5-1998", height=32, width=32).prepared_shape == (1, 32, 32)
    assert zoo.recipe_of("lenet5").optimizer == "sgd"


def test_more_classes_get_more_characters():
    spec = zoo.build("lenet5-1998", classes=47)
    assert (spec.classes, spec.parameters) == (47, 60_000)
    with pytest.raises(SpecError, match="100 classes, and the paper prints 95 characters"):
        zoo.build("lenet5-1998", classes=100)


def test_distances_come_last_and_read_what_their_centres_have():
    ends = RadialBasis("output", 10)
    with pytest.raises(SpecError, match="radial_basis must be the last layer"):
        Spec("early", 1, 7, 12, (ends, Dense("A", 10)))
    with pytest.raises(SpecError, match="it reads 60 numbers, and its centres have 84"):
        Spec("narrow", 1, 8, 8, (Dense("A", 60), ends))
    with pytest.raises(SpecError, match="code 'morse' is not one of characters, place"):
        Spec("other", 1, 8, 8, (Dense("A", 84), RadialBasis("B", 10, "morse")))
    with pytest.raises(SpecError, match="squares 'round' is not one of half, whole"):
        Spec("other", 1, 8, 8, (Dense("A", 84), RadialBasis("B", 10, squares="round")))
    with pytest.raises(SpecError, match="a unit cannot read 65 of 64 inputs"):
        Spec("greedy", 1, 8, 8, (Dense("A", 84, reads=65), Dense("B", 2)))
    with pytest.raises(SpecError, match="squares of 2 and 0 copies; both must be at least 1"):
        Spec("none", 1, 8, 8, (Subsampling("A", copies=0), Dense("B", 2)))
