import os
from dataclasses import replace

import numpy as np
import pytest
from conftest import run_lenet
from PIL import Image

import lenet
from lenet.data.pictures.convention import CLOTHES
from lenet.data.pictures.picture import read_picture
from lenet.errors import FormatError, UsageError
from lenet.prediction.evaluation import open_network
from lenet.prediction.explanation import explain_run
from lenet.show.figures import decision


@pytest.fixture
def picture(tmp_path):
    """Dark ink on light ground, wider than high."""
    pixels = np.full((60, 80), 250, np.uint8)
    pixels[10:50, 36:44] = 15
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_the_arrays_are_those_of_the_engine(digits_run):
    found = explain_run(digits_run.path, "test:3")
    checkpoint = digits_run.checkpoint()
    engine = open_network(checkpoint)
    placed = engine.place(found.image[None])
    np.testing.assert_array_equal(found.logits, engine.logits(placed)[0])
    for name, maps in engine.activations(placed).items():
        np.testing.assert_array_equal(found.activations[name], maps[0])
    assert found.probabilities.sum() == pytest.approx(1.0)
    assert found.label is not None
    assert found.occlusion.shape == (28, 28)


def test_what_is_hidden_matters_where_the_ink_is(digits_run):
    found = explain_run(digits_run.path, "test:3")
    ink = found.image[0] > 128
    assert found.occlusion[ink].mean() > found.occlusion[~ink].mean()


def test_a_picture_is_fitted_and_its_ink_made_light(picture):
    read = read_picture(picture, (1, 28, 28), CLOTHES)
    assert read.inverted
    assert read.given.shape == (1, 60, 80)
    assert read.image.shape == (1, 28, 28)
    assert read.image[0, 14, 14] > 200
    assert read.image[0, 0].max() < 20


@pytest.mark.parametrize("given", ["17", "tset:17"])
def test_what_is_neither_a_file_nor_an_image_is_told_how_to_name_one(digits_run, given):
    cure = f"{given}: there is no such file; name a picture, or an image of the data as test:17"
    code, out, err = run_lenet("explain", digits_run.path, given)
    assert (code, out) == (5, "")
    assert cure in err
    with pytest.raises(FormatError, match=cure):
        lenet.load(digits_run.path).explain(given)


def test_a_fifo_is_refused_and_not_waited_for(digits_run, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    code, out, err = run_lenet("explain", digits_run.path, tmp_path / "pipe.png")
    assert (code, out) == (5, "")
    assert "pipe.png: a FIFO, not a file" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a picture", "not a picture in a format that is known"),
     (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "x.png")],
)  # fmt: skip
def test_what_is_no_picture_is_refused(tmp_path, content, message):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read_picture(tmp_path / "x.png", (1, 28, 28), CLOTHES)


def test_a_picture_that_is_cut_short_is_refused(tmp_path, picture):
    whole = picture.read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.png: this picture cannot be read"):
        read_picture(tmp_path / "cut.png", (1, 28, 28), CLOTHES)


@pytest.mark.parametrize("name", ["test:360", "test:-1", "test:x"])
def test_an_image_that_is_not_there_is_refused(digits_run, name):
    with pytest.raises(UsageError, match="the test split has images 0 to 359"):
        explain_run(digits_run.path, name)


def test_the_command_line_draws_it(digits_run, picture, tmp_path):
    out = tmp_path / "figure.png"
    code, said, err = run_lenet("explain", digits_run.path, picture, "--out", out)
    assert code == 0, err
    assert said.startswith("one.png, dark ink on light ground, turned around\n\nclass")
    with Image.open(out) as figure:
        assert figure.width == 1600
        grey = np.asarray(figure.convert("L"))
    assert 0.1 < (grey < 250).mean() < 0.9


def test_a_picture_is_drawn_as_it_was_given(digits_model, picture, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(decision, "show_image", lambda *words: drawn.append(words[1:]))
    found = digits_model.explain(picture).explanation
    decision.draw_decision(found, tmp_path / "figure.png")
    assert [greys for _, greys in drawn] == ["gray", "gray_r", "gray_r"]
    assert drawn[0][0] is found.given
    drawn.clear()
    decision.draw_decision(replace(found, given=found.image, light_ink=False), tmp_path / "x.png")
    assert [greys for _, greys in drawn] == ["gray", "gray", "gray"]


def test_a_run_explains_plots_and_scores(digits_model, tmp_path):
    decision = digits_model.explain("test:3")
    assert decision.save(tmp_path / "decision.png").stat().st_size > 20_000
    assert decision._repr_png_().startswith(b"\x89PNG")
    assert digits_model.plot()._repr_html_().count("<polyline") == 4
    assert digits_model.evaluate("validation").count == 200
    assert digits_model.report(tmp_path / "report.html").stat().st_size > 20_000
