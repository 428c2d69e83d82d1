"""`lenet predict`: from files to answers, in bulk, stopped and gone on with."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import hostile
import numpy as np
import pytest
from conftest import need_module, run_lenet, train_run
from pages import shortened
from PIL import Image
from predicting import content, dark_digit, predict, rows_of
from sklearn.datasets import load_digits

import lenet
from lenet import cli
from lenet.errors import FormatError, InputError, PartialError, UsageError
from lenet.prediction import bulk
from lenet.prediction.bulk import attempt, formats, inputs
from lenet.prediction.bulk.rows import MOST_FRUITLESS, read_rows
from lenet.prediction.network import BATCH, Answer, Network, Prepared, answer, probabilities
from lenet.system.tasks import Outcome

PICTURES = 240


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Real digits as PNG files in two folders, dark on light, larger than the network's."""
    folder = tmp_path_factory.mktemp("inputs") / "pictures"
    (folder / "b").mkdir(parents=True)
    for index in range(PICTURES):
        dark_digit(index).save(folder / ("b" if index % 3 == 0 else ".") / f"{index:03d}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def whole(digits_run, pictures, tmp_path_factory):
    """A folder of predictions that was never disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, text, err = run_lenet(
        "predict", digits_run.path, pictures, "--out", out, "--shard-rows", 10
    )
    assert code == 0, err
    assert text == f"{PICTURES} images answered: {out}\n"
    assert f"{PICTURES}/{PICTURES} images" in err
    return out


# One picture, and how answers are shown


def test_one_picture_is_answered_in_a_table(digits_run, pictures):
    code, out, err = predict(digits_run.path, pictures / "001.png", "--top", 2)
    assert (code, err) == (0, "")
    heading, row = out.splitlines()
    assert heading.split() == ["path", "class", "probability", "class_2", "probability_2", "notes"]
    shown = re.fullmatch(
        rf"{pictures}/001.png +(\d) +(0\.\d{{4}}) +(\d) +(0\.\d{{4}}) +dark.*", row
    )
    found = lenet.load(digits_run.path).predict(pictures / "001.png", top=2)
    assert shown.groups() == (
        found.classes[0], f"{found.probabilities[0]:.4f}",
        found.classes[1], f"{found.probabilities[1]:.4f}",
    )  # fmt: skip


def test_answers_are_right_about_as_often_as_the_run_is(whole):
    rows = [row for path in sorted((whole / "shards").iterdir()) for row in rows_of(path)]
    labels = load_digits().target[:PICTURES]
    right = sum(int(row["class"]) == labels[int(Path(row["path"]).stem)] for row in rows)
    assert len(rows) == PICTURES
    assert right > 0.6 * PICTURES


def test_csv_and_json_lines_are_printed_with_full_paths(digits_run, pictures):
    code, out, _ = predict(digits_run.path, pictures / "b", "--format", "csv", "--quiet")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["path"] for row in rows] == sorted(map(str, (pictures / "b").iterdir()))
    code, out, _ = predict(digits_run.path, pictures / "b", "--format", "jsonl", "--quiet")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [{**row, "probability": str(row["probability"])} for row in lines] == rows


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_format_holds_the_same_answers(digits_run, pictures, whole, tmp_path, kind):
    if kind == "parquet":
        need_module("pyarrow", "pip install 'lenet[parquet]'")
    out = tmp_path / f"answers.{kind}"
    code, text, err = predict(digits_run.path, pictures, "--out", out, "--quiet")
    assert (code, err) == (0, "")
    assert text == f"{PICTURES} images answered: {out}\n"
    assert list(formats.read(out, kind)) == list(bulk.PredictionFolder(whole).rows())
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_any_script_and_any_name_comes_back_as_it_went_in(tmp_path, kind):
    if kind == "parquet":
        need_module("pyarrow", "pip install 'lenet[parquet]'")
    odd = 'a "b", c\nd\r.png'
    answers = [
        Answer(odd, ('Größe, "9"', "衬衫"), (0.75, 0.25), ("ä", "b; c")),
        Answer(os.fsdecode(b"\xff.png"), ("衬衫", "=1+1"), (1.0, 1e-9)),
    ]
    path = tmp_path / f"x.{kind}"
    path.write_bytes(formats.encode(answers, 2, kind))
    first, second = formats.read(path, kind)
    assert list(first) == ["path", "class", "probability", "class_2", "probability_2", "notes"]
    assert list(first.values()) == [odd, 'Größe, "9"', 0.75, "衬衫", 0.25, "ä; b; c"]
    assert list(second.values()) == ["\\xff.png", "衬衫", 1.0, "=1+1", 1e-9, ""]
    if kind != "parquet":
        assert "衬衫" in path.read_text(encoding="utf-8")


def test_without_pyarrow_parquet_says_how_to_get_it(monkeypatch, digits_run, pictures, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UsageError, match=r"missing; install it with: pip install 'lenet\[parquet\]"
    ):
        bulk.predict(digits_run.path, [str(pictures)], tmp_path / "x.parquet")


# What is found where


def test_a_folder_means_its_pictures_in_order_and_what_is_named_is_taken(digits_run, pictures):
    found = [piece.name for piece in inputs.find([str(pictures)])]
    assert found == sorted(found)
    assert len(found) == PICTURES
    code, out, err = predict(digits_run.path, pictures / "notes.txt")
    assert code == 3
    assert out == f"{pictures}/notes.txt: not a picture in a format that is known\n"
    assert "1 of 1 inputs could not be used" in err


def test_a_pattern_is_sorted_and_may_reach_down(pictures):
    below = [piece.name for piece in inputs.find([f"{pictures}/**/00[0-4].png"])]
    names = ("001.png", "002.png", "004.png", "b/000.png", "b/003.png")
    assert below == [str(pictures / name) for name in names]


@pytest.mark.parametrize("pattern", ["**", "**/*", "*"])
def test_a_pattern_that_finds_folders_and_what_is_in_them_names_each_file_once(tmp_path, pattern):
    for name in ("a.png", "b/a.png", "b/c/a.png", "b/c/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [piece.name for piece in inputs.find([f"{tmp_path}/{pattern}"])]
    expected = ["a.png", "b/a.png", "b/c/a.png"] + ["b/c/notes.txt"] * ("**" in pattern)
    assert found == [f"{tmp_path}/{name}" for name in expected]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.png", "nothing.png: there is no such file or folder; check the path"),
        ("*.none", r"\*.none: no file has such a name; is the pattern right\?"),
        ("empty", "empty: no picture is there"),
    ],
)
def test_nothing_to_do_is_said_and_leaves_nothing(digits_run, tmp_path, path, message):
    (tmp_path / "empty").mkdir()
    code, _, err = predict(digits_run.path, path, "--out", "out", cwd=tmp_path)
    assert code == 2
    assert re.match(f"lenet: error: {message}", err)
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]


@pytest.mark.thorough
def test_the_standard_input_is_a_picture_or_a_list_of_paths(digits_run, pictures, tmp_path):
    picture = (pictures / "001.png").read_bytes()
    expected = predict(digits_run.path, pictures / "001.png", "--format", "csv")[1]
    done = subprocess.run(
        [sys.executable, "-m", "lenet", "predict", str(digits_run.path), "-", "--format", "csv"],
        input=picture, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == expected.replace(str(pictures / "001.png"), "-")
    names = f"{pictures}/001.png\r\n\n{'x' * 300}\n{pictures}/b\n{tmp_path}/gone.png"
    (tmp_path / "list").write_text(names)
    with open(tmp_path / "list", "rb") as file:
        code, out, err = predict(digits_run.path, "-", "--format", "csv", "--quiet", stdin=file)
    assert code == 3
    assert f"lenet: {tmp_path}/gone.png: cannot be opened: No such file or directory" in err
    assert "xxx: cannot be opened: File name too long" in err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["path"] for row in rows[:2]] == [f"{pictures}/001.png", f"{pictures}/b/000.png"]
    assert len(rows) == 1 + PICTURES // 3


@pytest.mark.parametrize("suffix", sorted(hostile.FORMATS))
def test_a_picture_of_each_format_is_known_at_the_standard_input(suffix):
    drawing = hostile.Maker(Path(), np.random.default_rng(0), {}).drawing()
    data = hostile.encode(drawing, suffix)
    (piece,) = inputs.find(["-"], io.BytesIO(data))
    assert piece.content == data


@pytest.mark.parametrize("blocks", [1, 7, 1 << 20])
def test_a_long_list_of_paths_is_read_in_pieces(tmp_path, monkeypatch, blocks):
    monkeypatch.setattr(inputs, "SNIFFED", blocks)
    names = [f"{tmp_path}/{index}é.png" for index in range(50)]
    found = inputs.find(["-"], io.BytesIO("\n".join(names).encode()))
    assert [piece.name for piece in found] == names


def test_a_list_of_paths_may_begin_with_a_byte_order_mark():
    found = inputs.find(["-"], io.BytesIO(b"\xef\xbb\xbfa.png\nb.png\n"))
    assert [piece.name for piece in found] == ["a.png", "b.png"]


def test_a_last_line_without_an_end_is_read_as_the_others():
    found = inputs.find(["-"], io.BytesIO(b"a.png\r\nb.png\r"))
    assert [piece.name for piece in found] == ["a.png", "b.png"]
    assert [piece.name for piece in inputs.find(["-"], io.BytesIO(b"a.png\n  "))] == ["a.png"]


# The list of inputs and its shards


def test_shards_are_slices_of_the_list_wherever_files_of_images_begin(tmp_path):
    pieces = [
        inputs.Piece("a.png"), inputs.Piece("b.npy", 0, 23), inputs.Piece("empty.npy", 0, 0),
        inputs.Piece("ç\n.png"), inputs.Piece("d.npy", 0, 5), inputs.Piece("-", content=b"\0\xff"),
    ]  # fmt: skip
    everything = [row for piece in pieces for row in flat(piece)]
    for size in (1, 2, 3, 7, 24, 31, 100):
        listing = inputs.write_listing(pieces, tmp_path / "list", size)
        assert listing.rows == len(everything) == 31
        assert len(listing) == -(-31 // size)
        shards = [[row for piece in shard for row in flat(piece)] for shard in listing]
        assert [row for shard in shards for row in shard] == everything
        assert [len(shard) for shard in shards] == [listing.count(n) for n in range(len(listing))]


def flat(piece):
    if piece.start is None:
        return [(piece.name, piece.content)]
    return [(piece.name, row) for row in range(piece.start, piece.stop)]


@pytest.mark.parametrize(
    ("rows", "shard_rows"), [(5, 100), (6400, 100), (64_000, 1000), (10**6, 5000)]
)
def test_the_size_of_a_shard_depends_on_the_inputs_alone(tmp_path, rows, shard_rows):
    listing = inputs.write_listing([inputs.Piece("a.npy", 0, rows)], tmp_path / "list")
    assert listing.shard_rows == shard_rows


def test_the_digest_of_the_list_changes_with_a_file(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    digests = set()
    for data, moment in ((b"one", 1), (b"three", 1), (b"three", 2)):
        picture.write_bytes(data)
        os.utime(picture, (moment, moment))
        digests.add(inputs.write_listing(inputs.find([str(picture)]), tmp_path / "list").digest)
    assert len(digests) == 3


# Files of images


def test_images_in_the_networks_shape_are_taken_as_they_are(digits_run, digits_model, tmp_path):
    from lenet import data

    test = data.load("digits").test
    np.save(tmp_path / "test.npy", test.images)
    code, out, err = predict(digits_run.path, tmp_path / "test.npy", "--format", "jsonl", "--quiet")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["path"] for row in rows] == [
        f"{tmp_path}/test.npy#{index}" for index in range(len(test))
    ]
    right = sum(int(row["class"]) == label for row, label in zip(rows, test.labels, strict=True))
    assert right == len(test) - digits_model.evaluate().misses


def test_images_of_another_shape_are_prepared_as_pictures(digits_run, pictures, tmp_path):
    names = ["001.png", "002.png"]
    images = np.stack([np.asarray(Image.open(pictures / name)) for name in names])
    np.save(tmp_path / "large.npy", images)
    code, out, _ = predict(digits_run.path, tmp_path / "large.npy", "--format", "csv")
    assert code == 0
    found = list(csv.DictReader(io.StringIO(out)))
    run = lenet.load(digits_run.path)
    answers = run.predict([pictures / name for name in names])
    assert [float(row["probability"]) for row in found] == [each.probability for each in answers]
    assert [row["notes"] for row in found] == ["; ".join(each.notes) for each in answers]


def test_what_a_mac_leaves_in_folders_is_passed_over(digits_run, pictures, tmp_path):
    for name in ("1.png", "__MACOSX/2.png", "below/._3.png", "._4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(pictures / "001.png", tmp_path / name)
    code, out, err = predict(digits_run.path, tmp_path, "--format", "csv")
    assert (code, err) == (0, "")
    assert [row["path"] for row in csv.DictReader(io.StringIO(out))] == [str(tmp_path / "1.png")]
    named = tmp_path / "._4.png"
    assert predict(digits_run.path, named, "--format", "csv")[1].count(str(named)) == 1


def test_a_table_shows_the_answers_beside_names_of_any_length(digits_run, pictures, tmp_path):
    folder = tmp_path / ("long name " * 20) / ("of a folder " * 15)
    folder.mkdir(parents=True)
    shutil.copy(pictures / "001.png", folder)
    code, out, err = predict(digits_run.path, folder, "--top", 2)
    assert code == 0, err
    heading, line = out.splitlines()
    assert heading.split()[:5] == ["path", "class", "probability", "class_2", "probability_2"]
    answer = lenet.load(digits_run.path).predict(folder / "001.png")
    found = line.removeprefix(f"{folder}/001.png").split()
    assert found[:2] == [answer.class_name, f"{answer.probability:.4f}"]
    assert line.endswith("; ".join(answer.notes))


def table_of_digits(path, bad=()):
    """A CSV of the first 40 digits, 8x8 numbers each, and lines that are damaged."""
    rows = (load_digits().images[:40] * (255 / 16)).astype(int).reshape(40, 64)
    lines = [",".join(map(str, row)) for row in rows]
    for index in bad:
        lines[index] = "999" + lines[index][lines[index].index(",") :]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("shard_rows", [3, 100])
def test_a_damaged_row_is_isolated_however_rows_are_read_together(digits_run, tmp_path, shard_rows):
    table_of_digits(tmp_path / "bad.csv", bad=(0, 17, 39))
    out = tmp_path / "out.csv"
    words = ("--out", out, "--shard-rows", shard_rows, "--quiet")
    code, _, err = predict(digits_run.path, tmp_path / "bad.csv", *words)
    assert code == 3
    assert "3 of 40 inputs could not be used" in err
    bad = [int(row["path"].partition("#")[2]) for row in rows_of(tmp_path / "out.csv.errors.csv")]
    good = [int(row["path"].partition("#")[2]) for row in rows_of(out)]
    assert bad == [0, 17, 39]
    assert sorted(good + bad) == list(range(40))


class BrokenFile:
    """Rows from `broken` on cannot be read; counts how often somebody tries."""

    def __init__(self, broken):
        self.broken, self.calls = broken, 0

    def blocks(self, size, start, stop):
        self.calls += 1
        for row in range(start, stop, size):
            last = min(row + size, stop)
            if last > self.broken:
                raise FormatError(f"row {self.broken} is damaged")
            yield type("Block", (), {"images": np.zeros((last - row, 1, 8, 8), np.uint8)})


def test_a_file_that_breaks_off_is_given_up_after_a_few_rows(monkeypatch):
    images = BrokenFile(300)
    monkeypatch.setattr("lenet.prediction.bulk.rows._open", lambda path, network: images)
    found = list(read_rows(Path("x"), None, 0, 1000))
    assert [row for row, _ in found] == list(range(1000))
    assert sum(isinstance(each, FormatError) for _, each in found) == 700
    assert images.calls <= MOST_FRUITLESS + 3


def test_a_row_that_was_not_looked_at_is_not_called_damaged(digits_run, tmp_path):
    rows = np.zeros((40, 28, 28))
    rows[10:20] = np.nan
    np.save(tmp_path / "gap.npy", rows)
    out = tmp_path / "out.csv"
    code, _, _ = predict(digits_run.path, tmp_path / "gap.npy", "--out", out, "--quiet")
    reasons = [row["reason"] for row in rows_of(tmp_path / "out.csv.errors.csv")]
    assert code == 3
    assert set(reasons[:8]) == {"a pixel is not a finite number"}
    assert set(reasons[8:]) == {
        "not looked at: none of the 8 rows before could be used, the last of them for: a pixel is "
        "not a finite number; mend those or leave them out"
    }


def test_a_pixel_that_is_no_number_is_the_fault_of_its_row_alone(digits_run, tmp_path):
    rows = np.full((40, 28, 28), 200.0)
    rows[17, 3, 3] = np.nan
    np.save(tmp_path / "hole.npy", rows)
    out = tmp_path / "out.csv"
    code, _, _ = predict(digits_run.path, tmp_path / "hole.npy", "--out", out, "--quiet")
    (bad,) = rows_of(tmp_path / "out.csv.errors.csv")
    assert (code, len(rows_of(out))) == (3, 39)
    assert bad["path"].endswith("hole.npy#17")
    assert bad["reason"] == "a pixel is not a finite number"


def test_a_file_of_images_that_cannot_be_opened_does_not_stop_the_others(
    digits_run, pictures, tmp_path
):
    (tmp_path / "bad.npz").write_bytes(b"PK, but no zip")
    code, out, err = predict(
        digits_run.path, tmp_path / "bad.npz", pictures / "001.png", "--format", "csv"
    )
    assert code == 3
    assert len(out.splitlines()) == 2
    assert f"lenet: {tmp_path}/bad.npz: not an .npz file" in err


# In bulk


def test_the_folder_says_what_it_holds(whole, digits_run):
    names = {path.name for path in whole.iterdir()} - {".lock"}
    assert names == {
        "manifest.json", "inputs.jsonl", "shards", "problems", "digests", "errors.csv",
        "receipt.json",
    }  # fmt: skip
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["inputs"]["images"] == PICTURES
    assert manifest["output"] == {"format": "csv", "top": 1, "shard_rows": 10, "shards": 24}
    assert len(list((whole / "shards").iterdir())) == 24
    assert (whole / "errors.csv").read_text() == "path,reason\n"
    (session,) = json.loads((whole / "receipt.json").read_text())["sessions"]
    assert session["images"] == PICTURES
    assert set(session["seconds_by_part"]) == {"reading", "preparation", "network", "writing"}


def test_answers_depend_on_no_number_of_processes_and_no_size_of_shard(
    digits_run, pictures, whole, tmp_path
):
    expected = list(bulk.PredictionFolder(whole).rows())
    for processes, size in ((1, 7), (3, 100), (2, 1000)):
        out = tmp_path / f"{size}"
        bulk.predict(digits_run.path, [str(pictures)], out, processes=processes, shard_rows=size)
        assert list(bulk.PredictionFolder(out).rows()) == expected


def test_an_answer_does_not_depend_on_its_neighbours(digits_run):
    network = Network.of(digits_run.checkpoint())
    dice = np.random.default_rng(0)
    images = dice.integers(0, 256, (BATCH + 9, *network.spec.input_shape), np.uint8)
    together = probabilities(network, images)
    for index in (0, 1, 100, BATCH - 1, BATCH, BATCH + 8):
        assert (probabilities(network, images[index : index + 1]) == together[index]).all()
    assert probabilities(network, images[:0]).shape == (0, network.spec.classes)
    assert list(answer(network, [], 1)) == []
    (one,) = answer(network, [Prepared("x", images[3])], network.spec.classes)
    assert list(one.probabilities) == sorted(one.probabilities, reverse=True)
    assert sum(one.probabilities) == pytest.approx(1.0, abs=1e-5)


def test_a_second_start_repeats_nothing_and_does_what_is_missing(
    digits_run, pictures, whole, tmp_path
):
    out = tmp_path / "out"
    words = (digits_run.path, pictures, "--out", out, "--shard-rows", 10)
    assert predict(*words)[0] == 0
    removed = [out / "shards" / "00003.csv", out / "errors.csv"]
    for path in removed:
        path.unlink()
    (out / "shards" / ".00003.csv.99999.partial").write_text("half a sha")
    before = {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.csv")}
    code, _, err = predict(*words)
    assert (code, err) == (0, "")
    after = {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.csv")}
    assert {name for name in after if after[name] != before.get(name)} == {"00003.csv"}
    assert content(out) == content(whole)
    assert len(json.loads((out / "receipt.json").read_text())["sessions"]) == 2


def test_other_inputs_another_network_or_format_are_refused_with_the_cure(
    digits_run, pictures, whole, tmp_path
):

    other = train_run(data="digits", out=tmp_path / "run", epochs=1, seed=9)
    asked = "another format, another --top or another --shard-rows was asked for"
    cases = [
        (digits_run.path, pictures / "b", [], "the inputs have changed since"),
        (other.path, pictures, [], "another network, or a later checkpoint of it, began here (sha"),
        (digits_run.path, pictures, ["--top", 2], f"{asked} (top 1 then, 2 now)"),
        (digits_run.path, pictures, ["--format", "jsonl"], f"{asked} (format csv then, jsonl now)"),
    ]
    before = content(whole)
    for run, path, words, reason in cases:
        code, _, err = predict(run, path, "--out", whole, "--shard-rows", 10, *words)
        assert code == 2
        assert f"{whole}: cannot go on here: {reason}" in err
        assert "choose another --out, or remove this folder" in err
    assert content(whole) == before


def test_a_file_starts_over_where_a_folder_refuses(digits_run, pictures, tmp_path, monkeypatch):
    out = tmp_path / "x.csv"

    def stop(function, items, **_):
        yield Outcome(0, function(items[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", stop)
    with pytest.raises(KeyboardInterrupt):
        bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=10)
    assert [path.name for path in tmp_path.iterdir()] == [".x.csv.partial"]
    monkeypatch.undo()
    outcome = bulk.predict(digits_run.path, [str(pictures / "b")], out, shard_rows=10)
    assert outcome.answers == len(rows_of(out)) == PICTURES // 3
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.png"], "lenet writes .csv, .jsonl and .parquet files, and folders"),
        (["--out", "x.csv", "--format", "jsonl"], "do not agree; leave out --format"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--each", "--processes", "2"], "--each works here: leave out --processes"),
        (["--stages", "--shard-rows", "9"], "--stages works here: leave out --processes"),
        (["--out", "-"], "to print the answers, leave out --out and name --format csv"),
        (["--format", "parquet"], "no text to print; name a file with --out"),
        (["--top", "11"], "top = 11: this network has 10 classes"),
        (["--out", "full"], "full: already there, and not a folder of lenet predictions"),
        (["--out", "folder.csv"], "folder.csv: a folder with the name of a file"),
        (["--stages", "--out", "x.nothing"], "x.nothing: this figure cannot be written"),
        (["--stages", "another.png"], "--stages draws one picture, not 2; name one"),
    ],
)
def test_what_cannot_work_is_refused(digits_run, pictures, tmp_path, words, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    (tmp_path / "folder.csv").mkdir()
    code, _, err = predict(digits_run.path, pictures / "001.png", *words, cwd=tmp_path)
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"full", "folder.csv"}


def test_one_process_at_a_time_predicts_into_a_folder(digits_run, pictures, whole):
    with bulk.PredictionFolder(whole).lock():
        code, _, err = predict(digits_run.path, pictures, "--out", whole, "--shard-rows", 10)
    assert code == 2
    assert f"{whole}: another process predicts into this folder; wait for it" in err


def test_a_shard_that_cannot_be_done_is_said_and_the_others_are_kept(
    digits_run, pictures, whole, tmp_path, monkeypatch
):
    def lose_one(function, items, **_):
        for index, item in enumerate(items):
            if index == 2:
                yield Outcome(index, error="its process died 3 times in a row")
            else:
                yield Outcome(index, function(item))

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", lose_one)
    outcome = bulk.predict(digits_run.path, [str(pictures)], tmp_path / "out", shard_rows=10)
    assert (outcome.answers, outcome.left) == (PICTURES - 10, 10)
    with pytest.raises(
        PartialError, match=r"1 shards could not be done.*number 2: its process died"
    ):
        outcome.check()
    assert not (tmp_path / "out" / "errors.csv").exists()
    monkeypatch.undo()
    bulk.predict(digits_run.path, [str(pictures)], tmp_path / "out", shard_rows=10).check()
    assert content(tmp_path / "out") == content(whole)


def test_where_every_shard_fails_nothing_is_said_to_be_answered(
    digits_run, pictures, tmp_path, monkeypatch, capsys
):
    def lose_all(function, items, **_):
        yield from (Outcome(index, error="its process died") for index, _ in enumerate(items))

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", lose_all)
    words = ["lenet", "predict", str(digits_run.path), str(pictures), "--shard-rows", "10"]
    for more, said in (
        (["--out", f"{tmp_path}/x.csv"], f"0 of {PICTURES} images answered so far; "),
        ([], ""),
    ):
        monkeypatch.setattr("sys.argv", [*words, *more])
        assert cli._run() == 3  # without the handlers of signals that `main` leaves to the process
        out, err = capsys.readouterr()
        assert (said in out, out == "") == (True, not said)
        assert "number 0: its process died" in err


def test_each_answers_for_all_that_is_named_and_says_what_it_cannot_use(
    digits_run, pictures, tmp_path
):
    folder = tmp_path / "some"
    folder.mkdir()
    for index in (1, 2):
        dark_digit(index).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"no picture")
    code, out, err = predict(digits_run.path, folder, "--each")
    assert code == 3
    assert out.count(f"{folder}/1.png") == out.count(f"{folder}/2.png") == 1
    assert "3.png: not a picture" in err
    assert predict(digits_run.path, f"{folder}/[12].png", "--each")[:2] == (0, out)
    listed = "\n".join(f"{folder}/{index}.png" for index in (1, 2))
    (tmp_path / "list").write_text(listed)
    with open(tmp_path / "list", "rb") as file:
        assert predict(digits_run.path, "-", "--each", stdin=file)[:2] == (0, out)
    code, out, err = predict(digits_run.path, folder / "3.png", "--each")
    assert (code, out) == (3, "")
    assert err.splitlines()[0].endswith("/3.png: not a picture in a format that is known")
    assert "1 of 1 pictures could not be used" in err


def test_each_answers_for_programs_too_with_a_column_for_every_part_of_the_place(
    digits_run, tmp_path
):
    page = Image.new("L", (300, 120), 255)
    for index in (1, 2, 3):
        page.paste(dark_digit(index).resize((48, 48)), (70 * index - 24, 36))
    page.save(tmp_path / "page.png")
    found = lenet.load(digits_run.path).predict_each(tmp_path / "page.png", top=2)
    assert [each.box.left for each in found] == [57, 125, 191]
    words = (digits_run.path, tmp_path / "page.png", "--each", "--top", "2", "--format")
    rows = list(csv.DictReader(io.StringIO(predict(*words, "csv")[1])))
    lines = [json.loads(line) for line in predict(*words, "jsonl")[1].splitlines()]
    names = ["path", "left", "top", "width", "height", "class", "probability"]
    assert list(rows[0]) == list(lines[0]) == [*names, "class_2", "probability_2", "notes"]
    for each, row, line in zip(found, rows, lines, strict=True):
        box = each.box
        assert [line[name] for name in names] == [
            str(tmp_path / "page.png"), box.left, box.top, box.width, box.height,
            each.class_name, each.probability,
        ]  # fmt: skip
        assert row == {name: str(value) for name, value in line.items()}
    assert predict(*words, "parquet")[0] == 2


# In Python, and as a figure


def test_python_gets_an_answer_for_one_picture_and_a_list_for_several(digits_run, pictures):
    run = lenet.load(digits_run.path)
    path = pictures / "001.png"
    one = run.predict(path)
    assert (one.class_name, one.probability) == (one.classes[0], one.probabilities[0])
    assert len(one.classes) == 1
    array = np.asarray(Image.open(path))
    several = run.predict([path, str(path), path.read_bytes(), array, array[None]], top=3)
    assert len({each.probabilities for each in several}) == 1
    assert {len(each.classes) for each in several} == {3}
    assert several[0].classes[0] == one.class_name
    assert run.predict(np.stack([array[None]] * 2))[1].probabilities == one.probabilities
    assert run.predict([]) == []


def test_python_hears_of_what_is_no_picture(digits_run, pictures, tmp_path):
    run = lenet.load(digits_run.path)
    with pytest.raises(FormatError, match=r"notes.txt: not a picture in a format that is known"):
        run.predict([pictures / "001.png", pictures / "notes.txt"])
    with pytest.raises(FormatError, match=r"gone.png: cannot be opened: No such file"):
        run.predict(tmp_path / "gone.png")
    with pytest.raises(FormatError, match="picture 0: blank: nothing stands out"):
        run.predict(np.zeros((8, 8)))
    with pytest.raises(UsageError, match="picture 1 is a int: give a path"):
        run.predict([pictures / "001.png", 7])
    content = (pictures / "001.png").read_bytes()
    for given in (io.BytesIO(content), bytearray(content), memoryview(content)):
        with pytest.raises(InputError, match="not several pictures: give one picture's path or b"):
            run.predict(given)
    with pytest.raises(UsageError, match="top = 11: this network has 10 classes"):
        run.predict(pictures / "001.png", top=11)


def test_the_progress_in_a_terminal_names_speed_and_time_left(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with bulk.PredictionProgress() as progress:
        progress.begin(100, 1000, 9)
        progress.update(600, 1000)
    shown = capsys.readouterr().err
    assert re.search(r"600 of 1,000 images", shown)
    assert "images/s" in shown


PAGE = Path(__file__).parents[1] / "docs" / "predict.md"


@pytest.mark.thorough
def test_every_command_and_the_python_of_the_page_run(tmp_path, monkeypatch):
    drawings = tmp_path / "drawings"
    drawings.mkdir()
    images = (255 - load_digits().images[[7, 2]] * (255 / 16)).astype(np.uint8)
    for name, image in zip(("seven", "two"), images, strict=True):
        Image.fromarray(image).resize((64, 64)).save(drawings / f"{name}.png")
    np.save(tmp_path / "scans.npy", images)
    commands = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)[0].splitlines()
    assert len(commands) >= 7
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "lenet"
        code, _, err = run_lenet(*shortened(words[1:]), cwd=tmp_path)
        assert code == 0, f"{command}\n{err}"
    assert len(rows_of(tmp_path / "answers.csv")) == 2
    assert len(list(bulk.PredictionFolder(tmp_path / "answers").rows())) == 4
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(code, "docs/predict.md", "exec"), {})  # noqa: S102 - our own page


def test_the_page_says_what_the_numbers_of_the_code_are():
    page = " ".join(PAGE.read_text().split())
    sizes = (inputs.SHARDS, inputs.LEAST_ROWS, inputs.MOST_ROWS)
    assert "about {} shards of {} to {} images".format(*sizes) in page
    assert f"sat for {attempt.MOST_SECONDS:g} seconds" in page
    for column in formats.columns(1):
        assert f"`{column}`" in page
