import csv
import gzip
import os
import re
import shlex
import shutil
import signal
import subprocess
import unicodedata
import warnings

import numpy as np
import pytest
from conftest import need_module, resume_run, run_lenet, train_run
from glyphs import LETTERS, draw_folder
from pages import shell_commands, shortened
from PIL import Image
from test_arrays import idx, write_csv, write_parquet
from test_docs import ROOT
from test_session import Press, content

import lenet
from lenet import data
from lenet.data import Reading, own
from lenet.errors import DataError, DataNotFoundError, RunError, UsageError
from lenet.prediction.evaluation import evaluate_runs
from lenet.system import machine

SHORT = {"epochs": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """936 pictures of 26 Cyrillic and Greek letters in four formats and many sizes."""
    return draw_folder(tmp_path_factory.mktemp("own") / "letters")


@pytest.fixture(scope="module")
def trained(letters):
    """The run of `letters` as the command line trains it, and what it printed."""
    out = letters.parent / "run"
    code, text, err = run_lenet("train", "--data", letters, "--resize", "ink", "--out", out)
    assert code == 0, err
    return lenet.open_run(out), text


@pytest.fixture
def few(letters, tmp_path):
    """A small folder that a test may spoil: twelve pictures of each of three letters."""
    for letter in "АБВ":
        (tmp_path / "few" / letter).mkdir(parents=True)
        for path in sorted((letters / letter).iterdir())[:12]:
            shutil.copy(path, tmp_path / "few" / letter)
    return tmp_path / "few"


def pixels(split):
    return [image.tobytes() for image in split.images]


def load_quietly(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return data.load(path, **options)


def test_26_classes_of_a_folder_are_learnt(trained):
    run, text = trained
    found = lenet.load(run.path).evaluate()
    assert found.count == 26 * 6
    assert found.accuracy > 0.95
    assert "letters: 26 classes of 36 images; 780 train, 156 test; ink in 20x20" in text


@pytest.mark.thorough
def test_their_names_are_in_every_output(trained, letters):
    run, _ = trained
    code, out, _ = run_lenet("evaluate", run.path)
    assert code == 0
    assert re.match(r"letters, test split, 156 images: accuracy (0\.9\d+|1\.0000) ", out)
    for letter in LETTERS:
        assert re.search(rf"^{letter} +6 ", out, re.MULTILINE)
    code, _, _ = run_lenet("report", run.path)
    page = (run.path / "report.html").read_text()
    assert code == 0
    assert all(letter in page for letter in LETTERS)
    code, out, _ = run_lenet("explain", run.path, "test:0")
    assert code == 0
    assert re.search(r"^[А-я] +0\.\d+", out, re.MULTILINE)


def test_a_later_picture_is_made_as_those_of_the_training(trained, letters):
    run, _ = trained
    right = 0
    for letter in LETTERS:
        page = Image.new("L", (300, 200), 255)
        page.paste(Image.open(letters / letter / "001.jpg").convert("L"), (180, 40))
        page.save(run.path / "new.png")
        found = lenet.load(run.path).explain(run.path / "new.png").explanation
        assert found.image.shape == (1, 28, 28)
        right += found.class_names[found.prediction] == letter
    assert right >= 23


def test_the_receipt_says_what_was_read_and_how(trained, letters):
    facts = trained[0].receipt()["data"]
    assert facts["path"] == str(letters)
    assert sorted(facts["class_names"]) == sorted(LETTERS)
    assert facts["reading"] == {"size": None, "channels": None, "resize": "ink", "split_seed": 0}
    survey = facts["survey"]
    assert survey["counts"] == {"train": [30] * 26, "test": [6] * 26}
    assert survey["prepared"] == (
        "ink in 20x20 pixels, its centre of mass in the middle; 28x28, grey"
    )
    assert survey["division"].endswith("test: a sixth of each class, chosen by split seed 0")
    assert set(facts["sha256"]) == {"train", "test"}
    assert survey["left_out"] == survey["copies_across_splits"] == 0


@pytest.mark.thorough
def test_it_is_found_again_from_any_folder(trained, tmp_path):
    run, _ = trained
    code, out, err = run_lenet("evaluate", run.path.absolute(), "--split", "train", cwd=tmp_path)
    assert code == 0, err
    assert "letters, train split, 780 images" in out


def test_where_it_was_moved_to_can_be_said(few, tmp_path):
    run = train_run(data=few, out=tmp_path / "run", **SHORT)
    before = lenet.load(run.path).evaluate().loss
    (tmp_path / "elsewhere").mkdir()
    few.rename(tmp_path / "elsewhere" / "few")
    with pytest.raises(
        DataNotFoundError, match=r"few: this data is not there any more; .*--data-d"
    ):
        lenet.load(run.path).evaluate()
    for folder in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "few"):
        assert lenet.load(run.path).evaluate(data_dir=folder).loss == before


def test_a_stopped_run_goes_on_to_the_same_bytes(few, tmp_path):
    whole = train_run(data=few, out=tmp_path / "whole", **SHORT)
    with pytest.raises(lenet.InterruptedRunError, match="stopped after step 1 of epoch 2"):
        train_run(data=few, out=tmp_path / "cut", display=Press(signal.SIGINT, 2, 1), **SHORT)
    code, _, err = run_lenet("train", "--resume", tmp_path / "cut", "--size", 32)
    assert code == 2
    assert "leave out --size, --channels, --resize, --split-seed" in err
    assert content(resume_run(tmp_path / "cut")) == content(whole)


def test_data_that_changed_is_not_gone_on_with(few, letters, tmp_path):
    run = train_run(data=few, out=tmp_path / "run", **SHORT)
    shutil.copy(letters / "А" / "020.png", few / "А")
    with pytest.raises(RunError, match="trained on few with other files than those found now"):
        resume_run(run.path)
    with pytest.warns(UserWarning, match="few is not what it was when this network was trained"):
        lenet.load(run.path).evaluate()


def test_the_test_images_depend_on_the_pixels_and_the_split_seed_alone(few, tmp_path):
    first = data.load(few)
    shutil.copytree(few, tmp_path / "named")
    for index, path in enumerate(sorted((tmp_path / "named").rglob("*.*"))):
        path.rename(path.with_name(f"{997 * index % 1000}{path.suffix}"))
    again = data.load(tmp_path / "named")
    assert sorted(pixels(first.test)) == sorted(pixels(again.test))
    other = data.load(few, reading=Reading(split_seed=1))
    assert sorted(pixels(first.test)) != sorted(pixels(other.test))
    assert np.bincount(first.test.labels).tolist() == [2, 2, 2]
    assert not set(pixels(first.test)) & set(pixels(first.train))


def test_the_size_and_the_way_of_resizing_do_not_choose_the_test_images(tmp_path):
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for grey in range(label, 240, 20):
            Image.new("L", (30, 20), grey).save(tmp_path / str(label) / f"{grey}.png")
    readings = [Reading(), Reading(size=40), Reading(resize="stretch", size=12)]
    greys = [data.load(tmp_path, reading=reading).test.images[:, 0, 0, 0] for reading in readings]
    assert len(greys[0]) == 4
    for found in greys[1:]:
        np.testing.assert_array_equal(found, greys[0])


def test_the_recipes_seed_does_not_choose_the_test_images(few, tmp_path):
    runs = [train_run(data=few, out=tmp_path / str(seed), seed=seed, **SHORT) for seed in (1, 2)]
    digests = [run.checkpoint().data.digests for run in runs]
    assert digests[0] == digests[1]


def test_added_pictures_move_few_of_the_others(letters, tmp_path):
    shutil.copytree(letters, tmp_path / "letters")
    before = set(pixels(data.load(tmp_path / "letters").test))
    draw_folder(tmp_path / "more", "АБВ", count=6, seed=1)
    for path in sorted((tmp_path / "more").rglob("*.*")):
        shutil.copy(path, tmp_path / "letters" / path.parent.name / f"new-{path.name}")
    after = set(pixels(data.load(tmp_path / "letters").test))
    assert len(before - after) <= 9


def test_copies_stay_on_one_side(few):
    for path in sorted((few / "А").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    dataset = data.load(few)
    assert dataset.survey.shared == 0
    assert dataset.survey.copies == 12
    assert np.bincount(dataset.test.labels).tolist() == [4, 2, 2]


def test_the_threads_do_not_change_the_order(few, monkeypatch):
    digests = []
    for cores in (1, 5):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        digests.append(data.load(few).digests)
    assert digests[0] == digests[1]


def test_reading_reports_its_progress_in_bytes(few):
    seen = []
    data.load(few, progress=lambda *row: seen.append(row))
    total = sum(path.stat().st_size for path in few.rglob("*.*"))
    assert seen[-1] == ("reading few", total, total)


def as_splits(few, *names):
    """The first picture of each letter for the second split, and so on; the rest for the first."""
    for letter in "АБВ":
        files = sorted((few / letter).iterdir())
        for name in names:
            (few / name / letter).mkdir(parents=True)
        for index, path in enumerate(files):
            path.rename(
                few / names[index + 1 if index + 1 < len(names) else 0] / letter / path.name
            )
        (few / letter).rmdir()


def test_given_splits_are_kept(few, tmp_path):
    as_splits(few, "train", "test", "val")
    dataset = data.load(few)
    assert dataset.survey.counts == {
        "train": (10,) * 3, "validation": (1,) * 3, "test": (1,) * 3
    }  # fmt: skip
    run = train_run(data=few, out=tmp_path / "run", **SHORT)
    assert run.best_path.exists()
    assert lenet.load(run.path).evaluate("validation").count == 3
    with pytest.raises(UsageError, match="few comes with 3 validation images; leave it out"):
        train_run(data=few, out=tmp_path / "other", validation=2, **SHORT)


def test_a_test_split_is_cut_where_only_validation_is_given(few):
    as_splits(few, "training", "validation")
    assert data.load(few).survey.counts == {
        "train": (9,) * 3, "validation": (1,) * 3, "test": (2,) * 3
    }  # fmt: skip


def test_splits_with_different_classes_are_refused(few):
    as_splits(few, "train", "test")
    shutil.rmtree(few / "test" / "Б")
    with pytest.raises(DataError, match="few: test has no picture of Б; every split needs the sam"):
        data.load(few)


def test_of_many_missing_classes_the_first_are_named_and_the_rest_is_said(tmp_path):
    for name in map(str, range(20)):
        for split in ("train", "test") if name == "0" else ("train",):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (28, 28), int(name)).save(tmp_path / split / name / "a.png")
    with pytest.raises(DataError, match=r"no picture of 1, 2, .*, 12, \.\.\.; every split"):
        data.load(tmp_path)


def test_a_class_may_be_called_train(few):
    for name in ("car", "train"):
        shutil.copytree(few / "А", few / name)
    assert load_quietly(few).class_names == ("car", "train", "А", "Б", "В")


def test_copies_across_given_splits_and_classes_are_warned_of(few):
    as_splits(few, "train", "test")
    (path,) = (few / "test" / "А").iterdir()
    shutil.copy(path, few / "train" / "А")
    shutil.copy(path, few / "train" / "Б" / "other.png")
    with pytest.warns(UserWarning, match="few: ") as caught:
        survey = data.load(few).survey
    assert (survey.shared, survey.disputed) == (1, 3)
    texts = [str(note.message) for note in caught]
    assert any("in an earlier split too: 1; scores on them are too good" in text for text in texts)
    assert any("the same pixels as one of another class: 3" in text for text in texts)


def spoil(few):
    """Four files that are no pictures, whatever their names say."""
    (few / "А" / "text.png").write_text("no picture")
    whole = (few / "Б" / "000.png").read_bytes()
    (few / "Б" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (few / "В" / "notes.txt").write_text("these were scanned on Monday")
    os.mkfifo(few / "В" / "pipe.png")


def test_what_cannot_be_read_is_listed_and_the_training_goes_on(few, tmp_path):
    spoil(few)
    code, out, err = run_lenet(
        "train", "--data", few, "--epochs", 1, "--batch-size", 16, "--out", tmp_path / "run"
    )
    assert code == 3
    assert "few: 3 classes of 12 images; 30 train, 6 test" in out
    assert "files that cannot be used and are left out: 4; the first one is " in err
    assert "lenet: error: the training is done, but some files cannot be used (4); they" in err
    with open(tmp_path / "run" / "unreadable.csv", encoding="utf-8", newline="") as file:
        rows = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(rows) == {"А/text.png", "Б/cut.png", "В/notes.txt", "В/pipe.png"}
    assert rows["А/text.png"] == "not a picture in a format that is known"
    assert rows["Б/cut.png"].startswith("this picture cannot be read: ")
    assert rows["В/pipe.png"] == "neither a file nor a folder"
    assert (tmp_path / "run" / "curves.png").exists()
    code, out, err = run_lenet("evaluate", tmp_path / "run")
    assert code == 3
    assert "few, test split, 6 images" in out
    assert f"list them with: lenet data show {few}" in err
    code, out, _ = run_lenet("data", "show", few, "--out", tmp_path / "sheet.png")
    assert code == 0
    assert "left out: Б/cut.png: this picture cannot be read" in out


def test_a_file_whose_name_is_not_unicode_is_read_or_listed(few):
    good = os.fsencode(few / "А") + b"/\xff.png"
    shutil.copy(few / "А" / "000.png", good)
    with open(os.fsencode(few / "А") + b"/\xfe.png", "wb") as file:
        file.write(b"no picture")
    with pytest.warns(UserWarning, match=r"the first one is А/\\xfe\.png: not a picture"):
        assert sum(data.load(few).survey.counts["train"]) == 31


def test_what_systems_leave_in_folders_is_passed_over(few):
    before = data.load(few).digests
    (few / "А" / ".DS_Store").write_bytes(b"\0")
    (few / "А" / "Thumbs.db").write_bytes(b"\0")
    (few / ".git").mkdir()
    (few / "README.txt").write_text("letters")
    (few / "В" / "deeper").mkdir()
    (few / "В" / "000.png").rename(few / "В" / "deeper" / "000.png")
    (few / "В" / "zz").symlink_to(few / "В")
    with pytest.warns(UserWarning, match="left out: 1; the first one is В/zz: neither a file nor"):
        after = data.load(few)
    assert after.digests["test"] == before["test"]


def test_a_picture_outside_the_classes_and_an_empty_class_are_said(few):
    shutil.copy(few / "А" / "000.png", few / "loose.png")
    (few / "empty").mkdir()
    (few / "lost").mkdir()
    (few / "lost" / "a.png").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="few: ") as caught:
        dataset = data.load(few)
    texts = texts_of(caught)
    assert dataset.class_names == ("А", "Б", "В")
    assert "folder empty is empty, and left out" in texts
    assert "class 'lost' has no picture that can be read, and is left out" in texts
    assert [row.path for row in dataset.survey.left_out] == ["loose.png", "lost/a.png"]


def test_a_class_of_one_picture_is_learnt_and_not_scored(few):
    for path in sorted((few / "Б").iterdir())[1:]:
        path.unlink()
    with pytest.warns(UserWarning, match="classes without an image in the test split: Б"):
        dataset = data.load(few)
    assert np.bincount(dataset.train.labels).tolist() == [10, 1, 10]
    assert np.bincount(dataset.test.labels).tolist() == [2, 0, 2]


def make_empty(root):
    root.mkdir()


def make_pictures_without_folders(root):
    root.mkdir()
    Image.new("L", (9, 9)).save(root / "a.png")


def make_one_class(root):
    (root / "a").mkdir(parents=True)
    Image.new("L", (9, 9)).save(root / "a" / "a.png")


def make_one_picture_a_class(root):
    for name in "ab":
        (root / name).mkdir(parents=True)
        Image.new("L", (9, 9), 99).save(root / name / "a.png")


def make_empty_classes(root):
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()


def make_a_text(root):
    root.write_text("no data")


def make_a_name_with_an_escape(root):
    (root / "a\x1b[31m").mkdir(parents=True)


def make_two_names_that_look_the_same(root):
    for form in ("NFC", "NFD"):
        (root / unicodedata.normalize(form, "Й")).mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_empty, "no picture is here; lenet expects one folder a class"),
        (make_pictures_without_folders, "1 pictures, and no folder with a picture in it; put thos"),
        (make_one_class, "only one class, 'a'; a network chooses between two classes at least"),
        (make_one_picture_a_class, "no class has two different pictures, so that none is left to"),
        (make_empty_classes, "no picture is here; lenet expects one folder a class"),
        (make_a_text, "own data is a folder with one folder of pictures a class, or a file of im"),
        (make_a_name_with_an_escape, "cannot be a class's name: .* control characters; rename it"),
        (make_two_names_that_look_the_same, "two folders are called 'Й'; rename one of them"),
    ],
)
def test_data_that_cannot_be_trained_on_gets_a_clear_answer(tmp_path, make, message):
    make(tmp_path / "mine")
    code, out, err = run_lenet("train", "--data", tmp_path / "mine", "--out", tmp_path / "run")
    assert (code, out) == (5, "")
    assert re.search(rf"lenet: error: .*mine: .*{message}", err), err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_nothing_is_answered_with_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no data set is called 'minst'; .* no such file or fold"):
        data.load("minst")
    with pytest.raises(DataNotFoundError, match="mine: no such file or folder"):
        data.load("./mine")


def test_a_name_of_the_catalog_is_not_taken_for_a_folder(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few.rename("digits")
    assert len(data.load("digits").class_names) == 10
    assert len(data.load("./digits").class_names) == 3
    with pytest.raises(UsageError, match="digits comes with its own size and splits"):
        data.load("digits", reading=Reading(size=32))


def test_the_size_the_colour_and_the_way_of_resizing_are_chosen(few):
    colour = data.load(few, reading=Reading(size=20, channels=3, resize="stretch"))
    assert colour.train.images.shape[1:] == (3, 20, 20)
    assert colour.convention.kind == "stretch"
    assert colour.survey.prepared.endswith("without its proportions; 20x20, colour")
    grey = data.load(few, reading=Reading(resize="ink"))
    assert np.median(grey.train.images) == 0
    assert np.median(data.load(few).train.images) == 255


def test_colour_trains_into_a_folder_with_a_sane_name(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few.rename("my few")
    run = train_run(data="my few/", reading=Reading(channels=3), **SHORT)
    assert re.fullmatch(r"\d{8}-\d{6}-lenet5-relu-my-few-s0", run.name)
    assert run.checkpoint().spec.input_shape == (3, 28, 28)
    assert lenet.load(run.path).explain("my few/А/000.png").explanation.given.shape[0] == 3


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"size": 0}, "size = 0: it must be from 4 to 1024"),
        ({"channels": 2}, r"channels = 2: it must be 1 \(grey\) or 3 \(colour\)"),
        ({"resize": "crop"}, "resize = 'crop': it must be one of fit, stretch, ink"),
        ({"resize": "ink", "channels": 3}, "makes grey pictures; leave out channels = 3"),
        ({"split_seed": -1}, "split_seed = -1: it must be at least 0"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(choice, message):
    with pytest.raises(UsageError, match=message):
        Reading(**choice)


@pytest.fixture(scope="module")
def digits():
    test = data.load("digits").test
    return test.images[:120, 0], test.labels[:120]


def make_npz(folder, images, labels):
    np.savez(folder / "mine.npz", x=images, y=labels)
    return folder / "mine.npz"


def make_csv(folder, images, labels):
    write_csv(folder / "mine.csv", images, labels)
    return folder / "mine.csv"


def make_idx(folder, images, labels):
    (folder / "mine-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / "mine-labels-idx1-ubyte").write_bytes(idx(labels.astype(np.uint8)))
    return folder / "mine-images-idx3-ubyte.gz"


def make_parquet(folder, images, labels):
    need_module("pyarrow", "pip install 'lenet[parquet]'")
    rows = list(images.reshape(len(images), -1))
    write_parquet(folder / "mine.parquet", {"image": rows, "label": labels})
    return folder / "mine.parquet"


def make_folder(folder, images, labels):
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "mine" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "mine" / str(label) / f"{index}.png")
    return folder / "mine"


@pytest.mark.parametrize("make", [make_csv, make_idx, make_parquet, make_folder])
def test_every_format_is_the_same_data(tmp_path, digits, make):
    expected = data.load(make_npz(tmp_path, *digits))
    found = data.load(make(tmp_path, *digits))
    assert found.class_names == expected.class_names == tuple("0123456789")
    for split in ("train", "test"):
        one, other = getattr(expected, split), getattr(found, split)
        rows = [sorted(zip(pixels(part), part.labels, strict=True)) for part in (one, other)]
        assert rows[0] == rows[1]
    assert expected.survey.prepared == "as stored; 28x28, grey"


def test_a_file_of_images_trains_resumes_and_is_scored(tmp_path, digits):
    path = make_npz(tmp_path, *digits)
    code, out, err = run_lenet("train", "--data", path, "--epochs", 1, "--out", tmp_path / "run")
    assert code == 0, err
    assert "mine: 10 classes of " in out
    assert lenet.load(tmp_path / "run").evaluate().count == 21
    assert resume_run(tmp_path / "run").path == tmp_path / "run"


def test_stored_images_are_resized_by_choice_only(tmp_path, digits):
    path = make_npz(tmp_path, *digits)
    assert data.load(path, reading=Reading(size=20)).survey.prepared == (
        "the whole picture, resized with its proportions; 20x20, grey from 28x28, grey"
    )
    ink = data.load(path, reading=Reading(resize="ink"))
    assert ink.survey.prepared.startswith("ink in 20x20 pixels, its centre of mass in the middle")
    assert ink.train.images.shape[1:] == (1, 28, 28)


def test_splits_inside_a_file_are_kept(tmp_path, digits):
    images, labels = digits
    np.savez(
        tmp_path / "a.npz", x_train=images[:60], y_train=labels[:60],
        x_test=images[60:], y_test=labels[60:],
    )  # fmt: skip
    dataset = data.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.test.images[:, 0], images[60:])
    assert dataset.survey.division == "train, test as given"


def test_a_folder_of_files_is_split_by_their_names(tmp_path, digits):
    images, labels = digits
    write_csv(tmp_path / "mnist_train.csv", images[:60], labels[:60])
    write_csv(tmp_path / "mnist_test.csv", images[60:], labels[60:])
    dataset = data.load(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (60, 60)
    write_csv(tmp_path / "more.csv", images[:9], labels[:9])
    with pytest.raises(
        DataError, match=r"3 files of images, and the name of more\.csv has neither"
    ):
        data.load(tmp_path)


def unpack_as_kaggle_does(folder, mnist_folder):
    """MNIST as `NAME-idx3-ubyte/NAME-idx3-ubyte`, and once more as `NAME.idx3-ubyte`."""
    for path in (mnist_folder / "mnist").glob("*-ubyte.gz"):
        name = path.name.removesuffix(".gz")
        (folder / name).mkdir(parents=True)
        (folder / name / name).write_bytes(gzip.decompress(path.read_bytes()))
        shutil.copy(folder / name / name, folder / name.replace("-idx", ".idx"))


def test_the_folder_of_mnist_that_kaggle_unpacks_is_the_real_mnist(tmp_path, mnist_folder):
    unpack_as_kaggle_does(tmp_path / "a", mnist_folder)
    mnist = data.load("mnist", mnist_folder)
    assert data.load("mnist", tmp_path / "a").digests == mnist.digests
    with pytest.warns(UserWarning, match="a: file .*-ubyte is a copy, and left out") as caught:
        found = data.load(tmp_path / "a")
    assert "file t10k-images.idx3-ubyte is a copy" in texts_of(caught)
    np.testing.assert_array_equal(found.train.images, mnist.train.images)
    np.testing.assert_array_equal(found.test.labels, mnist.test.labels)


def test_a_table_without_labels_and_one_of_answers_beside_it_are_left_out(tmp_path, digits):
    images, labels = digits
    write_csv(tmp_path / "train.csv", images, labels, header=True)
    write_csv(tmp_path / "test.csv", images[:50], header=True)
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    with pytest.warns(UserWarning, match="left out") as caught:
        dataset = data.load(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 120
    assert "test.csv has no labels; its 50 images are left out" in texts_of(caught)
    assert "file sample_submission.csv is left out: " in texts_of(caught)


def test_images_and_labels_of_each_split_in_files_of_their_own_are_found(tmp_path, digits):
    images, labels = digits
    for name, part in (("train", slice(0, 80)), ("test", slice(80, None))):
        np.savez(tmp_path / f"k49-{name}-imgs.npz", images[part])
        np.savez(tmp_path / f"k49-{name}-labels.npz", labels[part])
    (tmp_path / "k49_classmap.csv").write_text("index,codepoint,char\n0,U+3042,a\n")
    dataset = load_quietly(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (80, 40)
    np.testing.assert_array_equal(dataset.test.labels, labels[80:])


def test_the_survey_says_which_column_is_the_label(tmp_path, digits):
    write_csv(tmp_path / "a.csv", *digits)
    code, out, err = run_lenet("data", "show", "a.csv", cwd=tmp_path)
    assert code == 0, err
    assert "the label is the first column, as in MNIST's tables" in out
    assert "Warning" not in err


def test_the_real_mnist_as_csv_is_the_real_mnist(tmp_path, mnist_folder):
    mnist = data.load("mnist", mnist_folder)
    for name, split in (("train", mnist.train), ("test", mnist.test)):
        write_csv(tmp_path / f"mnist_{name}.csv", split.images[:300], split.labels[:300])
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.train.images, mnist.train.images[:300])
    np.testing.assert_array_equal(found.test.labels, mnist.test.labels[:300])
    assert found.class_names == mnist.class_names


def test_files_without_labels_or_classes_are_refused(tmp_path, digits):
    images, _ = digits
    np.save(tmp_path / "a.npy", images)
    with pytest.raises(
        DataError, match=r"a\.npy: there are no labels to train on; \.npz: an array"
    ):
        data.load(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", x=images[:5], y=np.zeros(5, int))
    with pytest.raises(DataError, match=r"b\.npz: only one class, '0'"):
        data.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=np.zeros((2000, 4, 4), np.uint8), y=np.arange(2000))
    with pytest.raises(DataError, match="2,000 different labels; lenet takes up to 1,000 classes"):
        data.load(tmp_path / "c.npz")


def test_pixels_that_are_all_dark_are_asked_about(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "a.npz", x=images // 16, y=labels)
    with pytest.warns(UserWarning, match="the lightest pixel of all is 15 of 255"):
        data.load(tmp_path / "a.npz")


def test_hugging_faces_names_become_the_classes(tmp_path, digits):
    need_module("pyarrow", "pip install 'lenet[parquet]'")
    images, labels = digits
    names = [f"digit {9 - index}" for index in range(10)]
    rows = list(images.reshape(len(images), -1))
    write_parquet(tmp_path / "a.parquet", {"image": rows, "label": labels}, names)
    dataset = data.load(tmp_path / "a.parquet")
    assert dataset.class_names == tuple(names)
    assert sorted(np.concatenate([dataset.train.labels, dataset.test.labels])) == sorted(labels)


def test_other_pictures_of_some_classes_are_all_scored(trained, letters, tmp_path):
    run, _ = trained
    for letter in "ЖΣ":
        shutil.copytree(letters / letter, tmp_path / "other" / letter)
    (result,) = evaluate_runs([run.path], tmp_path / "other")
    assert result.evaluation.count == 72
    assert result.evaluation.accuracy > 0.9
    assert result.class_names == run.checkpoint().data.class_names
    (tmp_path / "other" / "Σ").rename(tmp_path / "other" / "Q")
    with pytest.raises(DataError, match="other: the label 'Q' is none of the 26 classes"):
        evaluate_runs([run.path], tmp_path / "other")


def test_a_network_of_digits_is_scored_on_a_folder_of_digits(
    digits_run, digits_model, tmp_path, digits
):
    folder = make_folder(tmp_path, *digits)
    (result,) = evaluate_runs([digits_run.path], folder)
    assert result.evaluation.count == 120
    csv_file = make_csv(tmp_path, *digits)
    (again,) = evaluate_runs([digits_run.path], csv_file)
    own_split = digits_model.evaluate()
    assert abs(again.evaluation.accuracy - own_split.accuracy) < 0.1


def test_labels_from_one_are_not_scored_by_labels_from_zero(tmp_path, digits):
    images, labels = digits
    np.savez(tmp_path / "one.npz", x=images, y=labels + 1)
    np.savez(tmp_path / "zero.npz", x=images, y=labels)
    model = lenet.train(data=tmp_path / "one.npz", epochs=1, out=tmp_path / "run")
    with pytest.raises(
        DataError,
        match=r"the label '0' is none of the 10 classes \(1, 2, .*, 10\); its labels are 0, 1, .*9",
    ):
        model.evaluate(data=tmp_path / "zero.npz")
    own = model.evaluate(data=(images, labels + 1))
    assert model.evaluate(data=(images, labels), by_position=True).loss == own.loss
    code, out, err = run_lenet(
        "evaluate", tmp_path / "run", "--data", tmp_path / "zero.npz", "--by-position"
    )
    assert code == 0, err
    assert "zero, test split, 120 images" in out


def test_some_of_the_numbers_are_counted_from_zero_by_position(tmp_path, digits):
    images, labels = digits
    names = [f"class {label}" for label in labels]
    model = lenet.train(data=(images, names), epochs=1, out=tmp_path / "run")
    some = (labels == 3) | (labels == 7)
    found = model.evaluate(data=(images[some], labels[some]), by_position=True)
    assert found.confusion.sum(axis=1).nonzero()[0].tolist() == [3, 7]
    with pytest.raises(DataError, match=r"its 2 labels \(a, b\) cannot be counted as the 10 class"):
        model.evaluate(data=(images, np.where(some, "a", "b")), by_position=True)


def test_other_classes_of_the_catalog_are_refused_with_both_lists(digits_model, fashion_mnist):
    with pytest.raises(
        UsageError, match=r"fashion-mnist \(t-shirt, .* not those of this network \(0, 1, 2, .*9\)"
    ):
        digits_model.evaluate(data=fashion_mnist)
    assert digits_model.evaluate(data=fashion_mnist, by_position=True).accuracy < 0.4


def test_a_study_takes_own_data(few, tmp_path):
    (tmp_path / "study.toml").write_text(
        'question = "?"\nseeds = 1\ncontrol = "a"\ndata = "few"\n[recipe]\nepochs = 1\n'
        '[arms.a]\npooling = "average"\n[arms.b]\npooling = "max"\n'
    )
    words = ["study", "run", "study.toml", "--out", "out", "--processes", 1]
    code, _, err = run_lenet(*words, cwd=tmp_path)
    assert code == 0, err
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2
    (few / "А" / "000.png").unlink()
    code, _, err = run_lenet(*words, cwd=tmp_path)
    assert code == 2
    assert "few has changed since the first runs in out, which would not compare" in err


def test_runs_are_compared_on_the_same_test_images_only(few, tmp_path):
    runs = [
        train_run(data=few, out=tmp_path / str(index), reading=reading, **SHORT).path
        for index, reading in enumerate([Reading(), Reading(size=32), Reading(split_seed=1)])
    ]
    lenet.write_report(runs[:2], tmp_path / "a.html")
    with pytest.raises(UsageError, match="trained on few, with different test images: only runs"):
        lenet.write_report(runs, tmp_path / "b.html")


def test_names_without_a_font_are_said_once(few, tmp_path):
    (few / "А").rename(few / "\U00013080")
    code, _, err = run_lenet("data", "show", few, "--out", tmp_path / "a.png")
    assert code == 0
    assert err.count("no installed font has all letters of the names in it") == 1
    assert "Glyph" not in err


def test_a_dollar_in_a_name_is_no_formula(few, tmp_path):
    (few / "А").rename(few / "$1_2{$")
    code, _, err = run_lenet("data", "show", few, "--out", tmp_path / "a.png")
    assert (code, err) == (0, "")


def test_names_are_in_composed_form_and_numbers_in_order(few):
    (few / "А").rename(few / unicodedata.normalize("NFD", "Й"))
    assert unicodedata.normalize("NFC", "Й") in data.load(few).class_names
    for index, path in enumerate(sorted(few.iterdir())):
        path.rename(few / str(9 + index))
    assert data.load(few).class_names == ("9", "10", "11")


def test_short_names_can_be_parts_of_file_names():
    for path, name in (("/a/mnist_train.csv.gz", "mnist_train"), ("/", "data"), ("/a b\n", "a-b-")):
        assert own.short_name(own.Path(path)) == name


@pytest.mark.thorough
def test_every_command_of_the_page_runs_from_top_to_bottom(tmp_path):
    page = ROOT / "docs" / "own-data.md"
    draw_folder(tmp_path / "letters", count=18)
    dataset = data.load(tmp_path / "letters")
    np.savez(
        tmp_path / "letters.npz", x=dataset.train.images,
        y=np.array(dataset.class_names)[dataset.train.labels],
    )  # fmt: skip
    (tmp_path / "scans" / "images").mkdir(parents=True)
    with open(tmp_path / "scans" / "labels.csv", "w", encoding="utf-8") as table:
        table.write("filename,label\n")
        for path in sorted((tmp_path / "letters").rglob("*.*")):
            name = f"{path.parent.name}-{path.name}"
            shutil.copy(path, tmp_path / "scans" / "images" / name)
            table.write(f"{name},{path.parent.name}\n")
    commands = shell_commands(page)
    assert len(commands) >= 10
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "lenet", command
        code, _, err = run_lenet(*shortened(words[1:]), cwd=tmp_path)
        assert code == 0, f"{command}\n{err}"


@pytest.mark.thorough
def test_the_python_of_the_page_runs(letters, monkeypatch):
    monkeypatch.chdir(letters.parent)
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "own-data.md", "exec"), {})  # noqa: S102 - our own page


# Splits, classes, and what is neither (a Kaggle folder, a folder with runs in it).


def texts_of(caught):
    return " ".join(str(note.message) for note in caught)


def test_a_flat_test_folder_beside_a_labelled_one_is_no_class(few):
    as_splits(few, "Training_Set")
    (few / "test").mkdir()
    for index, path in enumerate(sorted((few / "Training_Set" / "А").iterdir())[:5]):
        shutil.copy(path, few / "test" / f"{index}.png")
    with pytest.warns(UserWarning, match="folder test has 5 pictures in no folder of a class"):
        dataset = data.load(few)
    assert dataset.class_names == ("А", "Б", "В")
    assert len(dataset.train) + len(dataset.test) == 36


def test_an_empty_folder_beside_splits_changes_nothing(few):
    as_splits(few, "train", "test")
    (few / "models").mkdir()
    with pytest.warns(UserWarning, match="folder models has no pictures in it, and is left out"):
        dataset = data.load(few)
    assert dataset.class_names == ("А", "Б", "В")
    assert dataset.survey.division == "train, test as given"


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "VALID"), ("dev", "t10k", "train")])
def test_flat_folders_called_as_splits_are_never_classes(few, names):
    for name, letter in zip(names, "АБВ", strict=False):
        (few / letter).rename(few / name)
    with pytest.raises(DataError, match="these are splits, not classes: put those of each class"):
        data.load(few)


def test_pictures_beside_splits_are_not_lost(few):
    as_splits(few, "train", "test")
    shutil.copytree(few / "train" / "А", few / "extra")
    with pytest.raises(DataError, match="extra beside them has 11 pictures outside of such folder"):
        data.load(few)


def test_a_class_called_like_a_split_is_said(few):
    (few / "А").rename(few / "test")
    with pytest.warns(UserWarning, match="folder test is called like a split and is taken for a c"):
        assert data.load(few).class_names == ("test", "Б", "В")


def test_splits_inside_of_classes_are_said_to_be_none(few):
    for name in ("train", "test"):
        (few / "А" / name).mkdir()
    with pytest.warns(UserWarning, match="folders А/test, А/train lie inside of a class"):
        data.load(few)


def test_two_folders_for_one_split_are_refused(few):
    as_splits(few, "train", "val", "dev")
    with pytest.raises(DataError, match="two folders for one split: dev, val; rename one of them"):
        data.load(few)


@pytest.mark.thorough
def test_what_lenet_wrote_is_never_a_class(few):
    flags = ["--epochs", 1, "--batch-size", 16]
    for _ in range(2):
        code, out, err = run_lenet("train", "--data", ".", *flags, cwd=few)
        assert code == 0, err
        assert "few: 3 classes of 12 images" in out
    assert "folder runs holds what lenet wrote" in err
    code, _, err = run_lenet("predict", "last", "А", "--out", "answers", cwd=few)
    assert code == 0, err
    with pytest.warns(UserWarning, match="few: folder") as caught:
        assert data.load(few).class_names == ("А", "Б", "В")
    for name in ("answers", "runs"):
        assert f"folder {name} holds what lenet wrote" in texts_of(caught)


def test_files_of_images_are_found_beside_runs(tmp_path, digits):
    make_npz(tmp_path, *digits)
    for _ in range(2):
        code, _, err = run_lenet("train", "--data", ".", "--epochs", 1, cwd=tmp_path)
        assert code == 0, err


def test_folders_nested_deeper_than_python_can_call_are_read(few):
    here = os.open(few / "А", os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("a", dir_fd=here)
            inner = os.open("a", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        assert load_quietly(few).class_names == ("А", "Б", "В")
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", few / "А"], check=True)  # pytest could not


def test_pictures_by_any_usual_name_are_read_or_named(few, digits_run):
    for ending in ("jfif", "jpe"):
        Image.new("L", (40, 40), 255).save(few / f"blank.{ending}", "JPEG")
    shutil.copy(few / "А" / "000.png", few / "letter.jfif")
    (few / "drawing.svg").write_text("<svg/>")
    (few / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.warns(
        UserWarning, match="cannot be used and are left out: 5; the first one is bla"
    ):
        data.load(few)
    code, _, err = run_lenet("predict", digits_run.path, few, "--out", few / "a.csv", "--quiet")
    assert code == 3, err
    with open(few / "a.csv.errors.csv", encoding="utf-8", newline="") as file:
        found = {row[0].rpartition("/")[2]: row[-1] for row in csv.reader(file)}
    assert "not a picture in a format that is known" in found["drawing.svg"]
    assert {"phone.heic", "blank.jfif", "blank.jpe"} <= set(found)
    assert "letter.jfif" in (few / "a.csv").read_text(encoding="utf-8")
