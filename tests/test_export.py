import errno
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import run_lenet, start_lenet

from lenet import data
from lenet.data.pictures.convention import AS_GIVEN
from lenet.data.pictures.picture import read_picture
from lenet.errors import UsageError


def test_the_pictures_are_the_images_in_folders_by_class(tmp_path):
    digits = data.load("digits")
    assert data.export(digits, "test", tmp_path / "out", 50) == 50
    files = sorted((tmp_path / "out").rglob("*.png"), key=lambda path: path.name)
    assert len(files) == 50
    assert {path.name for path in (tmp_path / "out").iterdir()} == set("0123456789")
    for index, path in enumerate(files):
        assert path.parent.name == str(digits.test.labels[index])
        read = read_picture(path, (1, 28, 28), AS_GIVEN)
        np.testing.assert_array_equal(read.given, digits.test.images[index])


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="there is something in it; name a new folder"):
        data.export(data.load("digits"), "test", tmp_path)


def test_the_command_line_exports(tmp_path):
    code, out, err = run_lenet("data", "export", "digits", tmp_path / "x", "--count", 7)
    assert (code, err) == (0, "")
    assert out == f"7 pictures are in {tmp_path / 'x'}\n"
    code, _, err = run_lenet("data", "export", "digits", tmp_path / "y", "--split", "val")
    assert code == 2
    assert "'val' is not one of 'train', 'test'" in err


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_class_whose_name_is_a_way_out_stays_in_its_folder(tmp_path):
    digits = data.load("digits")
    names = ("..", "/etc", "a/../b", "c\0d", "4", "5", "6", "7", "8", "")
    odd = replace(digits, class_names=names)
    assert data.export(odd, "test", tmp_path / "x" / "out", 60) == 60
    assert files_in(tmp_path)[:2] == ["x", "x/out"]
    assert {path.name for path in (tmp_path / "x" / "out").iterdir()} == {
        "--", "-etc", "a-..-b", "c-d", "4", "5", "6", "7", "8", "-",
    }  # fmt: skip


def test_classes_that_would_share_a_folder_are_refused(tmp_path):
    digits = data.load("digits")
    odd = replace(digits, class_names=("a/b", "a-b", *digits.class_names[2:]))
    with pytest.raises(UsageError, match="'a/b' and 'a-b' would share the folder 'a-b'; rename"):
        data.export(odd, "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("was_there", [False, True])
def test_an_export_that_fails_leaves_nothing_and_can_be_repeated(tmp_path, monkeypatch, was_there):
    out = tmp_path / "out"
    if was_there:
        out.mkdir()
    write, count = Path.write_bytes, 0

    def fill(path, content):
        nonlocal count
        count += 1
        if count == 9:
            write(path, b"")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(UsageError, match="out: cannot write in it: No space left on device"):
        data.export(data.load("digits"), "test", out, 50)
    assert files_in(tmp_path) == (["out"] if was_there else [])
    monkeypatch.undo()
    assert data.export(data.load("digits"), "test", out, 50) == 50


def test_an_export_that_is_killed_has_whole_pictures_alone_and_is_begun_anew(tmp_path):
    out = tmp_path / "out"
    process = start_lenet("data", "export", "digits", out, "--split", "train")
    while not list(out.rglob("*.png")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for path in out.rglob("[0-9]*.png"):
        read_picture(path, (1, 28, 28), AS_GIVEN)
    assert json.loads((out / ".lenet-export.json").read_text()) == list("0123456789")
    code, _, err = run_lenet("data", "export", "digits", out, "--count", 5)
    assert (code, err) == (0, "")
    assert len(list(out.rglob("*.png"))) == 5
    assert {path.name for path in out.iterdir()} == set("0123456789")


def test_a_mark_that_names_what_is_not_below_removes_nothing(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lenet-export.json").write_text('["../mine", "..", "/etc"]')
    assert data.export(data.load("digits"), "test", tmp_path / "out", 5) == 5
    assert (tmp_path / "mine").is_dir()
