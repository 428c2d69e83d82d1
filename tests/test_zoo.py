import pytest

from lenet.errors import SpecError, UsageError
from lenet.network import zoo


@pytest.mark.parametrize("name", ["lenet5", "lenet5-sigmoid", "lenet5-relu", "lenet5-modern"])
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
