"""Where answers may go: nothing of anybody's is lost, and what is damaged is made again."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import need, need_module, run_lenet, start_lenet, workers
from PIL import Image
from sklearn.datasets import load_digits

from lenet.errors import PartialError, UsageError
from lenet.prediction import bulk
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.attempt import Attempt
from lenet.prediction.network import Answer
from lenet.runs import receipt
from lenet.show.figures import Drawer, check_other, check_place, open_figure
from lenet.show.page import write_page
from lenet.show.report import write_report
from lenet.system.tasks import Outcome

PICTURES = 30


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs") / "pictures"
    folder.mkdir()
    for index, digit in enumerate(load_digits().images[:PICTURES]):
        Image.fromarray((digit * (255 / 16)).astype(np.uint8)).save(folder / f"{index:03d}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def here(monkeypatch):
    """Tasks in this process, for what does not depend on where they are done."""

    def run(function, items, **_):
        for index in range(len(items)):
            yield Outcome(index, function(items[index]))

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", run)


@pytest.fixture(scope="module")
def whole(digits_run, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
    return out


def everything(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("receipt.json", ".lock")
    }


# What is not this command's


def test_a_file_that_is_an_input_is_never_written_over(digits_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = (load_digits().images[:40] * (255 / 16)).astype(int).reshape(40, 64)
    Path("mine.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    before = Path("mine.csv").read_bytes()
    code, _, err = run_lenet("predict", digits_run.path, "mine.csv", "--out", "mine.csv")
    assert code == 2
    assert "mine.csv: already there, and not written by lenet predict; choose another" in err
    assert Path("mine.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize("way", ["itself", "link", "pattern", "list"])
def test_answers_that_are_an_input_too_are_never_written_over(
    digits_run, pictures, tmp_path, monkeypatch, here, way
):
    monkeypatch.chdir(tmp_path)
    bulk.predict(digits_run.path, [str(pictures)], "a.csv")
    before = everything(tmp_path)
    Path("link.csv").symlink_to("a.csv")
    named = {"itself": "a.csv", "link": "link.csv", "pattern": "*.csv", "list": "-"}[way]
    Path("list.txt").write_text("a.csv\n")
    message = r"a.csv: it is one of the inputs \((a|link).csv\), which the answers would replace"
    with open("list.txt", "rb") as stdin, pytest.raises(UsageError, match=message):
        bulk.predict(digits_run.path, [str(pictures), named], "a.csv", stdin=stdin)
    assert Path("a.csv").read_bytes() == before["a.csv"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.csv", "a.csv.errors.csv", "link.csv", "list.txt",
    }  # fmt: skip


def test_a_run_and_a_folder_with_a_lock_are_never_taken_for_predictions(
    digits_run, pictures, tmp_path
):
    mine = tmp_path / "mine"
    for name in ("shards", "problems"):
        (mine / name).mkdir(parents=True)
        (mine / name / "thesis.txt").write_text("years of work")
    (mine / ".lock").touch()
    for folder in (digits_run.path, mine):
        before = everything(folder), (folder / "receipt.json").exists()
        with pytest.raises(
            UsageError, match=r"not a folder of lenet predictions: no manifest\.json"
        ):
            bulk.predict(digits_run.path, [str(pictures)], folder)
        assert (everything(folder), (folder / "receipt.json").exists()) == before
    assert digits_run.receipt()["model"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"name,mark\nme,1\n"),
        ("a.csv", b"path,reason\n"),
        ("a.jsonl", b'{"path": 1}\n'),
        ("a.jsonl", b"[" * 100_000),
        ("a.csv", b"\0\xff\0"),
        ("a.csv.errors.csv", b"years of work"),
    ],
)
def test_a_file_that_this_command_did_not_write_stays(
    digits_run, pictures, tmp_path, name, content
):
    (tmp_path / name).write_bytes(content)
    out = tmp_path / name.removesuffix(".errors.csv")
    with pytest.raises(UsageError, match=f"{name}: already there, and not written by lenet pred"):
        bulk.predict(digits_run.path, [str(pictures)], out)
    assert everything(tmp_path) == {name: content}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_answers_of_an_earlier_time_are_replaced(digits_run, pictures, tmp_path, here, kind):
    if kind == "parquet":
        need_module("pyarrow", "pip install 'lenet[parquet]'")
    out = tmp_path / f"a.{kind}"
    bulk.predict(digits_run.path, [str(pictures)], out, top=3)
    bulk.predict(digits_run.path, [str(pictures / "001.png")], out)
    assert len(list(formats.read(out, kind))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_two_files_of_answers_have_two_files_of_problems(digits_run, pictures, tmp_path, here):
    for name in ("a.csv", "a.jsonl"):
        bulk.predict(digits_run.path, [str(pictures)], tmp_path / name)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.csv", "a.csv.errors.csv", "a.jsonl", "a.jsonl.errors.csv"}


def test_a_suffix_in_capitals_is_a_file_too(digits_run, pictures, tmp_path, here):
    outcome = bulk.predict(digits_run.path, [str(pictures / "001.png")], tmp_path / "ANS.CSV")
    assert outcome.out.is_file()
    assert outcome.out.read_text().startswith("path,class,probability,notes\n")


@pytest.mark.thorough
def test_the_figure_of_stages_is_never_drawn_over_its_picture(digits_run, pictures, tmp_path):
    picture, other = tmp_path / "seven.png", tmp_path / "other.png"
    shutil.copy(pictures / "007.png", picture)
    shutil.copy(pictures / "008.png", other)
    before = everything(tmp_path)
    for out, message in ((picture, "it is the picture itself"), (other, "not drawn by lenet")):
        code, _, err = run_lenet("predict", digits_run.path, picture, "--stages", "--out", out)
        assert code == 2
        assert f"{out}: " in err
        assert message in err
    assert everything(tmp_path) == before
    for _ in range(2):
        words = ("--stages", "--out", tmp_path / "drawn.png")
        assert run_lenet("predict", digits_run.path, picture, *words)[0] == 0


@pytest.mark.parametrize("name", ["receipt.json", "curves.png", "page.html"])
def test_a_report_a_page_and_a_figure_replace_none_of_another_kind(
    digits_run, pictures, tmp_path, name
):
    place = tmp_path / name
    if name == "page.html":
        write_page([digits_run.path], place)
    else:
        shutil.copy(digits_run.path / name, place)
    before = place.read_bytes()
    page = shutil.copy(place, tmp_path / "other.html")
    with pytest.raises(UsageError, match=r"l: already there, and not written by lenet report"):
        write_report([digits_run.path], page)
    assert page.read_bytes() == before
    for write in (write_page, write_report):
        with pytest.raises(UsageError, match=r"a\.png: a (page|report) is an HTML file; name one"):
            write([digits_run.path], tmp_path / "a.png")
    for drawer in Drawer:
        with suppress(UsageError):
            check_place(place, drawer)
            assert (drawer, name) == (Drawer.LENET, "curves.png")
    assert place.read_bytes() == before


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "eps", "jpg", "tiff", "webp"])
def test_a_figure_says_by_which_command_and_of_what_it_was_drawn(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    with open_figure(path, 1.0, 1.0, Drawer.EXPLAIN, "/a/x.png"):
        pass
    check_place(path, Drawer.EXPLAIN)
    check_other(path, Drawer.EXPLAIN, "/a/x.png")
    check_other(path, Drawer.STAGES, "/b/x.png")
    with pytest.raises(UsageError, match="and not drawn by lenet predict --stages; choose another"):
        check_place(path, Drawer.STAGES)
    for other in ("/b/x.png", None):
        with pytest.raises(UsageError, match="drawn of another picture of this name; name a file"):
            check_other(path, Drawer.EXPLAIN, other)


def test_explain_draws_over_no_picture_and_no_figure_of_another(digits_run, pictures, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(pictures / "007.png", tmp_path / name / "same.png")
    picture, other = tmp_path / "a" / "same.png", tmp_path / "b" / "same.png"
    before = everything(tmp_path)
    words = ("explain", digits_run.path, picture)
    code, _, err = run_lenet(*words, "--out", picture)
    assert (code, "it is the picture itself; choose another place" in err) == (2, True)
    code, _, err = run_lenet(*words, "--out", other)
    assert (code, "already there, and not drawn by lenet explain" in err) == (2, True)
    for command in (["explain"], ["predict", "--stages"]):
        for given, expected in ((picture, 0), (picture, 0), (other, 2)):
            code, _, err = run_lenet(*command, digits_run.path, given)
            assert code == expected, err
        assert "same.png: already there, drawn of another picture of this name" in err
    assert everything(tmp_path) == before


def test_a_decision_is_saved_over_no_picture_and_no_file_of_another_kind(
    digits_model, pictures, tmp_path
):
    picture = Path(shutil.copy(pictures / "007.png", tmp_path))
    before = everything(tmp_path)
    decision = digits_model.explain(str(picture))
    with pytest.raises(
        UsageError, match=r"007\.png: it is the picture itself; choose another place"
    ):
        decision.save(picture)
    with pytest.raises(UsageError, match="already there, and not drawn by lenet explain; choose"):
        digits_model.explain("test:3").save(picture)
    assert everything(tmp_path) == before
    saved = digits_model.explain(np.asarray(Image.open(picture))).save(tmp_path / "new.png")
    assert decision.save(saved) == saved


def test_a_report_and_a_page_are_written_again(digits_run, tmp_path):
    for write in (write_report, write_page):
        path = tmp_path / f"{write.__name__}.html"
        assert write([digits_run.path], path) == write([digits_run.path], path) == path


# State that is damaged


@pytest.mark.parametrize("damage", ["cut", "empty", "zeroed", "problems cut", "digest gone"])
def test_a_finished_shard_that_is_damaged_is_made_again_and_said(
    digits_run, pictures, whole, tmp_path, here, damage
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    place = out / "shards" / "00002.csv"
    if damage == "problems cut":
        (place,) = (out / "problems").iterdir()
    if damage == "digest gone":
        (out / "digests" / "00002.sha256").unlink()
    else:
        size = place.stat().st_size
        after = {"empty": b"", "zeroed": b"\0" * size}.get(damage, place.read_bytes()[: size // 2])
        place.write_bytes(after)
        with pytest.warns(UserWarning, match="1 finished shards are not what was written"):
            bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
    bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
    assert everything(out) == everything(whole)


def test_the_digests_can_be_checked_by_other_programs(whole):
    need(shutil.which("sha256sum"), "install sha256sum (coreutils)")
    lines = b"".join(path.read_bytes() for path in sorted((whole / "digests").iterdir()))
    subprocess.run(["sha256sum", "--check", "--quiet"], input=lines, cwd=whole, check=True)


@pytest.mark.parametrize("name", ["manifest.json", "receipt.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\0" * 50, b'{"sessions": [1]}', b"\xff"])
def test_a_damaged_file_beside_the_shards_is_made_again_or_refused(
    digits_run, pictures, whole, tmp_path, here, name, content
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / name).write_bytes(content)
    if name == "manifest.json" and content.startswith(b"{"):  # it says what it is, and not this
        with pytest.raises(UsageError, match="not a folder of lenet predictions"):
            bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
        return
    if (name, content) == ("receipt.json", b"{}"):
        match = "receipt.json is damaged"
    else:
        match = rf"{name} is damaged.*(made again|begun anew)"
    with pytest.warns(UserWarning, match=match):
        bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
    assert everything(out) == everything(whole)
    assert json.loads((out / "receipt.json").read_text())["sessions"]


@pytest.mark.parametrize("change", [{"images": None}, {"seconds": "long"}, {"machine": 1}])
def test_a_session_that_lacks_a_fact_is_no_session(whole, tmp_path, change):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (first, *_) = receipt.read_sessions(out, "images")
    receipt.write_sessions(out, [first | change])
    with pytest.warns(UserWarning, match=r"receipt\.json is damaged \(a session has"):
        assert receipt.read_sessions(out, "images") == []


def test_stray_files_and_files_in_the_place_of_folders_do_no_harm(
    digits_run, pictures, whole, tmp_path, here
):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "problems" / "notes.csv").write_text("mine")
    shutil.rmtree(out / "digests")
    (out / "digests").write_text("a file")
    bulk.predict(digits_run.path, [str(pictures)], out, shard_rows=5)
    (out / "problems" / "notes.csv").unlink()
    assert everything(out) == everything(whole)


def test_a_folder_that_is_removed_meanwhile_is_said(digits_run, pictures, tmp_path, monkeypatch):
    def remove(function, items, **_):
        yield Outcome(0, function(items[0]))
        shutil.rmtree(tmp_path / "out")
        yield Outcome(1, function(items[0]))

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", remove)
    with pytest.raises(UsageError, match="out: this folder was removed meanwhile; run the command"):
        bulk.predict(digits_run.path, [str(pictures)], tmp_path / "out", shard_rows=5)


def test_a_folder_by_its_name_is_read_and_an_unfinished_one_is_said(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path / "answers")
    monkeypatch.chdir(tmp_path)
    folder = bulk.PredictionFolder("answers")
    assert len(list(folder.rows())) == PICTURES
    (tmp_path / "answers" / "shards" / "00001.csv").unlink()
    with pytest.raises(UsageError, match="answers: 1 of 7 shards are not done; run the command"):
        list(folder.rows())
    assert len(list(folder.rows(partly=True))) == PICTURES - 5
    with pytest.raises(UsageError, match="nothing: no predictions are here"):
        bulk.PredictionFolder("nothing").rows()


def test_answers_that_are_printed_say_why_a_shard_failed(digits_run, pictures, monkeypatch):
    def lose_one(function, items, **_):
        for index in range(len(items)):
            if index == 2:
                yield Outcome(index, error="its process died 3 times in a row")
            else:
                yield Outcome(index, function(items[index]))

    monkeypatch.setattr("lenet.prediction.bulk.running.run_tasks", lose_one)
    found = bulk.predict_aside(digits_run.path, bulk.Inputs([str(pictures)]), shard_rows=5)
    with found as (outcome, folder):
        assert len(list(folder.rows(partly=True))) == PICTURES - 5
    with pytest.raises(PartialError, match="number 2: its process died 3 times in a row; run the"):
        outcome.check()


def test_no_message_names_a_temporary_folder_that_is_gone(digits_run, pictures):
    code, out, err = run_lenet("predict", digits_run.path, pictures, "--processes", 1)
    assert code == 3
    assert len(out.splitlines()) == 1 + PICTURES + 1
    assert err.endswith("bad.png: not a picture in a format that is known\n")


# Disks, names and streams


def test_a_full_disk_ends_in_one_line_and_loses_no_answers(digits_run, pictures, tmp_path):
    words = ("predict", digits_run.path, pictures, "--out", tmp_path / "a.csv", "--quiet")
    limited = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$0" -m lenet "$@"', sys.executable]
    done = subprocess.run(
        [*limited, *map(str, words), "--shard-rows", "1000"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "cannot write in it: File too large; what is done is kept" in line
    assert not list(tmp_path.iterdir())


def test_a_carriage_return_in_a_name_is_quoted():
    odd = "a\rb.png"
    text = formats.encode([Answer(odd, ("1",), (0.5,), ())], 1, "csv")
    assert text == b'path,class,probability,notes\n"a\rb.png",1,0.5,\n'
    assert next(csv.DictReader(text.decode().splitlines(keepends=True)))["class"] == "1"


def test_folders_nested_very_deep_are_looked_into(digits_run, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    os.chdir("in")
    for _ in range(1500):
        Path("d").mkdir()
        os.chdir("d")
    shutil.copy(pictures / "001.png", "x.png")
    os.chdir(tmp_path)
    code, out, err = run_lenet("predict", digits_run.path, "in", "--format", "csv")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 2
    subprocess.run(["rm", "-rf", "in"], check=True)


def test_escape_sequences_in_a_name_do_not_reach_the_screen(digits_run, pictures, tmp_path):
    shutil.copy(pictures / "001.png", tmp_path / "a\x1b[31mred\rx.png")
    (tmp_path / "b\x1b[31m.png").write_text("no picture")
    code, out, _ = run_lenet("predict", digits_run.path, tmp_path)
    assert code == 3
    assert "a\\x1b[31mred\\rx.png" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("words", [["-"], ["-", "--stages"], ["x.png"]])
def test_a_closed_standard_input_is_said_where_it_is_read(digits_run, pictures, tmp_path, words):
    shutil.copy(pictures / "001.png", tmp_path / "x.png")
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "lenet", "predict"]
    done = subprocess.run(
        [*command, str(digits_run.path), *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if words == ["x.png"]:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 2
        assert "lenet: error: -: the standard input is closed; name" in done.stderr


def test_a_list_of_paths_with_a_byte_0_far_down_names_the_one(tmp_path, monkeypatch):
    monkeypatch.setattr("lenet.prediction.bulk.inputs.SNIFFED", 4)

    pieces = list(bulk.inputs.find(["-"], io.BytesIO(b"abcde\nx\0y\n")))
    assert pieces[1].problem == "a name with a byte 0, which no file has"
    assert bulk.inputs.write_listing(pieces, tmp_path / "list").rows == 2


# Processes that die, and signals

KILLER = """
import os, signal
from PIL import ImageFile
load = ImageFile.ImageFile.load
def load_or_die(self):
    if self.size == (13, 17):
        os.kill(os.getpid(), signal.SIGKILL)
    return load(self)
ImageFile.ImageFile.load = load_or_die
"""


@pytest.mark.thorough
@pytest.mark.parametrize("killers", [1, 3, pytest.param(5, marks=pytest.mark.soak)])
def test_pictures_that_kill_their_decoder_do_not_kill_the_command_also_among_few(
    digits_run, pictures, tmp_path, killers
):
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    shutil.copytree(pictures, tmp_path / "in", ignore=shutil.ignore_patterns("bad.png", "02*"))
    for index in range(killers):
        Image.new("L", (13, 17), 255).save(tmp_path / "in" / f"00{index}.png")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    code, out, err = run_lenet("predict", digits_run.path, tmp_path / "in", env=environment)
    assert code == 3, err
    assert out.count("reading it kills the process (exit -9)") == killers
    assert "a process was lost" in err
    assert len(out.splitlines()) == 21
    assert not list(tmp_path.glob("lenet-*"))


def test_after_two_deaths_no_picture_that_is_left_is_trusted(tmp_path):
    for row in (3, 5):
        Attempt(tmp_path / "x").at(row)
    third = Attempt(tmp_path / "x")
    assert [row for row in range(8) if third.suspects_row(row)] == [3, 4, 5, 6, 7]
    third.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_signal_ends_with_a_sentence_its_code_and_nothing_left(
    digits_run, tmp_path, number, keeps
):
    need(sys.platform == "linux", "/proc: run this on Linux")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    np.save(tmp_path / "many.npy", np.zeros((200_000, 28, 28), np.uint8))
    out = tmp_path / "out"
    words = ["--out", out] if keeps else []
    process = start_lenet(
        "predict", digits_run.path, tmp_path / "many.npy", "--quiet", *words,
        env={**os.environ, "TMPDIR": str(temporary)}, start_new_session=True,
    )  # fmt: skip
    while not workers(process.pid):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as a terminal does: workers get it too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    said = "what is done is kept, and the same command goes on" if keeps else "no answer was pri"
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert f"lenet: error: stopped by {name}; {said}" in err
    assert len(err.splitlines()) == 1
    assert not list(temporary.iterdir())
