import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from lenet.engines.base import EngineState
from lenet.errors import CheckpointError, RunError
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.runs.checkpoint import Best, Checkpoint, DataSource, Position
from lenet.runs.run import Run, create_run, default_folder, open_run


@pytest.fixture
def first():
    spec, recipe = zoo.build("lenet5"), Recipe()
    state = EngineState(initial_weights(spec, recipe), {}, 0)
    return Checkpoint(
        spec, recipe, DataSource("digits", {}, tuple("0123456789")), state, Position()
    )


@pytest.fixture
def run(tmp_path, first):
    return create_run(tmp_path / "run", first, {"sessions": []})


def later(checkpoint, epoch, updates):
    return replace(checkpoint, position=Position(epoch, 0, updates))


def row(epoch, step):
    """What a training writes of a point."""
    metrics = {"learning_rate": 0.1, "train_loss": 0.5, "train_accuracy": 0.25}
    return {"epoch": epoch, "step": step, "progress": epoch - 1 + step / 10, **metrics}


def test_the_folders_name_says_what_it_holds():
    path = default_folder("lenet5", "digits", 7, datetime(2026, 1, 2, 3, 4, 5))
    assert path == Path("runs/20260102-030405-lenet5-digits-s7")


def test_the_name_of_a_network_makes_no_folders():
    path = default_folder("mine/first", "digits", 7, datetime(2026, 1, 2, 3, 4, 5))
    assert path == Path("runs/20260102-030405-mine-first-digits-s7")


def test_a_new_run_has_its_recipe_receipt_and_first_checkpoint(run, first):
    names = {path.name for path in run.path.iterdir()}
    assert names == {"recipe.toml", "receipt.json", "history.jsonl", "checkpoints"}
    assert Recipe.read(run.path / "recipe.toml") == first.recipe
    assert run.checkpoint().position == Position()
    assert [path.name for path in run.path.parent.iterdir()] == ["run"]


def test_a_folder_that_is_taken_is_refused(run, first):
    with pytest.raises(RunError, match="already there; choose another place, or resume it"):
        create_run(run.path, first, {})


def test_an_empty_folder_is_used(tmp_path, first):
    (tmp_path / "empty").mkdir()
    assert create_run(tmp_path / "empty", first, {}).checkpoint().position == Position()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, first):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/run: cannot make this folder: File exists"):
        create_run(tmp_path / "file" / "run", first, {})


def test_a_folder_without_a_run_is_named(tmp_path):
    cure = r"; `lenet runs` lists those of runs/$"
    with pytest.raises(RunError, match=r"no run of lenet is here \(no receipt.json\)" + cure):
        open_run(tmp_path)


def test_the_two_newest_checkpoints_are_kept(run, first):
    for updates in (10, 20, 30):
        run.write_checkpoint(later(first, 2, updates))
    names = [path.name for path in run.checkpoint_paths()]
    assert names == ["step-00000030.safetensors", "step-00000020.safetensors"]


def test_the_newest_checkpoint_has_the_largest_number_however_many_digits(tmp_path):
    run = Run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for updates in (99_999_999, 100_000_000, 5):
        (tmp_path / "checkpoints" / f"step-{updates:08d}.safetensors").touch()
    names = [path.stem for path in run.checkpoint_paths()]
    assert names == ["step-100000000", "step-99999999", "step-00000005"]


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(run, first):
    run.write_checkpoint(later(first, 2, 10))
    run.checkpoint_paths()[0].write_bytes(b"\0" * 100)
    with pytest.warns(UserWarning, match=r"step-00000010.* falling back to the one before it"):
        assert run.checkpoint().position == Position()


def test_a_damaged_newest_checkpoint_is_an_error_for_who_wants_no_other(run, first):
    run.write_checkpoint(later(first, 2, 10))
    assert run.checkpoint(fall_back=False).position.updates == 10
    run.checkpoint_paths()[0].write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match="step-00000010"):
        run.checkpoint(fall_back=False)


def test_a_run_whose_checkpoints_are_all_damaged_is_an_error(run):
    run.checkpoint_paths()[0].write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="falling back"),
        pytest.raises(CheckpointError, match=r"no checkpoint that can be read: .*step-00000000"),
    ):
        run.checkpoint()


def test_the_best_checkpoint_is_the_default_where_there_is_one(run, first):
    run.write_best(replace(later(first, 2, 10), best=Best(1, 0.9)))
    run.write_checkpoint(later(first, 3, 20))
    assert run.checkpoint().best == Best(1, 0.9)
    assert run.checkpoint("last").position.updates == 20


def test_a_line_cut_short_is_no_row(run):
    run.append_history(row(1, 1))
    with open(run.path / "history.jsonl", "a") as file:
        file.write('{"epoch": 1, "st')
    assert run.history() == [row(1, 1)]


def test_rewinding_drops_what_came_after_the_checkpoint(run):
    for epoch, step in [(1, 5), (1, 10), (2, 5), (2, 10)]:
        run.append_history(row(epoch, step))
    run.rewind_history([(1, 5), (1, 10), (2, 5)])
    assert run.history() == [row(1, 5), row(1, 10), row(2, 5)]


def test_a_run_that_another_process_trains_is_refused(run):
    code = f"""
import sys
from lenet.runs.run import open_run
from pathlib import Path
with open_run(Path({str(run.path)!r})).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""
    words = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as other:
        assert other.stdout.readline() == "locked\n"
        message = "another process is training in this folder"
        with pytest.raises(RunError, match=message), run.lock():
            pass
        other.communicate("")
    with run.lock():
        pass


def test_a_lock_is_given_back_so_that_it_can_be_taken_again(run):
    for _ in range(3):
        with run.lock(), pytest.raises(RunError, match="another process"), run.lock():
            pass


def test_a_receipt_that_is_no_json_is_named(run):
    (run.path / "receipt.json").write_text("{")
    with pytest.raises(RunError, match=r"receipt\.json: cannot read this run's receipt"):
        run.receipt()


def test_history_rows_are_plain_json(run):
    run.append_history(row(1, 1))
    text = (run.path / "history.jsonl").read_text()
    assert json.loads(text) == row(1, 1)
