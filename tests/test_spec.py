import numpy as np
import pytest

from lenet.errors import SpecError
from lenet.network import Convolution, Dense, Pooling, Spec

# LeCun et al. 1998, table I: which maps of S2 each map of C3 sees.
TABLE_I = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def make(*layers, side=28):
    return Spec("test", 1, side, side, layers)


def test_counts_of_the_1998_paper_follow_from_its_layers():
    layers = (
        Convolution("C1", 6, 5),
        Pooling("S2", "average"),
        Convolution("C3", 16, 5, connections=TABLE_I),
        Pooling("S4", "average"),
        Convolution("C5", 120, 5),
        Dense("F6", 84),
        Dense("output", 10),
    )
    rows = {row.name: row for row in make(*layers, side=32).counts()}
    # Section II-B gives these figures for C1, C3, C5 and F6.
    assert (rows["C1"].parameters, rows["C1"].connections) == (156, 122_304)
    assert (rows["C3"].parameters, rows["C3"].connections) == (1_516, 151_600)
    assert rows["C5"].connections == 48_120
    assert rows["F6"].parameters == 10_164


def test_shapes_follow_the_layers():
    spec = make(Convolution("C1", 6, 5, 2), Pooling("S2", "max"), Dense("output", 10))
    assert [row.output_shape for row in spec.counts()] == [(6, 28, 28), (6, 14, 14), (10, 1, 1)]
    assert spec.weight_shapes()["output.weight"] == (10, 6 * 14 * 14)


def test_a_spec_survives_json():
    import json

    spec = make(
        Convolution("C1", 3, 5, connections=((0,), (0,), (0,))), Dense("output", 10, "identity")
    )
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Convolution("C1", 6, 5),), "the last layer must be dense"),
        ((Dense("A", 3), Dense("A", 3)), "layer names repeat"),
        ((Convolution("C1", 6, 29), Dense("o", 2)), "C1: nothing is left of its input"),
        ((Convolution("C1", 6, 5, 5), Dense("o", 2)), "C1: kernel 5 must be at least 1, and pad"),
        ((Convolution("C1", 0, 5), Dense("o", 2)), "C1: 0 outputs"),
        ((Pooling("S2", "median"), Dense("o", 2)), "S2: pooling 'median' is not one of average"),
        ((Pooling("S2", "max", 0), Dense("o", 2)), "S2: pooling size 0"),
        ((Dense("o", 2, "swish"),), "o: activation 'swish' is not one of identity"),
        ((Convolution("C1", 1, 5, connections=((1,),)), Dense("o", 2)), "connection table needs"),
        ((Convolution("C1", 2, 5, connections=((0,),)), Dense("o", 2)), "needs 2 rows"),
    ],
)
def test_layers_that_do_not_fit_are_refused_by_name(layers, message):
    with pytest.raises(SpecError, match=message):
        make(*layers)


def test_numbers_of_numpy_and_a_list_of_layers_make_the_same_network():
    import json

    layers = [Convolution("C1", np.int64(3), np.int32(5)), Dense("output", np.int16(10))]
    spec = Spec("test", np.int64(1), 28, np.uint8(28), layers, np.float32(0.5))
    assert spec == Spec("test", 1, 28, 28, (Convolution("C1", 3, 5), Dense("output", 10)), 0.5)
    assert hash(spec)
    assert Spec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Convolution("C1", 4, (3, 5)), r"layer C1: kernel = \(3, 5\): it must be a whole"),
        (lambda: Pooling("S2", "max", "2"), "layer S2: size = '2': it must be a whole number"),
        (lambda: Dense("output", 2, None), "layer output: activation = None: it must be a text"),
        (
            lambda: Spec("a", 1, 28.0, 28, (Dense("o", 2),)),
            "'a': height = 28.0: it must be a whole",
        ),
        (
            lambda: Spec("a", 1, 28, 28, Dense("o", 2)),
            "a: layers = Dense.*must be a tuple of layers",
        ),
        (lambda: Spec("a", 1, 28, 28, ("C1", Dense("o", 2))), "a: layers = .*a tuple of layers"),
    ],
)
def test_what_is_no_number_and_no_layer_is_refused_by_name(change, message):
    with pytest.raises(SpecError, match=message):
        change()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"layers": [{"type": "attention"}]},
        {"layers": [], "name": "x", "channels": 1, "height": 1, "width": 1, "depth": 3},
    ],
)
def test_a_description_that_is_no_network_is_refused(values):
    with pytest.raises(SpecError, match=r"not the description of a network|is not one of"):
        Spec.from_dict(values)


def test_an_input_without_pixels_is_refused():
    with pytest.raises(SpecError, match="must be at least 1x1x1"):
        make(Dense("o", 2), side=0)
