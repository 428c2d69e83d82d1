"""Tables that name pictures and say their classes."""

import csv
import gzip
import shutil
import unicodedata
import warnings

import numpy as np
import pytest
from conftest import run_lenet
from glyphs import draw_folder

import lenet
from lenet import data
from lenet.data.own import places
from lenet.data.own.list_columns import may_be_list
from lenet.data.own.listing import find_lists
from lenet.errors import DataError

LETTERS = "АБВ"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Twelve pictures of each of three letters in folders of classes."""
    return draw_folder(tmp_path_factory.mktemp("listing") / "letters", LETTERS, 12)


@pytest.fixture
def flat(drawn, tmp_path):
    """The same pictures in one folder, `images`, and what they show by their names."""
    (tmp_path / "images").mkdir()
    shown = {}
    for path in sorted(drawn.rglob("*.*")):
        name = f"{'abv'[LETTERS.index(path.parent.name)]}{path.name}"
        shutil.copy(path, tmp_path / "images" / name)
        shown[name] = path.parent.name
    return tmp_path, shown


def write_list(path, rows, header=("filename", "label"), delimiter=","):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([*filter(None, [header]), *rows])
    return path


@pytest.mark.parametrize(
    ("name", "header", "delimiter"),
    [
        (lambda name: f"images/{name}", ("file_name", "label"), ","),
        (lambda name: name, ("id", "Class"), ";"),
        (lambda name: name.partition(".")[0], ("id_code", "diagnosis"), "\t"),
        (lambda name: rf"C:\scans\{name}", ("image", "target"), ","),
        (lambda name: name.partition(".")[0], ("Image Name", "Class Name"), ";"),
        (lambda name: name, ("Photo", "what"), ","),
        (lambda name: name, None, ","),
    ],
)
def test_a_list_is_the_same_data_as_folders_of_classes(drawn, flat, name, header, delimiter):
    folder, shown = flat
    rows = [(name(file), letter) for file, letter in shown.items()]
    path = write_list(folder / "labels.csv", rows, header, delimiter)
    found, expected = data.load(str(path)), data.load(str(drawn))
    assert found.class_names == expected.class_names == tuple(sorted(LETTERS))
    assert found.digests == expected.digests
    for split in ("train", "test"):
        assert np.array_equal(getattr(found, split).images, getattr(expected, split).images)
        assert np.array_equal(getattr(found, split).labels, getattr(expected, split).labels)
    # The folder with the list is the same, and so is a list that is compressed.
    assert data.load(str(folder)).digests == expected.digests
    with gzip.open(folder / "labels.csv.gz", "wb") as packed:
        packed.write(path.read_bytes())
    assert data.load(str(folder / "labels.csv.gz")).digests == expected.digests


def test_what_a_list_names_and_is_not_there_is_said_and_kept_with_the_run(flat):
    folder, shown = flat
    (folder / "more").mkdir()
    names = list(shown)
    shutil.copy(folder / "images" / names[0], folder / "more" / names[0])
    (folder / "images" / names[1]).write_bytes(b"no picture")
    rows = [*shown.items(), ("nowhere.png", "А"), (names[2], "Б")]
    rows[3] = (names[3], "")
    path = write_list(folder / "labels.csv", rows)
    code, _, err = run_lenet(
        "train", "--data", path, "--epochs", 1, "--out", folder / "run", "--quiet"
    )
    assert code == 3, err
    assert "files that cannot be used and are left out: 5" in err
    with open(folder / "run" / "unreadable.csv", newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        names[0]: f"2 files are called so: images/{names[0]}, more/{names[0]}; write the path",
        f"images/{names[1]}": reasons[f"images/{names[1]}"],
        f"images/{names[2]}": "listed in several classes: ['А', 'Б']",
        names[3]: "the list says no class for it",
        "nowhere.png": f"no file of this name is in {folder} or below; names are paths from the "
        "list's folder, or names of pictures below it",
    }
    assert "picture" in reasons[f"images/{names[1]}"]
    with pytest.warns(UserWarning, match="left out: 5"):
        assert lenet.load(folder / "run").evaluate().count == 5


def test_the_tables_of_a_contest_are_train_and_what_is_left_out(flat):
    folder, shown = flat
    (folder / "images").rename(folder / "train_images")
    (folder / "test_images").mkdir()
    for name in list(shown)[:5]:
        shutil.copy(folder / "train_images" / name, folder / "test_images" / f"x{name}")
    write_list(folder / "train.csv", shown.items(), ("id", "letter"))
    write_list(folder / "test.csv", [[f"x{name}"] for name in list(shown)[:5]], ["id"])
    submission = [(f"x{name}", "А") for name in list(shown)[:5]]
    write_list(folder / "sample_submission.csv", submission, ("id", "letter"))
    with pytest.warns(UserWarning, match="left out") as warned:
        found = data.load(str(folder))
    assert sorted(str(each.message).partition(": ")[2] for each in warned) == [
        "list sample_submission.csv is called like no split, and is left out",
        "list test.csv says no classes, and is left out",
    ]
    assert len(found.train) + len(found.test) == len(shown) == 36
    assert found.survey is not None
    assert found.survey.division.startswith("no split given; test: a sixth")


def test_splits_are_a_column_or_the_names_of_lists(flat):
    folder, shown = flat
    splits = {name: ("Test", "train", "VAL")[index % 3] for index, name in enumerate(shown)}
    rows = [(name, letter, splits[name]) for name, letter in shown.items()]
    column = data.load(str(write_list(folder / "all.csv", rows, ("filename", "label", "split"))))
    assert column.validation is not None
    assert [len(part) for part in (column.train, column.validation, column.test)] == [12] * 3
    (folder / "all.csv").unlink()
    for split in ("Test", "train", "VAL"):
        part = [(name, letter) for name, letter in shown.items() if splits[name] == split]
        write_list(folder / f"{split}.csv", part)
    assert data.load(str(folder)).digests == column.digests


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([("a000.png", "А", "train"), ("a000.png", "А", "test")], ("file", "label", "split"),
         "images/a000.png is listed in two splits, train and test; leave it in one"),
        ([("a000.png", "А", "test"), ("b000.png", "Б", "test")], ("file", "label", "split"),
         "no train split"),
        ([("a000.png", 3, 4)], ("file", "width", "height"),
         "which column is their class is not sure: file, width, height; call it label"),
        ([("x.png", "А"), ("y.png", "Б")], ("file", "label"), "none of the 2 pictures"),
        ([("a000.png", "А"), ("a004.png", "А")], ("file", "label"), "only one class"),
        ([("a000.png", "А"), ("b000.png",)], ("file", "label"), "row 2: 1 cells where"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_work_is_one_error_with_the_cure(flat, rows, header, words):
    folder, _ = flat
    path = write_list(folder / "labels.csv", rows, header)
    with pytest.raises(DataError, match=words):
        data.load(str(path))


def test_folders_of_classes_are_taken_before_a_list_that_says_the_same(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "letters")
    path = write_list(tmp_path / "letters" / "list.csv", [("А/000.png", "А"), ("Б/000.png", "Б")])
    with pytest.warns(
        UserWarning, match=r"list list\.csv is not read: the folders are the classes"
    ):
        found = data.load(str(tmp_path / "letters"))
    assert found.digests == data.load(str(drawn)).digests
    write_list(path, [("А/000.png", "a letter"), ("Б/000.png", "Б")])
    with pytest.raises(DataError, match=r"list\.csv says other classes of them; name the list"):
        data.load(str(tmp_path / "letters"))


def test_folders_that_are_no_classes_are_looked_through_where_the_list_is_named(flat):
    folder, shown = flat
    (folder / "part_1").mkdir()
    for name in list(shown)[::2]:
        (folder / "images" / name).rename(folder / "part_1" / name)
    path = write_list(folder / "metadata.csv", shown.items(), ("image_id", "dx"))
    with pytest.raises(DataError, match="name the list"):
        data.load(str(folder))
    assert len(data.load(str(path)).class_names) == 3


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("filename,x,y,w,h,category\nimages/a000.png,1,2,3,4,cat\n", "category"),
        ("ClassId,Path\n7,images/a000.png\n", "ClassId"),
        ("Unnamed: 0,filename,kind\n0,images/a000.png,7\n", "kind"),
        ("image_id,name\na000,Anna\n", "name"),
        ('filename, label\nimages/a000.png, "cat, big"\n', "label"),
        ("filename,label\nimages/a000.png,cat,\n", "label"),
    ],
)
def test_the_column_of_classes_is_found_and_said(flat, text, label):
    folder, _ = flat
    more = text.partition("\n")[2].replace("a000", "b000")
    for old, new in (("cat", "dog"), ("7", "8"), ("Anna", "Bert")):
        more = more.replace(old, new)
    again = text.partition("\n")[2].replace("000", "004")
    (folder / "labels.csv").write_text(text + more + again)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = data.load(str(folder / "labels.csv"))
    assert found.survey is not None
    assert found.survey.prepared.endswith(f"the class is the column called {label!r}")
    assert len(found.class_names) == 2


def test_an_index_is_no_class(flat):
    folder, shown = flat
    names = list(shown)
    rows = [(index, name, shown[name]) for index, name in enumerate(names)]
    write_list(folder / "train.csv", rows[6:], ("id", "filename", "label"))
    write_list(folder / "test.csv", [row[:2] for row in rows[:6]], ("id", "filename"))
    with pytest.warns(UserWarning, match=r"list test\.csv says no classes, and is left out"):
        found = data.load(str(folder))
    assert len(found.train) + len(found.test) == 30


def test_no_other_picture_is_taken_for_one_that_is_not_there(flat, digits_run):
    folder, shown = flat
    names = list(shown)
    (folder / "more").mkdir()
    (folder / "images" / names[0]).rename(folder / "more" / names[0])
    rows = [(f"images/{name}", letter) for name, letter in shown.items()]
    path = write_list(folder / "labels.csv", rows)
    with pytest.warns(
        UserWarning, match=f"left out: 1; the first one is images/{names[0]}: no file"
    ):
        assert len(data.load(str(path)).train) == 29
    # With the folders of another machine in front, the one that fits best is meant.
    rows = [(f"/home/anna/more/{name}", letter) for name, letter in shown.items()]
    assert data.load(str(write_list(path, rows))).survey.left_out == ()


@pytest.mark.parametrize("kind", ["absolute", "upper case", "composed", "a link", "zeros lost"])
def test_names_are_found_as_systems_and_tables_spell_them(flat, tmp_path_factory, kind):
    folder, shown = flat
    rows = {name: (name, letter) for name, letter in shown.items()}
    where = folder
    if kind == "absolute":
        where = tmp_path_factory.mktemp("elsewhere")
        rows = {name: (folder / "images" / name, letter) for name, letter in shown.items()}
    elif kind == "a link":
        (folder / "images").rename(tmp_path_factory.mktemp("elsewhere") / "images")
        (folder / "images").symlink_to(sorted(tmp_path_factory.getbasetemp().glob(
            "elsewhere*/images"))[-1])  # fmt: skip
    for index, name in enumerate(shown):
        path = folder / "images" / name
        if kind == "upper case":
            path.rename(path.with_name(name.upper()))
        elif kind == "composed":
            path.rename(path.with_name(unicodedata.normalize("NFD", f"ü{name}")))
            rows[name] = (unicodedata.normalize("NFC", f"ü{name}"), shown[name])
        elif kind == "zeros lost":
            path.rename(path.with_name(f"{index:05}{path.suffix}"))
            rows[name] = (float(index) if index % 2 else index, shown[name])
    path = write_list(where / "labels.csv", rows.values())
    found = data.load(str(path))
    assert found.survey is not None
    assert (len(found.train) + len(found.test), found.survey.left_out) == (36, ())


@pytest.mark.parametrize("layout", ["cifar", "gtsrb", "hugging face", "annotations"])
def test_splits_are_found_as_they_are_passed_around(flat, layout):
    folder, shown = flat
    images, test = folder / "images", list(shown)[::3]
    train = [name for name in shown if name not in test]
    for split, names in (("train", train), ("test", test)):
        (folder / split).mkdir()
        for index, name in enumerate(names):
            called = f"{index}.png" if layout == "cifar" else name
            shutil.copy(images / name, folder / split / called)
    if layout != "annotations":
        shutil.rmtree(images)
    if layout == "cifar":
        rows = [(index, shown[name]) for index, name in enumerate(train)]
        write_list(folder / "trainLabels.csv", rows, ("id", "label"))
        rows = [(index, "А") for index in range(len(test))]
        write_list(folder / "sampleSubmission.csv", rows, ("id", "label"))
    elif layout == "gtsrb":
        for split, names in (("train", train), ("test", test)):
            rows = [(shown[name], f"{split}/{name}") for name in names]
            write_list(folder / f"{split.title()}.csv", rows, ("ClassId", "Path"))
    elif layout == "hugging face":
        for split, names in (("train", train), ("test", test)):
            rows = [(name, shown[name]) for name in names]
            write_list(folder / split / "metadata.csv", rows, ("file_name", "label"))
    else:
        shutil.rmtree(folder / "train")
        shutil.rmtree(folder / "test")
        (folder / "annotations").mkdir()
        write_list(folder / "annotations" / "labels.csv", shown.items())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = data.load(str(folder))
    counts = {"cifar": 24, "annotations": 36}.get(layout, 36)
    assert len(found.train) + len(found.test) == counts
    assert found.survey is not None
    given = "train, test as given" in found.survey.division
    assert given == (layout in ("gtsrb", "hugging face"))


def test_two_lists_of_one_split_are_refused(flat):
    folder, shown = flat
    for name in ("train.csv", "train_set.csv"):
        write_list(folder / name, shown.items())
    with pytest.raises(DataError, match="two lists for one split"):
        data.load(str(folder))


def test_what_lenet_answered_is_never_taken_for_classes(digits_run, flat):
    folder, _ = flat
    out = folder / "answers.csv"
    code, _, err = run_lenet("predict", digits_run.path, folder / "images", "--out", out)
    assert code == 0, err
    for path in (out, folder / "answers.csv.errors.csv"):
        assert not may_be_list(path)
    with pytest.raises(DataError, match="only one class, 'images'"):
        data.load(str(folder))


def test_tables_of_pixels_and_of_other_things_are_no_lists(tmp_path):
    (tmp_path / "img").mkdir()
    for index in range(10):
        (tmp_path / "img" / f"{index}.png").touch()
    pixels = ",".join(f"p{index}" for index in range(49))
    for name, text in {
        "pixels": f"label,{pixels}\n" + f"7{',0' * 49}\n",
        "indexed": f"id,label,{pixels}\n" + f"5,7{',0' * 49}\n",
        "empty": "",
        "binary": "filename,label\n\0\0\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(text)
        assert not may_be_list(tmp_path / f"{name}.csv"), name
    (tmp_path / "words.csv").write_text("name,label\nAnna,3\nBert,4\n")
    assert find_lists(tmp_path) == []
    with pytest.raises(DataError, match="none of the 2 pictures that it lists"):
        data.load(str(tmp_path / "words.csv"))


def test_what_a_list_names_is_answered(digits_run, flat):
    folder, shown = flat
    names = list(shown)[:3]
    path = write_list(folder / "test.csv", [*([name] for name in names), ["nope.png"]], ["id"])
    code, out, err = run_lenet("predict", digits_run.path, path, "--format", "csv")
    assert (code, f"nope.png: no file of this name is in {folder} or below" in err) == (3, True)
    answered = [row["path"] for row in csv.DictReader(out.splitlines())]
    assert answered == [str(folder / "images" / name) for name in names]
    paths = [str(folder / "images" / name) for name in names]
    assert out == run_lenet("predict", digits_run.path, *paths, "--format", "csv")[1]


def test_a_folder_without_pictures_is_looked_through_once(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(places, "visible", lambda folder: looks.append(folder) or [])
    found = places.Places(tmp_path)
    assert [list(found.of(name, tmp_path)) for name in ("a.png", "b.png")] == [[], []]
    assert looks == [tmp_path]
