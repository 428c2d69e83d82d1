"""The one proof: broken exporters are refused and leave nothing, right ones are proved again."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import OF_TODAY, need_module, need_native, need_torch, run_lenet

import lenet
from lenet.errors import ExportError, InputError, RunError, UsageError
from lenet.export import FORMATS, Options
from lenet.export.base import Expected, Format, Reference
from lenet.export.proof import extremes
from lenet.export.rounding import float_reference
from lenet.network import Convolution, Dense, Pooling, Spec

need_native()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


# The proof itself, on a format of lenet's own: the logits as a file of NumPy's.


def write_logits(trained, options, path):
    with open(path, "wb") as file:
        np.save(file, trained.logits(all_images(trained)))


def all_images(trained):
    return np.concatenate([trained.dataset.test.images, extremes(trained.spec.input_shape)[0]])


def file_format(write=write_logits, answer=lambda trained, options, path, images: np.load(path)):
    return Format(
        title="logits",
        file_name="{model}.npy",
        write=write,
        answer=answer,
        reference=lambda trained, options: float_reference(trained.spec, trained.weights),
        need=lambda: None,
        judge=lambda: "NumPy",
    )


@pytest.fixture
def add(monkeypatch):
    """Put a format into the table for one test."""
    return lambda row: monkeypatch.setitem(FORMATS, "logits", row)


def changed(change):
    """A writer whose logits were changed."""

    def write(trained, options, path):
        logits = trained.logits(all_images(trained))
        change(logits)
        with open(path, "wb") as file:
            np.save(file, logits)

    return write


def test_a_file_that_answers_like_the_run_is_written_with_its_proof(digits_model, tmp_path, add):
    add(file_format())
    exported = digits_model.export("logits", tmp_path / "out.npy")
    assert exported.path == tmp_path / "out.npy"
    assert names_in(tmp_path) == ["out.npy", "out.npy.proof.json"]
    facts = json.loads((tmp_path / "out.npy.proof.json").read_text())
    assert facts == json.loads(json.dumps(exported.proof.facts()))
    found = facts["findings"]
    assert found["images"] == found["classes_agree"] == 360
    assert found["extremes"] == 3 + 2 + 2 * 196 + 16
    assert 0 < found["nearest_to_bound"] < 1
    assert found["largest_difference"] < found["largest_bound"] < 1e-3
    assert found["accuracy"] == found["accuracy_of_the_run"] == digits_model.evaluate().accuracy


def test_the_digests_of_a_proof_are_those_of_the_files(digits_model, digits_run, tmp_path, add):
    import hashlib

    add(file_format())
    proof = digits_model.export("logits", tmp_path / "out.npy").proof
    digest = hashlib.sha256((tmp_path / "out.npy").read_bytes()).hexdigest()
    assert proof.sha256 == {"out.npy": digest}
    of_best = hashlib.sha256(digits_run.best_path.read_bytes()).hexdigest()
    assert proof.checkpoint_sha256 == of_best
    of_receipt = hashlib.sha256((digits_run.path / "receipt.json").read_bytes()).hexdigest()
    assert proof.receipt_sha256 == of_receipt
    assert proof.command == f"lenet export --check {tmp_path / 'out.npy'} {digits_run.path}"


def nudge(logits):
    logits[17, 3] += 2**-9


def forget(logits):
    logits[360:] = 0


def not_a_number(logits):
    logits[5] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            nudge,
            r"image test:17, class 3: 0\.00195 from .* is allowed \(1 of 773 images differ\)",
        ),
        (forget, r"image all 0, class \d: .* \(413 of 773 images differ\)"),
        (not_a_number, r"image test:5, class 0: nan from"),
    ],
    ids=["nudged", "extremes", "nan"],
)
def test_a_wrong_answer_is_named_and_nothing_is_left(digits_model, tmp_path, add, change, message):
    add(file_format(changed(change)))
    with pytest.raises(ExportError, match=message) as caught:
        digits_model.export("logits", tmp_path / "deep" / "out.npy")
    assert f"nothing was written to {tmp_path / 'deep' / 'out.npy'}" in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_class_that_changes_within_a_wide_bound_is_refused(digits_model, tmp_path, add):
    def swap(logits):
        first, second = np.sort(logits[7])[-2:]
        where = logits[7].argsort()[-2:]
        logits[7, where] = second, first

    def wide(trained, options):
        right = float_reference(trained.spec, trained.weights)

        def answer(images):
            found = right.answer(images)
            return Expected(found.answers, found.bound + 100)

        return replace(right, answer=answer)

    add(replace(file_format(changed(swap)), reference=wide))
    names = r"'\d' in place of '\d', which are .* apart \(1 of 360 images differ in class\)"
    with pytest.raises(ExportError, match=rf"image test:7 is {names}"):
        digits_model.export("logits", tmp_path / "out.npy")
    assert names_in(tmp_path) == []


def test_a_failed_export_leaves_the_last_one_as_it_was(digits_model, tmp_path, add):
    add(file_format())
    digits_model.export("logits", tmp_path / "out.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    add(file_format(changed(nudge)))
    with pytest.raises(ExportError, match="image test:17"):
        digits_model.export("logits", tmp_path / "out.npy")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_writer_or_runner_that_fails_leaves_nothing(digits_model, tmp_path, add):
    def fail(trained, options, path, images):
        raise OSError("the disk is gone")

    for row in (file_format(answer=fail), file_format(write=lambda *_: fail(*_, None))):
        add(row)
        with pytest.raises(
            UsageError, match=r"out\.npy: cannot be written: the disk is gone; name"
        ):
            digits_model.export("logits", tmp_path / "out.npy")
        assert names_in(tmp_path) == []


def test_a_pipe_or_a_device_is_not_written_over(digits_model, tmp_path, add):
    add(file_format())
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe: already there, and no file; choose another place"):
        digits_model.export("logits", tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_was_not_exported_is_not_written_over(digits_model, tmp_path, add):
    add(file_format())
    mine = tmp_path / "thesis.txt"
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt: already there, with no proof beside it"):
        digits_model.export("logits", mine)
    assert mine.read_text() == "mine"
    assert names_in(tmp_path) == ["thesis.txt"]


def test_a_place_that_cannot_be_is_refused(digits_model, tmp_path, add):
    add(file_format())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"out\.npy: cannot be written: .*; name another place"):
        digits_model.export("logits", tmp_path / "file" / "out.npy")
    assert (tmp_path / "file").read_text() == "mine"


def test_answers_of_another_shape_are_refused(digits_model, tmp_path, add):
    add(file_format(answer=lambda trained, options, path, images: np.load(path)[:, :3]))
    with pytest.raises(ExportError, match=r"answers of shape \(773, 3\) where \(773, 10\)"):
        digits_model.export("logits", tmp_path / "out.npy")


def integers(images):
    """A made-up integer network: sums of pixels by tens."""
    flat = images.reshape(len(images), -1).astype(np.int64)
    return np.stack([flat[:, index::10].sum(axis=1) for index in range(10)], axis=1)


@pytest.mark.parametrize("error", [0, 1])
def test_a_reference_of_integers_is_compared_bit_for_bit(digits_model, tmp_path, add, error):
    def answer(trained, options, path, images):
        found = integers(images)
        found[100, 4] += error
        return found

    def exact(images):
        return Expected(integers(images), np.zeros((1, 1)))

    row = file_format(answer=answer)
    add(replace(row, reference=lambda *_: Reference(exact, "bit for bit", keeps_classes=False)))
    if error:
        with pytest.raises(ExportError, match=r"image test:100, class 4: 1 from \d+, and 0 is all"):
            digits_model.export("logits", tmp_path / "out.npy")
        return
    proof = digits_model.export("logits", tmp_path / "out.npy").proof
    assert proof.findings.largest_difference == proof.findings.largest_bound == 0
    assert proof.findings.classes_agree < proof.findings.images
    assert "bit for bit the reference" in str(proof)


# Repeating it.


def test_a_proof_is_repeated_by_the_command_that_it_names(digits_model, tmp_path):
    need_module("onnxruntime", "pip install 'lenet[onnx]'")
    exported = digits_model.export("onnx", tmp_path / "x.onnx")
    words = exported.proof.command.split()
    assert words[:3] == ["lenet", "export", "--check"]
    code, out, err = run_lenet(*words[1:])
    assert (code, err) == (0, "")
    assert "proved by ONNX Runtime" in out
    (tmp_path / "x.onnx").rename(tmp_path / "y.onnx")
    (tmp_path / "x.onnx.proof.json").rename(tmp_path / "y.onnx.proof.json")
    assert digits_model.check_export(tmp_path / "y.onnx").findings == exported.proof.findings


def test_the_command_of_a_proof_names_the_checkpoint_that_was_asked_for(digits_run, tmp_path):
    need_module("onnxruntime", "pip install 'lenet[onnx]'")
    run = tmp_path / "run"
    shutil.copytree(digits_run.path, run)
    second = sorted((run / "checkpoints").glob("step-*"))[0]
    shutil.copy(second, run / "checkpoints" / "best.safetensors")
    proof = lenet.load(run, "last").export("onnx", tmp_path / "x.onnx").proof
    assert proof.command == f"lenet export --check {tmp_path / 'x.onnx'} {run} --checkpoint last"
    code, _, err = run_lenet(*proof.command.split()[1:])
    assert (code, err) == (0, "")
    alone = lenet.load(digits_run.checkpoint_paths()[0])
    assert alone.export("onnx", tmp_path / "y.onnx").proof.command == ""


def test_a_changed_file_or_another_checkpoint_is_refused(digits_model, tmp_path, add):
    add(file_format())
    digits_model.export("logits", tmp_path / "out.npy")
    other = lenet.train(
        data="digits", out=tmp_path / "other", epochs=1, batch_size=32, learning_rate=0.3, seed=1
    )
    with pytest.raises(ExportError, match="answers otherwise than the run: image test:0"):
        other.check_export(tmp_path / "out.npy")
    later = replace(digits_model.checkpoint, best=None)
    with pytest.raises(ExportError, match=r"exported from another checkpoint than this .* answers"):
        lenet.Model(later, digits_model._engine).check_export(tmp_path / "out.npy")
    with open(tmp_path / "out.npy", "ab") as file:
        file.write(b"x")
    with pytest.raises(ExportError, match=r"not what was proved: out\.npy changed; export it"):
        digits_model.check_export(tmp_path / "out.npy")


def test_what_has_no_proof_says_so(digits_model, tmp_path, add):
    with pytest.raises(ExportError, match="nothing is there; name an exported file"):
        digits_model.check_export(tmp_path / "no.onnx")
    (tmp_path / "alone.onnx").write_bytes(b"x")
    with pytest.raises(ExportError, match=r"no proof is beside it \(alone\.onnx\.proof\.json\)"):
        digits_model.check_export(tmp_path / "alone.onnx")
    (tmp_path / "alone.onnx.proof.json").write_text('{"format": "onnx"}')
    with pytest.raises(ExportError, match="cannot read this proof: the proof lacks sha256"):
        digits_model.check_export(tmp_path / "alone.onnx")
    add(file_format())
    digits_model.export("logits", tmp_path / "out.npy")
    proof = tmp_path / "out.npy.proof.json"
    proof.write_text(proof.read_text().replace('"input": "uint8"', '"input": "bits"'))
    with pytest.raises(ExportError, match="cannot read this proof: input = 'bits'"):
        digits_model.check_export(tmp_path / "out.npy")
    proof.write_text(
        proof.read_text()
        .replace('"logits"', '"stone"')
        .replace('"input": "bits"', '"input": "float"')
    )
    with pytest.raises(ExportError, match="no format is called 'stone'; update lenet"):
        digits_model.check_export(tmp_path / "out.npy")


# What was asked for.


def test_unknown_formats_and_options_of_others_are_refused(digits_model, tmp_path):
    with pytest.raises(UsageError, match="no format is called 'pickle'; known are onnx, tflite"):
        digits_model.export("pickle", tmp_path / "x")
    with pytest.raises(UsageError, match="probabilities is for onnx, tflite, and not for torch"):
        digits_model.export("torch", tmp_path / "x", probabilities=True)
    with pytest.raises(InputError, match="input = 'int4': it must be uint8 or float"):
        digits_model.export("onnx", tmp_path / "x", input="int4")
    with pytest.raises(InputError, match="bits = '8': a weight has 32 or 8 or 4"):
        digits_model.export("c", tmp_path / "x", bits="8")  # type: ignore[arg-type]
    assert names_in(tmp_path) == []


def test_a_network_without_a_run_needs_a_path(digits_run, tmp_path, add):
    add(file_format())
    model = lenet.load(digits_run.best_path)
    with pytest.raises(RunError, match=r"an export that is given no path \(out=\.\.\.\) is made"):
        model.export("logits")
    exported = model.export("logits", tmp_path)
    assert exported.path == tmp_path / "lenet5.npy"
    assert exported.proof.run == exported.proof.receipt_sha256 == ""


def test_the_command_line_wants_a_format_or_a_check(digits_run, tmp_path):
    code, _, err = run_lenet("export", digits_run.path)
    assert code == 2
    assert "name either a format to write, --to, or a file to prove again, --check" in err
    code, _, err = run_lenet("export", digits_run.path, "--to", "pickle")
    assert code == 2
    assert "'pickle' is not one of 'onnx', 'tflite'" in err
    code, _, err = run_lenet("export", "--check", tmp_path / "no", digits_run.path)
    assert code == 2
    assert "nothing is there" in err
    for words in (
        ["--out", "x"], ["--input", "float"], ["--probabilities"], ["--bits", "8"],
        ["--licence", "MIT"],
    ):  # fmt: skip
        code, _, err = run_lenet("export", "--check", tmp_path, digits_run.path, *words)
        assert code == 2
        assert f"{words[0]}: for what is written; --check repeats" in err


def test_a_folder_that_is_not_an_export_is_not_written_over(digits_model, tmp_path):
    need_torch()
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"with 'mine\.txt' in it, which was not exported; choose"):
        digits_model.export("torch", tmp_path)
    with pytest.raises(UsageError, match=r"mine\.txt: a file is there, and no folder; choose"):
        digits_model.export("torch", tmp_path / "mine.txt")
    assert names_in(tmp_path) == ["mine.txt"]


def test_the_choices_of_the_command_line_are_those_of_the_table():
    from lenet.cli.options import ExportName, InputName
    from lenet.export.base import INPUTS

    assert [str(name) for name in ExportName] == list(FORMATS)
    assert [str(name) for name in InputName] == list(INPUTS)


# The bound.


def networks():
    """Every row of the zoo, and layers that no row has."""
    odd = (
        Convolution("A", 4, 3, padding=1, activation="scaled_tanh"),
        Pooling("B", "average", 3),
        Convolution("C", 5, 2, activation="tanh", connections=((0,), (1, 2), (3,), (0, 3), (1,))),
        Pooling("D", "max", 2),
        Dense("E", 7, activation="relu"),
        Dense("output", 3),
    )
    rows = [lenet.build(name) for name in OF_TODAY]
    return [*rows, Spec("odd", 3, 20, 23, odd, pixel_scale=1 / 127.5, pixel_shift=-1.0)]


@pytest.mark.parametrize("spec", networks(), ids=lambda spec: spec.name)
def test_both_engines_are_within_the_bound_and_it_is_not_wide(spec):
    from lenet.engines import open_engine
    from lenet.network.initialiser import initial_weights

    need_torch()
    recipe = lenet.Recipe()
    weights = {name: 2 * array for name, array in initial_weights(spec, recipe).items()}
    images = extremes(spec.input_shape)[0][::5]
    expected = float_reference(spec, weights).answer(images)
    for name in ("native", "eager"):
        engine = open_engine(spec, recipe, weights, engine=name, device="cpu")
        difference = np.abs(engine.logits(engine.place(images)) - expected.answers)
        share = (difference / expected.bound).max()
        assert 0.001 < share < 0.5, name
    assert expected.bound.max() < 1e-3 * np.abs(expected.answers).max()


def test_probabilities_have_the_sum_one_and_their_own_bound(digits_model):
    images = digits_model.checkpoint.data.load().test.images
    reference = float_reference(digits_model.spec, digits_model.weights, probabilities=True)
    found = reference.answer(images)
    np.testing.assert_allclose(found.answers.sum(axis=1), 1)
    assert (np.abs(digits_model(images) - found.answers) <= found.bound).all()
    assert found.bound.max() < 1e-3


def test_extremes_are_named_images_of_the_shape():
    images, names = extremes((3, 4, 5))
    assert images.shape == (3 + 3 + 2 + 2 * 20 + 16, 3, 4, 5)
    assert len(names) == len(images)
    where = names.index("0 but for pixel (1, 2)")
    assert images[where].sum() == 3 * 255
    assert images[where, :, 1, 2].tolist() == [255] * 3
    large, _ = extremes((1, 64, 64))
    assert len(large) == 3 + 2 + 2 * 196 + 16


def test_options_are_checked_where_they_are_made():
    with pytest.raises(InputError, match="input = 'bits': it must be uint8 or float"):
        Options(input="bits")
