"""The network as one C file: its integers, its text, and compilers that run it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import OF_TODAY, need, need_native, run_lenet, train_run

import lenet
from lenet import data
from lenet.engines import open_engine
from lenet.errors import ExportError, InputError, SpecError, UsageError
from lenet.export import FORMATS, c_file
from lenet.export.program import integers
from lenet.export.program.arrays import float_literal, pack
from lenet.export.program.compilation import answer_source, ask_program, read_answers
from lenet.export.program.quantization import (
    Ranges,
    Rescaling,
    byte_scale,
    curve,
    even_scale,
    quantize,
    to_grid,
    weight_steps,
)
from lenet.export.program.ranges import measure_ranges
from lenet.export.program.retraining import project
from lenet.export.program.source import Origin, string_literal, write_floats, write_integers
from lenet.export.proof import extremes
from lenet.export.rounding import float_reference
from lenet.network import Convolution, Dense, Pooling, Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.network.layers import RadialBasis, Subsampling
from lenet.recipe import Recipe

need_native()

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench import microcontroller

STRICT = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
ORIGIN = Origin("a test", ("of it",))
BITS = {"float": 32, "int8": 8, "int4": 4}
IN_WHOLE_NUMBERS = [name for name in OF_TODAY if name != "lenet5-modern"]

COMPILERS = {
    "gcc-O0": ("gcc", "-std=c99", "-O0"),
    "gcc-O3": ("gcc", "-std=c99", "-O3"),
    "clang-O0": ("clang", "-std=c99", "-O0"),
    "clang-O3": ("clang", "-std=c99", "-O3"),
    "g++": ("g++", "-x", "c++", "-std=c++11", "-O2"),
    "clang++": ("clang++", "-x", "c++", "-std=c++11", "-O2"),
}


def run(*words, given=b"", **options):
    return subprocess.run(
        list(map(str, words)), input=given, capture_output=True, timeout=240, **options
    )


def compile_with(compiler, source, out, *flags):
    need(shutil.which(compiler[0]), f"install {compiler[0]}: apt install {compiler[0]}")
    done = run(*compiler, *STRICT, *flags, source, "-o", out)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The note's network after two epochs of Fashion-MNIST."""
    from conftest import FASHION_MNIST

    need(FASHION_MNIST.is_dir(), "install Fashion-MNIST: apt install dataset-fashion-mnist")
    out = tmp_path_factory.mktemp("program") / "run"
    return lenet.load(train_run(out=out, epochs=2).path)


@pytest.fixture(scope="module")
def networks(model):
    """Of that network, the two in whole numbers; 4 bits without training on."""
    train = model.checkpoint.data.load().train
    ranges = measure_ranges(model.spec, model._engine, train.images)
    return {name: quantize(model.spec, model.weights, ranges, BITS[name]) for name in BITS if
            name != "float"}  # fmt: skip


@pytest.fixture(scope="module")
def sources(model, networks, tmp_path_factory):
    """The three C files."""
    folder = tmp_path_factory.mktemp("sources")
    texts = {"float": write_floats(model.spec, model.weights, model.class_names, ORIGIN)}
    for name, network in networks.items():
        texts[name] = write_integers(network, model.class_names, ORIGIN)
    for name, text in texts.items():
        (folder / f"{name}.c").write_text(text)
    return {name: folder / f"{name}.c" for name in texts}


@pytest.fixture(scope="module")
def images(model):
    """Some of the test split, and made-up extremes."""
    made, _ = extremes(model.spec.input_shape)
    return np.concatenate([model.checkpoint.data.load().test.images[:300], made[:40], made[-8:]])


# Whole numbers.


@pytest.mark.thorough
def test_export_proves_10000_scores_bit_for_bit_and_what_they_lose(model, tmp_path):
    exported = model.export("c", tmp_path / "network.c", bits=8)
    found = exported.proof.findings
    assert (found.images, found.largest_difference, found.largest_bound) == (10_000, 0.0, 0.0)
    assert found.accuracy >= found.accuracy_of_the_run - 0.001
    assert found.classes_agree > 9_900
    assert exported.proof.options["bits"] == 8
    assert "bit for bit" in str(exported.proof)
    text = exported.path.read_text()
    assert exported.proof.checkpoint_sha256 in text
    assert "#define LENET_WORKING_BYTES 1576" in text
    assert "constants, 64,108 bytes in all" in text


@pytest.mark.thorough
def test_export_proves_floats_with_every_class_of_the_run(model, tmp_path):
    code, out, err = run_lenet(
        "export", model.run.path, "--to", "c", "--out", tmp_path / "network.c"
    )
    assert (code, err) == (0, "")
    assert "on 10,000 test images" in out
    proof = json.loads((tmp_path / "network.c.proof.json").read_text())
    assert proof["findings"]["weights"] == 61_706
    assert "every image has the run's class" in out
    assert "#define LENET_WORKING_BYTES 6304" in (tmp_path / "network.c").read_text()


@pytest.mark.thorough
def test_weights_of_4_bits_are_trained_on_and_lose_half_a_point_at_most(model, tmp_path):
    exported = model.export("c", tmp_path / "network.c", bits=4)
    found = exported.proof.findings
    assert found.largest_difference == 0.0
    assert found.accuracy >= found.accuracy_of_the_run - 0.005
    assert "and 3 epochs of training with weights of 4 bits" in exported.path.read_text()
    assert "constants, 33,3" in exported.path.read_text()
    again = model.check_export(exported.path)
    assert again.findings == found


@pytest.mark.soak
@pytest.mark.parametrize("name", IN_WHOLE_NUMBERS)
def test_all_70000_images_have_the_scores_of_the_reference(tmp_path, fashion_mnist, name):
    rate = {"learning_rate": 0.1} if name in ("lenet5-relu", "lenet5-average") else {}
    model = lenet.load(train_run(name, out=tmp_path / "run", epochs=2, **rate).path)
    splits = data.load(fashion_mnist)
    every = np.concatenate([splits.train.images, splits.test.images])
    trained = model._trained(None, None)
    for bits in (8, 4):
        network = c_file.integer_network(trained, bits)
        path = tmp_path / f"{bits}.c"
        path.write_text(write_integers(network, model.class_names, ORIGIN))
        found = np.array(answer_source(path, every, model.class_names)).astype(np.int64)
        right = integers.scores(network, every)
        assert found.shape == (70_000, 10)
        assert int((found != right).sum()) == 0


def test_the_weights_on_a_grid_are_the_nearest():
    weights = np.array([[0.0, 1.0, -0.26, 0.24], [0.5, -0.5, 0.1, 2.0]], np.float32)
    step = np.array([0.25, 0.5 / 7])
    assert to_grid(weights, step, 4).tolist() == [[0, 4, -1, 1], [7, -7, 1, 7]]
    assert to_grid(weights, np.array([1 / 127, 2 / 127]), 8).tolist() == [
        [0, 127, -33, 30], [32, -32, 6, 127],
    ]  # fmt: skip


def test_the_steps_of_4_bits_leave_a_smaller_error_than_those_of_the_largest_weight():
    spec = zoo.build("lenet5")
    weights = initial_weights(spec, Recipe())
    weights["C5.weight"][:, 0] *= 4  # outliers, which a step for the largest would serve alone
    found = weight_steps(spec, weights, 4)["C5"]
    matrix = weights["C5.weight"].astype(np.float64)
    largest = np.abs(matrix).max(axis=1) / 7

    def error(step):
        return ((to_grid(matrix, step, 4) * step[:, None] - matrix) ** 2).sum(axis=1)

    assert (error(found) <= error(largest)).all()
    assert error(found).sum() < 0.9 * error(largest).sum()


def test_weights_on_their_grid_stay_there():
    spec = zoo.build("lenet5-small")
    weights = initial_weights(spec, Recipe())
    steps = weight_steps(spec, weights, 4)
    once = project(weights, steps, 4)
    again = project(once, steps, 4)
    for name in weights:
        np.testing.assert_array_equal(once[name], again[name])


def test_two_weights_share_a_byte_and_an_odd_row_ends_with_0():
    assert pack(np.array([[-7, 7, 3], [0, -1, 1]])).tolist() == [[0xF1, 0x8B], [0x78, 0x89]]


def test_a_scale_reaches_from_the_lowest_to_the_highest():
    scale = byte_scale(-1.0, 4.0)
    assert scale.zero == 51
    assert scale.step * (0 - scale.zero) == pytest.approx(-1.0)
    assert scale.step * (255 - scale.zero) == pytest.approx(4.0)
    assert byte_scale(0.0, 0.0).step > 0


def test_a_sum_is_rounded_once_half_up():
    random = np.random.default_rng(0)
    multiplier = random.integers(2**30, 2**31, 7)
    shift = random.integers(30, 45, 7)
    sums = random.integers(-(2**25), 2**25, (50, 7))
    sums[0] = 0
    found = integers._rescale(Rescaling(multiplier, shift, 3), sums)
    for row, answers in zip(sums.tolist(), found.tolist(), strict=True):
        for channel, (value, answer) in enumerate(zip(row, answers, strict=True)):
            exact = Fraction(value * int(multiplier[channel]), 2 ** int(shift[channel]))
            assert answer == 3 + (exact + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize(
    ("activation", "lowest", "highest"),
    [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0), ("scaled_tanh", -1.7159, 1.7159)],
)
def test_a_curve_between_its_entries_is_within_half_a_byte(activation, lowest, highest):
    place, handed = even_scale(-8.0, 8.0, 65_536), byte_scale(lowest, highest)
    found = integers._look_up(curve(activation, place, handed), np.arange(65_536)[None])
    values = place.step * (np.arange(65_536) - place.zero)
    amplitude, slope = {"tanh": (1, 1), "scaled_tanh": (1.7159, 2 / 3)}.get(activation, (0, 0))
    right = 1 / (1 + np.exp(-values)) if not slope else amplitude * np.tanh(slope * values)
    # Half a byte is the rounding; the rest is the straight line between two entries.
    error = np.abs(handed.step * (found - handed.zero) - right) / handed.step
    assert error.max() < 0.56


@pytest.mark.parametrize(
    ("name", "what"),
    [("lenet5-modern", r"layer .* \(silu, whose largest"),
     ("lenet5-1998", r"layer S2 \(2x2 trained subsampling"),
     ("lenet4-120", r"layer S2 \(2x2 trained")],
)  # fmt: skip
@pytest.mark.parametrize("bits", [8, 4])
def test_what_is_not_known_in_whole_numbers_is_refused(name, what, bits, digits_model, tmp_path):
    trained = digits_model._trained(None, None)
    spec = zoo.build(name)
    checkpoint = replace(trained.checkpoint, spec=spec)
    with pytest.raises(SpecError, match=f"{name}: {what}.* is not known in whole numbers; use flo"):
        c_file.integer_network(replace(trained, checkpoint=checkpoint), bits)
    with pytest.raises(SpecError, match="is not known in whole numbers"):
        quantize(spec, {}, Ranges({}, {}), bits)


def spec_of(*layers, channels=1, side=12, **pixels):
    last = () if isinstance(layers[-1], RadialBasis) else (Dense("output", 4),)
    return Spec("test", channels, side, side + 1, (*layers, *last), **pixels)


SPECS = {
    **{name: zoo.build(name) for name in IN_WHOLE_NUMBERS},
    "32x32 in colour": zoo.build("lenet5", channels=3, height=32, width=32, classes=7),
    "a table of connections, scaled": spec_of(
        Convolution("C1", 3, kernel=3, padding=1, activation="scaled_tanh"),
        Pooling("S2", "average"),
        Convolution("C3", 4, kernel=3, activation="tanh", connections=((0, 1), (1,), (2,), (0, 2))),
        Dense("F", 5, activation="scaled_tanh"),
        pixel_scale=1.275 / 255,
        pixel_shift=-0.1,
    ),
    "threes and remainders": spec_of(
        Convolution("first layer!", 2, kernel=4, padding=3, activation="relu"),
        Pooling("pool", "average", size=3),
        Dense("int", 7, activation="identity"),
        side=13,
    ),
    "poolings alone": spec_of(
        Pooling("P1", "average"),
        Pooling("P2", "max"),
        Convolution("C", 5, kernel=2, activation="sigmoid"),
        Pooling("P3", "max"),
        Dense("D", 3, activation="leaky_relu"),
    ),
    "one layer": Spec("test", 2, 3, 3, (Dense("output", 5),), pixel_shift=-0.4999),
}


def drawn(spec):
    """Weights with some life in them, and images."""
    weights = initial_weights(spec, Recipe(seed=3))
    random = np.random.default_rng(0)
    masks = spec.masks()
    for name in weights:
        weights[name] = (weights[name] * 2).astype(np.float32)
        if name in masks:
            weights[name] *= masks[name]
    noise = random.integers(0, 256, (60, *spec.input_shape), np.uint8)
    return weights, np.concatenate([noise, extremes(spec.input_shape)[0][:40]])


def measured(spec, weights, images):
    engine = open_engine(spec, Recipe(), weights, engine="native")
    return measure_ranges(spec, engine, images)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", SPECS)
def test_the_program_has_the_scores_of_the_reference_for_every_kind_of_network(
    tmp_path, name, bits
):
    spec = SPECS[name]
    weights, images = drawn(spec)
    network = quantize(spec, weights, measured(spec, weights, images), bits)
    names = [f"class {index}" for index in range(spec.classes)]
    source = tmp_path / "network.c"
    source.write_text(write_integers(network, names, ORIGIN))
    compile_with(COMPILERS["gcc-O0"], source, tmp_path / "program", "-DLENET_MAIN")
    found = ask_program([str(tmp_path / "program")], images, names)
    right = integers.scores(network, images)
    np.testing.assert_array_equal(np.array(found).astype(np.int64), right)
    assert len(np.unique(right)) > 20  # it does answer


@pytest.mark.parametrize("name", SPECS)
def test_whole_numbers_of_8_bits_are_close_to_floats_for_every_kind_of_network(name):
    spec = SPECS[name]
    weights, images = drawn(spec)
    network = quantize(spec, weights, measured(spec, weights, images), 8)
    right = float_reference(spec, weights).answer(images).answers
    found = integers.scores(network, images) * 2.0**-network.score_bits
    assert np.abs(found - right).mean() < 0.03 * right.std()


FLOATS = {
    **SPECS,
    **{name: zoo.build(name) for name in zoo.ZOO},
    "SiLU under maxima": spec_of(
        Convolution("C1", 3, kernel=3, activation="silu"),
        Pooling("S2", "max"),
        Dense("F", 5, activation="silu"),
    ),
    "1998, all at once": spec_of(
        Convolution("C1", 3, kernel=3, padding=1, activation="scaled_tanh"),
        Subsampling("S2", 3, copies=2),
        Dense("C5", 5, "tanh", reads=7),
        Dense("units", 4),
        RadialBasis("distances", 4, "place", "whole"),
        channels=2,
        preparation=("shrink", "frame", "shrink"),
    ),
}
"""And what is there in floats alone: the networks of 1998, and SiLU."""


@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_within_the_bound_for_every_kind_of_network(tmp_path, name):
    spec = FLOATS[name]
    weights, images = drawn(spec)
    names = [f"class {index}" for index in range(spec.classes)]
    source = tmp_path / "network.c"
    source.write_text(write_floats(spec, weights, names, ORIGIN))
    compile_with(COMPILERS["gcc-O0"], source, tmp_path / "program", "-DLENET_MAIN")
    found = np.array(ask_program([str(tmp_path / "program")], images, names)).astype(np.float64)
    expected = float_reference(spec, weights).answer(images)
    assert (np.abs(found - expected.answers) <= expected.bound).all()


CURVES = """
#include <stdio.h>
#include "network.c"

int main(void)
{
    for (long index = -400000; index <= 400000; index++) {
        const float value = (float)index * 1e-4f;
        printf("%.9g %.9g %.9g\\n", (double)value, (double)sigmoid(value),
               (double)hyperbolic_tangent(value));
    }
    printf("%.9g %.9g 0\\n", -1e30, (double)sigmoid(-1e30f));
    return 0;
}
"""


def test_the_curves_in_floats_are_within_3_and_6_ten_millionths(tmp_path):
    spec = Spec("test", 1, 2, 2, (Dense("A", 2, activation="tanh"), Dense("output", 2)))
    weights = drawn(spec)[0]
    (tmp_path / "network.c").write_text(write_floats(spec, weights, ["a", "b"], ORIGIN))
    (tmp_path / "curves.c").write_text(CURVES)
    compile_with(COMPILERS["gcc-O0"], tmp_path / "curves.c", tmp_path / "curves")
    rows = np.array(run(tmp_path / "curves").stdout.split(), np.float64).reshape(-1, 3)
    values, logistic, tangent = rows[:-1].T
    assert np.abs(logistic - 1 / (1 + np.exp(-values))).max() < 3e-7
    assert np.abs(tangent - np.tanh(values)).max() < 6e-7
    assert 0 <= rows[-1, 1] < 1e-12


# What cannot be done is said.


def test_pixels_of_which_none_is_0_cannot_be_padded():
    spec = replace(zoo.build("lenet5"), pixel_shift=-0.3001)
    weights, images = drawn(spec)
    ranges = measured(spec, weights, images)
    with pytest.raises(SpecError, match=r"C1 pads with 0, and no pixel is 0 .* use floats"):
        quantize(spec, weights, ranges)


def test_pixels_that_are_turned_around_are_refused():
    spec = replace(zoo.build("lenet5"), pixel_scale=-1 / 255, pixel_shift=1.0)
    with pytest.raises(
        SpecError, match=r"pixel_scale = -0\.0039.*: in whole numbers it must be abo"
    ):
        quantize(spec, drawn(spec)[0], Ranges({}, {}))


def test_logits_through_an_activation_are_refused():
    spec = Spec("test", 1, 4, 4, (Dense("output", 3, activation="sigmoid"),))
    with pytest.raises(SpecError, match=r"output gives the logits through sigmoid; .* use floats"):
        quantize(spec, drawn(spec)[0], Ranges({}, {}))


def test_sums_beyond_32_bits_are_refused():
    spec = Spec("test", 1, 260, 260, (Dense("output", 2),))
    weights = {"output.weight": np.ones((2, 67_600), np.float32), "output.bias": np.zeros(2)}
    with pytest.raises(SpecError, match="67,600 weights an output: their sums do not fit in 32"):
        quantize(spec, weights, Ranges({}, {}))


def test_bits_that_no_weight_has_are_refused(digits_model, tmp_path):
    with pytest.raises(InputError, match="bits = 5: a weight has 32 or 8 or 4"):
        digits_model.export("c", tmp_path / "x.c", bits=5)
    with pytest.raises(UsageError, match="bits is for c, and not for onnx"):
        digits_model.export("onnx", tmp_path / "x.onnx", bits=8)
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_nothing_is_begun(digits_model, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(UsageError, match=r"no C compiler \(no-such-compiler\); install one"):
        digits_model.export("c", tmp_path / "x.c")
    assert list(tmp_path.iterdir()) == []


# Broken exporters are refused.


def more(match):
    return str(int(match[0]) + 1)


def change_number(text, array, change):
    """The first number of a constant, changed."""
    start = text.index("{", text.index(f" {array}["))
    return text[:start] + re.sub(r"-?\d+", change, text[start:], count=1)


BROKEN = {
    "a weight": lambda text: change_number(text, "C3_weights", more),
    "a bias": lambda text: change_number(text, "C5_bias", lambda match: str(int(match[0]) + 99)),
    "a scale": lambda text: change_number(text, "F6_shift", more),
    "a bit of a multiplier": lambda text: change_number(
        text, "C1_multiplier", lambda match: str(int(match[0]) ^ 1 << 22)
    ),
    "a pooling": lambda text: text.replace("above += sum_0_1", "above += sum_0_0"),
    "a rounding": lambda text: text.replace("1 << (shift - 1)", "0 << (shift - 1)"),
    "an order": lambda text: text.replace("[map]", "[0]"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_exporter_is_refused_and_leaves_nothing(model, tmp_path, monkeypatch, name):
    def broken(*arguments):
        text = write_integers(*arguments)
        changed = BROKEN[name](text)
        assert changed != text
        return changed

    monkeypatch.setattr(c_file, "write_integers", broken)
    splits = model.checkpoint.data.load()
    few = replace(splits, test=splits.test.at(np.arange(500)))
    with pytest.raises(ExportError, match="answers otherwise than the run: image"):
        model.export("c", tmp_path / "network.c", bits=8, data=few)
    assert list(tmp_path.iterdir()) == []


def off(text):
    return text.replace("F6_bias[unit]", "F6_bias[unit] * 1.01f")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: np.nextafter(weights, np.float32(9)), "other weights than the run: F6.we"),
        (lambda weights: weights, "answers otherwise than the run: image"),
    ],
    ids=["a weight", "a bias as it is used"],
)
def test_a_float_that_is_off_is_refused(digits_model, tmp_path, monkeypatch, change, message):
    def broken(spec, weights, *rest):
        wrong = {name: array.copy() for name, array in weights.items()}
        wrong["F6.weight"][3, 5] = change(wrong["F6.weight"][3, 5])
        text = write_floats(spec, wrong, *rest)
        return off(text) if wrong["F6.weight"][3, 5] == weights["F6.weight"][3, 5] else text

    monkeypatch.setattr(c_file, "write_floats", broken)
    with pytest.raises(ExportError, match=message):
        digits_model.export("c", tmp_path / "network.c")
    assert list(tmp_path.iterdir()) == []


def test_one_weight_off_by_one_shows(sources, networks, model, images, tmp_path):
    changed = tmp_path / "changed.c"
    changed.write_text(change_number(sources["int8"].read_text(), "C3_weights", more))
    found = np.array(answer_source(changed, images, model.class_names)).astype(np.int64)
    wrong = (found != integers.scores(networks["int8"], images)).any(axis=1)
    assert 0 < wrong.sum() <= len(images)


def test_whole_numbers_that_lose_too_much_are_refused(model, tmp_path, monkeypatch):
    def coarse(spec, weights, ranges, bits, steps=None):
        return quantize(spec, weights, ranges, 2)

    monkeypatch.setattr(c_file, "_made", {})
    monkeypatch.setattr(c_file, "quantize", coarse)
    splits = model.checkpoint.data.load()
    few = replace(splits, test=splits.test.at(np.arange(500)))
    with pytest.raises(ExportError, match=r"right for \d+ of 500 images fewer .*; 0\.10% is allow"):
        model.export("c", tmp_path / "network.c", bits=8, data=few)
    assert list(tmp_path.iterdir()) == []


def test_answers_of_another_form_are_refused():
    names = ("a", "b")
    assert read_answers("1\t-3\t5\tb\n", 1, names) == [["-3", "5"]]
    with pytest.raises(ExportError, match="gives 1 answers to 2 images"):
        read_answers("1\t-3\t5\tb\n", 2, names)
    with pytest.raises(ExportError, match=r"calls image 0 0 'a', and its largest .* 1 'b'"):
        read_answers("0\t-3\t5\ta\n", 1, names)
    with pytest.raises(ExportError, match=r"answers image 0 with '1.t5.tb'"):
        read_answers("1\t5\tb\n", 1, names)


# The file itself.


@pytest.mark.thorough
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", BITS)
def test_every_compiler_takes_it_without_a_word_and_answers_the_same_bytes(
    sources, networks, model, images, tmp_path, name, compiler
):
    program = compile_with(COMPILERS[compiler], sources[name], tmp_path / "p", "-DLENET_MAIN")
    found = np.array(ask_program([str(program)], images, model.class_names))
    if name == "float":
        expected = float_reference(model.spec, model.weights).answer(images)
        assert (np.abs(found.astype(np.float64) - expected.answers) <= expected.bound).all()
    else:
        right = integers.scores(networks[name], images)
        np.testing.assert_array_equal(found.astype(np.int64), right)


HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#define LENET_DECLARATIONS
#include "network.c"

int main(void)
{
    uint8_t *pixels = (uint8_t *)malloc(LENET_PIXELS);
    VALUE *working = (VALUE *)malloc(lenet_working_bytes());
    ANSWER *answers = (ANSWER *)malloc(LENET_CLASSES * sizeof(ANSWER));
    while (fread(pixels, 1, LENET_PIXELS, stdin) == LENET_PIXELS) {
        CALL(pixels, working, answers);
        for (int index = 0; index < LENET_CLASSES; index++) {
            printf("%.9g ", (double)answers[index]);
        }
        printf("%s\\n", lenet_class_name(9));
    }
    printf("%d %d\\n", lenet_class_name(-1) == NULL, lenet_class_name(LENET_CLASSES) == NULL);
    free(pixels);
    free(working);
    free(answers);
    return 0;
}
"""


def types(name):
    if name == "float":
        return ["-DVALUE=float", "-DANSWER=float", "-DCALL=lenet_logits"]
    return ["-DVALUE=uint8_t", "-DANSWER=int32_t", "-DCALL=lenet_scores"]


@pytest.mark.parametrize("name", BITS)
def test_sanitizers_find_nothing_in_memory_of_exactly_the_size_it_asks_for(
    sources, images, tmp_path, name
):
    shutil.copy(sources[name], tmp_path / "network.c")
    (tmp_path / "harness.c").write_text(HARNESS)
    need(shutil.which("gcc"), "install gcc: apt install gcc")
    built = run(
        "gcc", "-std=c99", "-g", "-O1", "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all", *STRICT, *types(name), tmp_path / "network.c",
        tmp_path / "harness.c", "-o", tmp_path / "harness",
    )  # fmt: skip
    assert (built.returncode, built.stderr.decode()) == (0, "")
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (20, 784), np.uint8).tobytes()
    done = run(tmp_path / "harness", given=images[-60:].tobytes() + noise + b"\xff" * 783)
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert len(lines) == 81
    assert lines[-1] == "1 1"


@pytest.mark.parametrize("name", BITS)
def test_hostile_input_ends_the_program_with_a_word_and_never_with_a_crash(
    sources, images, tmp_path, name
):
    program = compile_with(
        ("gcc", "-std=c99", "-g", "-O1", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all"),
        sources[name], tmp_path / "p", "-DLENET_MAIN",
    )  # fmt: skip
    some = images[:3].tobytes()
    for given, answers, code, said in (
        (b"", 0, 0, ""),
        (some, 3, 0, ""),
        (b"\x00", 0, 1, "image 0 has only 1 of 784 bytes\n"),
        (some[:-1], 2, 1, "image 2 has only 783 of 784 bytes\n"),
        (b"\x89PNG\r\n\x1a\n" * 200, 2, 1, "image 2 has only 32 of 784 bytes\n"),
    ):
        done = run(program, given=given)
        assert len(done.stdout.splitlines()) == answers
        assert (done.returncode, done.stderr.decode()) == (code, said)
    folder = run("sh", "-c", f"{program} < {tmp_path}")
    assert folder.returncode == 1
    assert folder.stderr == b"image 0 cannot be read\n"
    full = run("sh", "-c", f"{program} > /dev/full", given=some)
    assert full.returncode == 1
    assert full.stderr == b"the answers cannot be written\n"


@pytest.mark.parametrize("name", BITS)
def test_it_needs_no_library_and_keeps_nothing(sources, tmp_path, name):
    need(shutil.which("gcc") and shutil.which("nm"), "install gcc: apt install gcc")
    built = tmp_path / "network.o"
    done = run("gcc", "-std=c99", "-O2", "-fno-pic", "-c", sources[name], "-o", built)
    assert done.returncode == 0
    symbols = [line.split() for line in run("nm", built).stdout.decode().splitlines()]
    kinds = {row[-1]: row[-2] for row in symbols}
    assert {name for name, kind in kinds.items() if kind == "U"} <= {"memset", "memcpy"}
    assert not {name for name, kind in kinds.items() if kind in "dDbBcC"}
    call = "lenet_logits" if name == "float" else "lenet_scores"
    assert {name for name, kind in kinds.items() if kind == "T"} == {
        call, "lenet_working_bytes", "lenet_class_name",
    }  # fmt: skip


def test_no_array_is_larger_than_a_compiler_with_small_ints_takes(sources):
    for name, path in sources.items():
        arrays = re.findall(r"(int8_t|uint8_t|int32_t|uint16_t|float) \w+\[(\d+)\] =",
                            path.read_text())  # fmt: skip
        size = {"int8_t": 1, "uint8_t": 1, "int32_t": 4, "uint16_t": 2, "float": 4}
        assert len(arrays) > 10
        assert max(size[kind] * int(count) for kind, count in arrays) <= 32_767, name


@pytest.mark.parametrize(
    "name", ['a "quoted" \\ name', "what??/", "*/ int x; /*", "été 字", "%s%n", "a'b"]
)
def test_a_class_may_be_called_anything(tmp_path, name):
    spec = Spec(name, 1, 2, 2, (Dense("output", 2),))
    weights = {"output.weight": np.zeros((2, 4), np.float32), "output.bias": np.ones(2, np.float32)}
    origin = Origin(name, (name, "ends with \\"), name)
    source = tmp_path / "network.c"
    source.write_text(write_floats(spec, weights, [name, "b"], origin))
    compile_with(COMPILERS["gcc-O0"], source, tmp_path / "p", "-DLENET_MAIN", "-trigraphs")
    assert ask_program([str(tmp_path / "p")], np.zeros((1, 1, 2, 2), np.uint8), [name, "b"])
    assert string_literal("a") == '"a"'


def test_a_float_is_written_so_that_it_is_read_back():
    random = np.random.default_rng(0)
    values = random.standard_normal(1000) * 10.0 ** random.integers(-38, 38, 1000)
    for value in [*values.astype(np.float32).tolist(), 0.0, 1.0, -3.0, 1e-45]:
        text = float_literal(value)
        assert text.endswith("f")
        assert np.float32(text[:-1]) == np.float32(value)
        assert "." in text or "e" in text


# Where it will live.


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["int8", "int4"])
@pytest.mark.parametrize("key", microcontroller.BOARDS)
def test_a_microcontroller_answers_with_the_same_bits(
    sources, networks, model, images, tmp_path, key, name
):
    board = microcontroller.BOARDS[key]
    need(board.missing() is None, board.missing())
    program = microcontroller.build(board, sources[name], images[:8], tmp_path, "-O2")
    found, cost = microcontroller.answer(board, program, 8, model.class_names)
    right = integers.scores(networks[name], images[:8])
    np.testing.assert_array_equal(np.array(found).astype(np.int64), right)
    size = microcontroller.size(board, sources[name], tmp_path, "-Os")
    assert size.code < 8_000
    assert 100_000 < cost.count < 40_000_000
    assert 64 < cost.stack < 500


@pytest.mark.thorough
def test_a_microcontroller_without_a_floating_point_unit_has_the_floats_of_this_machine(
    sources, model, images, tmp_path
):
    board = microcontroller.BOARDS["m3"]
    need(board.missing() is None, board.missing())
    program = microcontroller.build(board, sources["float"], images[:4], tmp_path, "-O2")
    found, _ = microcontroller.answer(board, program, 4, model.class_names)
    assert found == answer_source(sources["float"], images[:4], model.class_names)


def test_c_is_a_row_of_the_formats():
    assert FORMATS["c"] is c_file.FORMAT


def test_the_program_on_the_page_compiles_and_answers(digits_model, tmp_path):
    page = (ROOT / "docs" / "export-c.md").read_text()
    (code,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (tmp_path / "yours.c").write_text(code)
    exported = digits_model.export("c", tmp_path / "digits8.c", bits=8)
    need(shutil.which("gcc"), "install gcc: apt install gcc")
    words = ("gcc", "-std=c99", "-O1", *STRICT, tmp_path / "yours.c", exported.path)
    built = run(*words, "-o", tmp_path / "yours")
    assert (built.returncode, built.stderr.decode()) == (0, "")
    black = digits_model._trained(None, None)
    scores = integers.scores(c_file.integer_network(black, 8), np.zeros((1, 1, 28, 28), np.uint8))
    name = digits_model.class_names[int(scores.argmax())]
    assert run(tmp_path / "yours").stdout.decode() == f"{name}\n"
