"""A trained network at hand."""

import copy
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import need_torch, resume_run
from PIL import Image

import lenet
from lenet import data
from lenet.errors import (
    DataNotFoundError,
    EngineError,
    FormatError,
    InputError,
    RunError,
    UsageError,
)
from lenet.runs.run import list_runs
from lenet.show.page import write_page
from lenet.training.watcher import Watcher

QUICK = {"recipe": "note", "epochs": 2, "batch_size": 32, "learning_rate": 0.3}


@pytest.fixture(scope="module")
def test_split():
    return data.load("digits").test


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


def test_a_model_holds_what_a_picture_needs(digits_run, digits_model):
    assert digits_model.class_names == tuple("0123456789")
    assert digits_model.convention.kind == "ink"
    assert digits_model.spec.parameters == 61_706
    assert digits_model.recipe.epochs == 3
    assert digits_model.run == digits_run
    assert set(digits_model.weights) == set(digits_model.spec.weight_shapes())
    assert repr(digits_model).startswith("<lenet.Model lenet5 on digits, 10 classes, ")


def test_it_is_opened_once_and_outlives_its_folder(digits_run, tmp_path, test_split):
    shutil.copytree(digits_run.path, tmp_path / "run")
    model = lenet.load(tmp_path / "run")
    before = model(test_split.images[:5])
    shutil.rmtree(tmp_path / "run")
    np.testing.assert_array_equal(model(test_split.images[:5]), before)
    assert model.predict(test_split.images[0, 0]).class_name in model.class_names


def test_a_copy_and_a_pickle_answer_the_same(digits_model, test_split):
    images = test_split.images[:5]
    pickled = pickle.loads(pickle.dumps(digits_model))  # noqa: S301 - our own
    for again in (copy.deepcopy(digits_model), pickled):
        np.testing.assert_array_equal(again(images), digits_model(images))
        assert again.run == digits_model.run


def test_every_form_of_the_same_images_gives_the_same_logits(digits_model, test_split):
    images = test_split.images[:6]
    expected = digits_model.logits(images)
    assert expected.shape == (6, 10)
    assert expected.dtype == np.float32
    forms = [
        images[:, 0],
        np.moveaxis(images, 1, -1),
        images.astype(np.int64),
        images / 255.0,
        (images / 255.0).astype(np.float32),
        images[:, 0].tolist(),
        images[:, :, ::-1][:, :, ::-1],
    ]
    for form in forms:
        np.testing.assert_array_equal(digits_model.logits(form), expected)
    one = digits_model.logits(images[0, 0])
    assert one.shape == (1, 10)
    np.testing.assert_array_equal(one, digits_model.logits(images[:1]))
    np.testing.assert_allclose(one[0], expected[0], rtol=1e-4, atol=1e-5)


def test_a_call_gives_probabilities(digits_model, test_split):
    found = digits_model(test_split.images)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    right = (found.argmax(axis=1) == test_split.labels).mean()
    assert right == pytest.approx(digits_model.evaluate().accuracy)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 20, 20), np.uint8), r"an array of shape \(3, 20, 20\): this network takes"),
        (np.zeros((2, 3, 28, 28), np.uint8), r"takes \(n, 1, 28, 28\), \(n, 28, 28\) or"),
        (np.full((28, 28), 300), "pixels from 300 to 300: give whole numbers from 0 to 255"),
        (np.full((28, 28), -1), "pixels from -1 to -1"),
        (np.full((28, 28), 1.5), r"pixels from 1\.5 to 1\.5"),
        (np.full((28, 28), np.nan), "a pixel is not a finite number: give every pixel a value"),
        (np.full((28, 28), "a"), "pixels are numbers; give uint8 or float"),
    ],
)
def test_a_wrong_shape_range_or_type_is_one_clear_error(digits_model, images, message):
    with pytest.raises(InputError, match=message):
        digits_model.logits(images)


def test_images_made_flat_are_not_taken_for_one_picture(digits_model, test_split):
    flat = test_split.images[:2].reshape(2, 784)
    with pytest.raises(InputError, match=r"reshape it to \(n, 1, 28, 28\)"):
        digits_model.predict(flat)


def test_three_pictures_are_never_a_colour(digits_model, test_split):
    answers = digits_model.predict(test_split.images[:3, 0])
    assert [type(answer).__name__ for answer in answers] == ["Answer"] * 3
    alone = [digits_model.predict(image) for image in test_split.images[:3, 0]]
    assert [a.class_name for a in answers] == [a.class_name for a in alone]


def test_one_picture_of_any_kind_is_one_answer(digits_model, test_split, tmp_path):
    image = test_split.images[7, 0]
    large = np.asarray(Image.fromarray(image).resize((200, 200)))
    path = tmp_path / "seven.png"
    path.write_bytes(png(large))
    canvas = np.zeros((200, 200, 4), np.uint8)
    canvas[..., 3] = large  # black ink on nothing, as a page's canvas has it
    colour = np.repeat(255 - large[..., None], 3, axis=2)
    given = [
        image, path, str(path), path.read_bytes(), Image.open(path), large, canvas, colour,
        np.moveaxis(colour, -1, 0)[None], Image.fromarray(canvas), large / 255.0,
    ]  # fmt: skip
    classes = set()
    for picture in given:
        answer = digits_model.predict(picture)
        answer = answer[0] if isinstance(answer, list) else answer
        classes.add(answer.class_name)
    assert classes == {str(test_split.labels[7])}


def test_a_list_is_a_list_of_answers_whatever_is_in_it(digits_model, test_split, tmp_path):
    image = test_split.images[7, 0]
    answers = digits_model.predict([image, png(image), Image.fromarray(image)], top=3)
    assert [len(answer.classes) for answer in answers] == [3, 3, 3]
    assert digits_model.predict([]) == []
    assert digits_model.predict(iter([image]))[0].class_name == answers[0].class_name


def test_a_torch_tensor_is_an_array(digits_model, test_split):
    torch = need_torch()
    images = test_split.images[:2]
    np.testing.assert_array_equal(
        digits_model.logits(torch.tensor(images)), digits_model.logits(images)
    )
    assert len(digits_model.predict(torch.tensor(images[:, 0]))) == 2
    for odd in (torch.tensor(images / 255.0).requires_grad_(), torch.zeros(2, 28, 28).bfloat16()):
        for ask in (digits_model, digits_model.predict):
            with pytest.raises(InputError, match=r"NumPy makes no array of this Tensor: .*; give"):
                ask(odd)
        with pytest.raises(FormatError, match="these images or labels are no array"):
            data.load((odd, [0, 1]))


def test_answers_at_hand_and_in_bulk_are_the_same(digits_model, digits_run, test_split, tmp_path):
    from lenet.prediction import bulk

    for index, image in enumerate(test_split.images[:20, 0]):
        (tmp_path / f"{index:02}.png").write_bytes(png(image))
    bulk.predict(digits_run.path, [str(tmp_path)], tmp_path / "out")
    rows = list(bulk.PredictionFolder(tmp_path / "out").rows())
    paths = sorted(tmp_path.glob("*.png"))
    for row, answer in zip(rows, digits_model.predict(paths), strict=True):
        assert (row["path"], row["class"]) == (answer.name, answer.class_name)
        assert float(row["probability"]) == pytest.approx(answer.probability, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("gone.png", FormatError, "gone.png: cannot be opened: No such file"),
        (b"no picture", FormatError, "picture 0: not a picture in a format that is known"),
        (7, InputError, "a int is no picture: give a path"),
        ([7], InputError, "picture 0 is a int: give a path, bytes, an array or a picture"),
        (np.zeros((5, 6, 7, 8), np.uint8), InputError, r"an array of shape \(6, 7, 8\)"),
    ],
)
def test_what_is_no_picture_is_refused(digits_model, given, error, message):
    with pytest.raises(error, match=message):
        digits_model.predict(given)


def test_top_is_at_most_the_number_of_classes(digits_model):
    with pytest.raises(UsageError, match="top = 11: this network has 10 classes"):
        digits_model.predict(np.zeros((28, 28), np.uint8), top=11)


def test_a_decision_from_any_picture(digits_model, test_split, tmp_path):
    decision = digits_model.explain(test_split.images[3, 0])
    assert decision.class_name == digits_model.explain("test:3").class_name
    assert decision.explanation.occlusion.shape == (28, 28)
    assert 0.0 < decision.probability <= 1.0
    assert decision.save(tmp_path / "decision.png").stat().st_size > 10_000
    with pytest.raises(UsageError, match="test:9999: the test split has images 0 to 359"):
        digits_model.explain("test:9999")


def test_what_a_prompt_shows_is_one_line_without_arrays(digits_model):
    digits = data.load("digits")
    shown = [
        (digits, "<lenet.Dataset digits, 10 classes, 1437 train, 360 test, 1x28x28>"),
        (digits.test, "<lenet.data.Split 360 images 1x28x28>"),
        (digits_model.checkpoint, "<Checkpoint lenet5 on digits, epoch 3 of 3>"),
        (digits_model.evaluate(), "<Evaluation accuracy 0."),
        (digits_model.explain("test:3"), "<Decision "),
        (digits_model.plot(), "<Chart "),
        (lenet.find_rate(data="digits", steps=10), "<RangeTest lenet5 on digits, suggestion "),
    ]
    for given, start in shown:
        assert repr(given).startswith(start)
        assert len(repr(given)) < 100
        assert "\n" not in repr(given)


def test_a_summary_is_a_table_of_the_layers(digits_model):
    text = str(digits_model.summary())
    lines = text.splitlines()
    assert lines[0] == "lenet5"
    assert "5x5 convolution, leaky_relu" in text
    assert lines[-1].split() == ["all", "61,706", "416,520"]
    assert digits_model._repr_html_().count("<tr>") == 10


def test_a_checkpoints_file_is_a_model_without_a_run(digits_run, test_split):
    model = lenet.load(digits_run.best_path)
    assert model.run is None
    assert model.predict(test_split.images[0, 0]).class_name in model.class_names
    for ask in (model.plot, model.report):
        with pytest.raises(RunError, match="loaded from a file alone; load the folder"):
            ask()


@pytest.fixture
def run_with_an_earlier_best(digits_run, tmp_path):
    """Its newest checkpoint is of the third epoch, and its best of the second."""
    run = tmp_path / "run"
    shutil.copytree(digits_run.path, run)
    second = sorted((run / "checkpoints").glob("step-*"))[0]
    shutil.copy(second, run / "checkpoints" / "best.safetensors")
    return run


def test_report_and_page_are_of_the_network_at_hand(run_with_an_earlier_best, tmp_path):
    best, last = (lenet.load(run_with_an_earlier_best, which) for which in (None, "last"))
    assert (best.checkpoint.position.epoch, last.checkpoint.position.epoch) == (3, 4)
    reports = [model.report(tmp_path / "report.html").read_text() for model in (best, last)]
    assert ["epoch 2 of 3" in text for text in reports] == [True, False]
    pages = [model.page(tmp_path / "page.html").read_text() for model in (best, last)]
    assert pages[0] != pages[1]
    assert pages[1] == write_page([last.run.path], tmp_path / "x.html", which="last").read_text()


def test_arguments_of_another_type_are_errors_of_lenet(
    digits_run, digits_model, test_split, tmp_path
):
    images, labels = test_split.images, test_split.labels
    with pytest.raises(InputError, match=r"reading is of type str; it is a Reading, as lenet\."):
        lenet.train(data=(images, labels), reading="ink", out=tmp_path / "run")
    with pytest.raises(UsageError, match="size = '28': it must be a whole number"):
        lenet.Reading(size="28")
    with pytest.raises(EngineError, match="'2' threads: there must be a whole number"):
        lenet.train(data=(images, labels), threads="2", out=tmp_path / "run")
    with pytest.raises(UsageError, match="top = '2': this network has 10 classes"):
        digits_model.predict(images[0], top="2")
    with pytest.raises(InputError, match=r"model is of type int; it is a name \(lenet models\)"):
        lenet.train(5, data=(images, labels), out=tmp_path / "run")
    for every in (-1, "7"):
        with pytest.raises(InputError, match=f"checkpoint_every = {every!r}: it must be a whole"):
            lenet.train(data="digits", checkpoint_every=every, out=tmp_path / "run")
    with pytest.raises(InputError, match="a Model is no path of a run: name its folder, as model"):
        lenet.train(data="digits", teacher=digits_model, out=tmp_path / "run")
    for call in (lenet.load, lenet.open_run, lenet.resume, lenet.write_report):
        with pytest.raises(
            InputError, match="a Run is no path of a run: name its folder, as model"
        ):
            call(digits_run)
    assert not (tmp_path / "run").exists()
    assert lenet.write_report(digits_run.path, tmp_path / "report.html").exists()


def test_a_checkpoint_that_no_run_has_is_refused(digits_run):
    for unknown in ("bset", "LAST", ""):
        with pytest.raises(UsageError, match="a run has the checkpoints 'last' and 'best'"):
            lenet.load(digits_run.path, unknown)
    file = digits_run.checkpoint_paths()[0]
    with pytest.raises(UsageError, match=r"is one checkpoint; name its run's folder"):
        lenet.load(file, "best")


def test_last_is_the_newest_run(digits_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="last: no run is in runs/; train one"):
        lenet.load("last")
    first = lenet.train(data="digits", **QUICK)
    second = lenet.train(data="digits", seed=1, **QUICK)
    assert lenet.load("last").run == second.run
    assert list_runs() == [second.run, first.run]


def test_arrays_are_trained_on_scored_on_and_gone_on_with(tmp_path, test_split):
    images, labels = test_split.images[:, 0], test_split.labels
    model = lenet.train(data=(images, labels), out=tmp_path / "run", **QUICK)
    assert model.class_names == tuple("0123456789")
    held_out, seen = model.evaluate().count, model.evaluate("train").count
    assert (seen + held_out, held_out) == (360, model.evaluate(data=(images, labels)).count)
    assert model.report().is_file()
    again = lenet.load(tmp_path / "run")
    with pytest.raises(DataNotFoundError, match="trained on data that was at hand"):
        again.evaluate()
    for given in ((images, labels), [images, labels]):
        assert again.evaluate(data=given).loss == model.evaluate().loss
    assert again.evaluate(data=(images[:40], labels[:40])).count == 40
    same = again.explain("test:0", data=(images, labels))
    assert same.probability == model.explain("test:0").probability
    again.report(tmp_path / "report.html", data=(images, labels))
    with pytest.raises(DataNotFoundError, match="give it again in Python"):
        lenet.resume(tmp_path / "run")
    assert resume_run(tmp_path / "run", data=(images, labels)).path == tmp_path / "run"
    named = np.array(["zero", "one"])[(labels > 4).astype(int)]
    assert lenet.train(data=(images, named), out=tmp_path / "named", **QUICK).class_names == (
        "one", "zero",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((np.zeros((4, 28, 28), np.uint8),), UsageError, "a tuple of 1; arrays are given as"),
        (np.zeros((4, 28, 28), np.uint8), InputError, "data is of type ndarray; it is a name"),
        ((np.zeros((4, 28, 28), np.uint8), [0, 1]), FormatError, r"labels of shape \(2,\) for 4"),
        (([[1, 2], [3]], [0, 1]), FormatError, "these images or labels are no array"),
        ((np.zeros((4, 5, 6, 7), np.uint8), [0, 1, 0, 1]), FormatError, "none of an image"),
        ((np.zeros((28, 28), np.uint8), [0] * 28), FormatError, r"alone is \(1, height, width\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        lenet.train(data=given)


def test_a_remark_on_arrays_names_them_once():
    digits = data.load("digits").test
    bits = (digits.images > 127).astype(np.uint8)
    with pytest.warns(UserWarning, match="^arrays: its pixels are 0 and 1"):
        data.load((bits, digits.labels))


def test_a_data_set_at_hand_is_the_data(tmp_path):
    digits = data.load("digits")
    model = lenet.train(data=digits, out=tmp_path / "run", **QUICK)
    assert model.evaluate().loss == model.evaluate(data=digits).loss


def test_a_network_of_ones_own_is_trained(tmp_path, test_split):
    layers = (
        lenet.Convolution("C1", 4, kernel=5, activation="relu"),
        lenet.Pooling("S2", "max"),
        lenet.Dense("output", 10),
    )
    spec = lenet.Spec("small", 1, 28, 28, layers)
    model = lenet.train(model=spec, data="digits", out=tmp_path / "run", **QUICK)
    assert model.spec == spec
    assert lenet.load(tmp_path / "run").spec == spec
    wrong = lenet.Spec("small", 1, 20, 20, layers)
    with pytest.raises(UsageError, match=r"small takes images .* in 10 classes; digits has"):
        lenet.train(model=wrong, data="digits", out=tmp_path / "wrong")


def test_numpy_numbers_are_numbers(tmp_path):
    model = lenet.train(
        data="digits",
        out=tmp_path / "run",
        epochs=np.int64(1),
        batch_size=np.int32(64),
        learning_rate=np.logspace(-2, 0, 3)[1],
        seed=np.arange(3)[1],
        nesterov=np.bool_(False),
    )
    assert (model.recipe.seed, model.recipe.learning_rate) == (1, 0.1)
    assert type(model.recipe.learning_rate) is float


def test_watchers_are_told_everything_in_order(tmp_path):
    from lenet.training import session
    from lenet.training.watcher import Watchers

    seen = []

    class Ear(Watcher):
        def __init__(self, name):
            self.name = name

        def start(self, plan):
            seen.append((self.name, "start", plan.epochs, plan.run.path))

        def epoch(self, row, examples_per_second):
            seen.append((self.name, "epoch", row["epoch"]))

        def stop(self):
            seen.append((self.name, "stop"))

    out = tmp_path / "run"
    session.train(data="digits", out=out, watcher=Watchers([Ear("a"), Ear("b")]), **QUICK)
    assert seen[:2] == [("a", "start", 2, Path(out)), ("b", "start", 2, Path(out))]
    assert seen[2:] == [
        (name, *told) for told in (("epoch", 1), ("epoch", 2), ("stop",)) for name in "ab"
    ]
    assert not (out / "curves.png").exists()


def test_a_sweep_that_goes_on_after_errors_ends_with_ctrl_c():
    assert not issubclass(lenet.InterruptedRunError, Exception)
    assert issubclass(lenet.InterruptedRunError, KeyboardInterrupt)


# Arrays as they come: black on white, 0 and 1, rows and columns swapped.


def names_of(answers):
    return [answer.class_name for answer in answers]


def test_black_on_white_arrays_are_answered_as_their_files_are_and_say_so(digits_model, test_split):
    images = test_split.images[:60, 0]
    answers = digits_model.predict(255 - images)
    assert answers[0].notes == ("a light ground, turned around",)
    assert names_of(answers) == names_of(digits_model.predict(images))
    labels = test_split.labels[:60]
    with pytest.warns(UserWarning, match="arrays: images with a light ground, turned around: 60"):
        found = digits_model.evaluate(data=(255 - images, labels))
    assert found.accuracy == digits_model.evaluate(data=(images, labels)).accuracy


def test_pixels_of_0_and_1_are_black_and_white_and_said(digits_model, test_split):
    bits = (test_split.images[:99, 0] > 127).astype(np.uint8)
    answers = digits_model.predict(bits[:9])
    assert answers[0].notes == ("pixels of 0 and 1, taken for black and white",)
    assert names_of(answers) == names_of(digits_model.predict(bits[:9] * np.uint8(255)))
    labels = test_split.labels[:99]
    with pytest.warns(UserWarning, match="arrays: its pixels are 0 and 1, and taken for black and"):
        found = digits_model.evaluate(data=(bits, labels))
    assert found.loss == digits_model.evaluate(data=(bits * np.uint8(255), labels)).loss


def test_whole_floats_are_whole_numbers(digits_model, test_split):
    images = test_split.images[:3]
    expected = digits_model.logits(images)
    np.testing.assert_array_equal(digits_model.logits(images.astype(np.float32)), expected)
    assert digits_model.predict(images[0, 0].astype(float)).notes == ()


def test_faint_arrays_are_noted_and_warned_of(digits_model, test_split):
    faint = test_split.images[:2] // 16
    assert digits_model.predict(faint)[0].notes == ("faint: its lightest pixel is 15 of 255",)
    with pytest.warns(UserWarning, match="the lightest pixel of these images is 15 of 255"):
        digits_model.logits(faint)


def test_swapped_rows_and_columns_are_noted_where_they_can_be_told(digits_model, mnist_folder):
    test = data.load("mnist", mnist_folder).test
    images, labels = test.images[:200, 0], test.labels[:200]
    note = "the ink of most images is wider than high: if they are characters, they are transposed"
    turned = images.transpose(0, 2, 1)
    assert digits_model.predict(turned)[0].notes[-1].startswith(note)
    assert digits_model.predict(images)[0].notes == ()
    assert digits_model.predict(turned[:9])[0].notes == ()
    with pytest.warns(UserWarning, match=f"arrays: {note}"):
        digits_model.evaluate(data=(turned, labels))
    with pytest.warns(UserWarning, match=f"arrays: {note}"):
        data.load((turned, labels))


def test_errors_of_python_calls_name_no_flag_alone(digits_model, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    model, folder = lenet.load(digits_model.run.path), digits_model.run.path
    whole = lenet.train(data="digits", out=tmp_path / "whole", epochs=1)
    calls = {
        "not written by lenet report; choose another place": lambda: model.report(mine),
        "not written by lenet page; choose another place": lambda: model.page(mine),
        "so it was not exported; choose another place": lambda: model.export("c", mine),
        "bits is for c, and not for onnx": lambda: model.export("onnx", bits=8),
        "already there; choose another place": lambda: lenet.train(data="digits", out=folder),
        "arguments: epochs = 0: it must be": lambda: lenet.train(data="digits", epochs=0),
        "try a learning rate below 1000000000.0": lambda: lenet.train(
            data="digits", out=tmp_path / "run", epochs=1, learning_rate=1e9
        ),
        "held out no validation images": lambda: whole.evaluate("validation"),
    }
    for words, call in calls.items():
        with pytest.raises(lenet.LenetError, match=words) as caught:
            call()
        assert "--" not in str(caught.value) or "(Python: " in str(caught.value)
    assert mine.read_text() == "mine"
