"""Text files of a run, and its places, as somebody may have left them."""

import json
import os
import subprocess
import sys

import pytest
from conftest import resume_run, run_lenet, start_lenet, train_run
from test_checkpoint import checkpoint  # noqa: F401 - a fixture

import lenet
from lenet.errors import CheckpointError, RecipeError, RunError
from lenet.recipe import Recipe
from lenet.runs import checkpoint as checkpoints
from lenet.runs.run import list_runs

QUICK = ["train", "--data", "digits", "--epochs", 1, "--batch-size", 256, "--quiet"]


@pytest.fixture
def run(tmp_path):
    return train_run(data="digits", epochs=2, batch_size=256, out=tmp_path / "run")


@pytest.mark.parametrize(
    "content",
    [
        b"epochs = " + b"[" * 100_000, b"epochs = " + b"9" * 5000, b"learning_rate = " + b"9" * 400,
        b"epochs = 0x" + b"f" * 5000, b"\xff\xfe", b"epochs = 1979-05-27", b"epochs = {a = 1}",
        b"#" * (2 << 20),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_hostile_recipe_is_one_error(tmp_path, content):
    (tmp_path / "my.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"my\.toml: .{1,200}$"):
        Recipe.read(tmp_path / "my.toml")


def test_a_recipe_may_have_a_byte_order_mark(tmp_path):
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbfepochs = 3\r\n")
    assert Recipe.read(tmp_path / "my.toml").epochs == 3


@pytest.mark.thorough
@pytest.mark.parametrize(
    "content", ["{}", "[]", "null", '{"sessions": {}}', "[" * 100_000, '{"model": 1}', "9" * 5000]
)
def test_a_hostile_receipt_is_one_error(run, content):
    (run.path / "receipt.json").write_text(content)
    with pytest.raises(RunError, match=r"receipt\.json: cannot read this run's receipt: "):
        run.receipt()
    code, _, err = run_lenet("report", run.path)
    assert (code, "Traceback" in err) == (6, False)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "line", [b"", b"\xff", b"{}", b"[1]", b'{"epoch": 1, "step": "2"}', b"[" * 100_000]
)
def test_a_bad_line_of_the_history_is_named(run, line):
    lines = run.history_path.read_bytes().split(b"\n")
    run.history_path.write_bytes(b"\n".join([lines[0], line, *lines[1:]]))
    with pytest.raises(RunError, match=r"history\.jsonl: line 2 is no row of a history: "):
        run.history()


@pytest.mark.thorough
@pytest.mark.parametrize("damage", ["emptied", "a row less", "gone", "no row"])
def test_a_history_shorter_than_its_checkpoint_is_made_whole_or_refused(run, damage):
    whole = run.history_path.read_bytes()
    lines = whole.splitlines(keepends=True)
    left = {"emptied": b"", "a row less": b"".join(lines[:2] + lines[3:]), "gone": None,
            "no row": b"".join(lines[:-1]) + b"\0\n"}[damage]  # fmt: skip
    if left is None:
        run.history_path.unlink()
    else:
        run.history_path.write_bytes(left)
    with pytest.warns(UserWarning, match="rows are missing or damaged"):  # noqa: PT031
        if damage == "no row":
            resume_run(run.path)
            assert run.history_path.read_bytes() == whole
        else:
            with pytest.raises(RunError, match="put the whole file back, or train again"):
                resume_run(run.path)


MUTATIONS = {
    "position": [None, {}, {"epoch": None}, {"step": 10**6}, {"step": 10**400}, {"epoch": 10**9},
                 {"images": -1}, {"loss_sum": "x"}, {"misses": 10**9}],
    "data": [None, [], {"name": 1}, {"class_names": []}, {"class_names": [1] * 10},
             {"digests": []}, {"convention": None}, {"origin": {}}, {"convention": {"kind": []}}],
    "spec": [None, [], {"layers": None}, {"layers": [None]}, {"channels": "1"}, {"height": 1.5},
             {"name": None}, {"layers": [{"type": []}]}, {"width": 10**400}],
    "recipe": [None, [], {"epochs": None}, {"learning_rate": 10**400}, {"seed": []}],
    "best": [[], {}, {"epoch": "1", "validation_accuracy": 0.5}, {"validation_accuracy": 7}],
    "updates": [None, "1", 1.5, -1, 10**400],
    "format": [None, [], "1"],
}  # fmt: skip


@pytest.mark.parametrize("part", MUTATIONS)
def test_wrong_facts_with_a_right_digest_are_one_error(tmp_path, checkpoint, part, monkeypatch):  # noqa: F811
    path, right = tmp_path / "a.safetensors", checkpoints._facts
    for wrong in MUTATIONS[part]:
        facts = right(checkpoint)
        whole = isinstance(wrong, dict) and isinstance(facts[part], dict)
        facts[part] = {**facts[part], **wrong} if whole and wrong else wrong
        monkeypatch.setattr(checkpoints, "_facts", lambda _, facts=facts: dict(facts))
        monkeypatch.setattr(sys, "set_int_max_str_digits", lambda _: None, raising=False)
        checkpoints.write(path, checkpoint)
        with pytest.raises(CheckpointError, match=r"not a checkpoint of lenet, or damaged: .") as e:
            checkpoints.read(path)
        assert len(str(e.value)) < 600


def test_weights_that_are_no_numbers_are_refused(tmp_path, checkpoint):  # noqa: F811
    checkpoint.state.weights["C1.bias"][0] = float("nan")
    checkpoints.write(tmp_path / "a.safetensors", checkpoint)
    with pytest.raises(CheckpointError, match="some of its numbers are infinite, or no numbers"):
        checkpoints.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(("header", "size"), [(59 << 20, 60 << 20), (0, 1 << 30)])
def test_a_large_header_and_a_hole_are_refused_unread(tmp_path, header, size):
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.write(header.to_bytes(8, "little") + b"{")
        file.truncate(size)
    with pytest.raises(CheckpointError, match="not a checkpoint of lenet, or damaged"):
        checkpoints.read(tmp_path / "a.safetensors")


def test_a_damaged_best_names_the_last(run):
    run.best_path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="can be had with --checkpoint last"):
        run.checkpoint()


def test_a_third_checkpoint_of_a_killed_process_goes(run):
    oldest = run.path / "checkpoints" / "step-00000000.safetensors"
    oldest.write_bytes(run.checkpoint_paths()[0].read_bytes())
    before = [path.name for path in run.checkpoint_paths()]
    resume_run(run.path)
    assert [path.name for path in run.checkpoint_paths()] == before[:2]


@pytest.mark.thorough
def test_trainings_of_the_same_second_get_folders_of_their_own(tmp_path):
    started = [start_lenet(*QUICK, cwd=tmp_path) for _ in range(4)]
    ended = [process.communicate(timeout=120)[1] for process in started]
    assert ended == [""] * 4
    assert len(list_runs(tmp_path / "runs")) == 4


@pytest.mark.thorough
def test_the_current_folder_may_become_a_run(tmp_path):
    assert run_lenet(*QUICK, "--out", ".", cwd=tmp_path)[0] == 0
    assert lenet.open_run(tmp_path).epochs()
    code, _, err = run_lenet(*QUICK, "--out", ".", cwd=tmp_path)
    assert (code, err) == (
        6,
        "lenet: error: .: already there; choose another place, or resume it\n",
    )


def test_a_report_that_cannot_be_written_says_so(digits_run, tmp_path):
    code, _, err = run_lenet("report", digits_run.path, "--out", tmp_path / "missing" / "x.html")
    assert code == 2
    assert err.endswith("the report cannot be written: No such file or directory; name another "
                        "place\n")  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("name", [b"x" * 255, b"a\xff\x1b[31m", "Привет".encode() * 20])
def test_a_run_may_have_any_name(tmp_path, name):
    out = tmp_path / os.fsdecode(name)
    words = [sys.executable, "-m", "lenet", *map(str, QUICK), "--out", out]
    done = subprocess.run(words, capture_output=True)
    assert (done.returncode, b"Traceback" in done.stderr, b"\x1b" in done.stdout) == (
        0,
        False,
        False,
    )
    assert (out / "curves.png").stat().st_size > 10_000


def test_a_backend_of_matplotlibs_that_is_none_changes_nothing(tmp_path):
    env = {**os.environ, "MPLBACKEND": "nonsense"}
    code, _, err = run_lenet(*QUICK, "--out", tmp_path / "run", env=env)
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000


@pytest.mark.thorough
def test_an_index_of_too_many_digits_is_no_image(digits_run):
    for index in ("²", "9" * 5000):
        code, _, err = run_lenet("explain", digits_run.path, f"test:{index}")
        assert (code, "name one of them" in err) == (2, True)


def test_receipts_stay_plain_json(run):
    assert json.loads((run.path / "receipt.json").read_text())["model"] == "lenet5"
