import re
from dataclasses import replace

import pytest
from conftest import run_lenet
from PIL import Image, ImageDraw
from test_plots import assert_readable, drawn, ink, words_of  # noqa: F401

import lenet
from lenet import data
from lenet.engines import open_engine
from lenet.errors import FormatError
from lenet.prediction.stages import follow_picture
from lenet.show.figures.preparation import draw_preparation


@pytest.fixture
def drawing(tmp_path):
    """A dark stroke in a corner of light paper."""
    picture = Image.new("L", (300, 200), 240)
    ImageDraw.Draw(picture).line([(230, 40), (210, 150)], fill=20, width=14)
    picture.save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_each_stage_has_its_answer_from_resized_to_prepared(digits_run, drawing):
    found = follow_picture(digits_run.path, drawing)
    assert [each.stage.name for each in found.stages] == [
        "as given", "ground", "ink on its ground", "kept", "cropped", "fitted", "centred",
    ]  # fmt: skip
    assert (found.resized.seen == found.picture.plain).all()
    assert (found.prepared.seen == found.picture.image).all()
    shape = data.load("digits").test.images.shape[1:]
    for each in found.stages:
        assert each.seen.shape == shape
        assert each.probabilities.sum() == pytest.approx(1.0)
    answer = lenet.load(digits_run.path).predict(drawing)
    assert answer.class_name == found.class_names[found.prepared.prediction]
    assert answer.probability == pytest.approx(found.prepared.probabilities.max(), abs=1e-6)


def test_the_figure_says_both_answers_and_no_words_overlap(digits_run, drawing, drawn, tmp_path):  # noqa: F811
    found = follow_picture(digits_run.path, drawing)
    draw_preparation(found, tmp_path / "stages.png")
    assert 0.05 < ink(tmp_path / "stages.png") < 0.9
    names = [found.class_names[each.prediction] for each in (found.prepared, found.resized)]
    assert_readable(
        drawn[0],
        [f"one.png: {names[0]} (", f"only resized it would be {names[1]} (", "7. centred",
         "dark ink on light ground", "what the network\ngets"],
    )  # fmt: skip


def test_a_headline_of_long_names_stays_in_the_figure(digits_run, drawing, drawn, tmp_path):  # noqa: F811
    found = follow_picture(digits_run.path, drawing)
    names = tuple(f"{index} of a class with a name of many words" for index in range(10))
    ends = (found.resized, found.prepared)
    draw_preparation(replace(found, class_names=names, stages=ends), tmp_path / "stages.png")
    title = drawn[0].get_suptitle()
    (box,) = (box for word, box in words_of(drawn[0]) if word == title)
    assert 0 <= box.x0 < box.x1 <= drawn[0].bbox.x1


def test_words_below_an_image_stay_in_the_figure(digits_run, drawing, drawn, tmp_path):  # noqa: F811
    found = follow_picture(digits_run.path, drawing)
    names = tuple(f"letters of class {index}" for index in range(10))
    draw_preparation(replace(found, class_names=names), tmp_path / "stages.png")
    (box,) = (box for word, box in words_of(drawn[0]) if "gets" in word)
    assert box.x1 <= drawn[0].bbox.x1


def test_the_command_draws_into_the_run_or_to_a_file(digits_run, drawing, tmp_path):
    code, out, err = run_lenet("predict", digits_run.path, drawing, "--stages")
    assert code == 0, err
    assert out.splitlines()[0].startswith("one.png, dark ink on light ground")
    assert re.search(
        r"^centred +8x8 +\d +0\.\d{4}$|^centred +28x28 +\d +0\.\d{4}$", out, re.MULTILINE
    )
    assert out.splitlines()[-1] == f"picture: {digits_run.path}/stages-one.png"
    with open(drawing, "rb") as file:
        words = ("predict", digits_run.path, "-", "--stages", "--out", tmp_path / "x.png")
        code, out, err = run_lenet(*words, stdin=file)
    assert code == 0, err
    assert ink(tmp_path / "x.png") > 0.05


def test_a_folder_or_a_list_of_one_picture_is_drawn_and_of_several_refused(
    digits_run, drawing, tmp_path
):
    folder, figure, listed = tmp_path / "one", tmp_path / "x.png", tmp_path / "list.csv"
    folder.mkdir()
    Image.open(drawing).save(folder / "first.png")
    listed.write_text("file,label\none/first.png,3\n")
    words = ("predict", digits_run.path, "--stages", "--out")
    for given in (folder, listed):
        code, _, err = run_lenet(*words, figure, given)
        assert code == 0, err
        code, _, err = run_lenet(*words, folder / "first.png", given)
        assert (code, "it is the picture itself" in err) == (2, True)
    Image.open(drawing).save(folder / "second.png")
    listed.write_text("file,label\none/first.png,3\none/second.png,4\n")
    for given in (folder, listed):
        code, _, err = run_lenet(*words, figure, given)
        assert code == 2
        assert err.endswith(f"{given}: --stages draws one picture, not several; name one\n")


def test_the_engine_that_is_asked_for_answers(digits_run, drawing, monkeypatch):
    asked = []

    def note(spec, recipe, weights, **options):
        asked.append(options["engine"])
        return open_engine(spec, recipe, weights, **{**options, "engine": "auto"})

    monkeypatch.setattr("lenet.prediction.network.open_engine", note)
    follow_picture(digits_run.path, drawing, engine="eager")
    assert asked[0] == "eager"


def test_what_is_no_picture_is_said(digits_run, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(FormatError, match=r"x.png: not a picture in a format that is known"):
        follow_picture(digits_run.path, tmp_path / "x.png")
