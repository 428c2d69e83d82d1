import shutil
import signal
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from conftest import need_torch, resume_run, run_lenet, start_lenet, train_run

import lenet
from lenet.errors import DivergenceError, RecipeError, RunError
from lenet.training import loop

QUICK = {"data": "digits", "epochs": 2, "batch_size": 32, "learning_rate": 0.3}
FLAGS = ["--data", "digits", "--epochs", "4", "--batch-size", "8", "--learning-rate", "0.3"]


def content(run):
    """Every byte of a run's end, which must not depend on clock, speed or interruptions."""
    paths = [run.path / "recipe.toml", run.path / "history.jsonl", run.checkpoint_paths()[0]]
    paths += [run.best_path] if run.best_path.exists() else []
    return {path.name: path.read_bytes() for path in paths}


def test_a_run_holds_all_that_it_should(tmp_path):
    digits_run = train_run(out=tmp_path / "run", validation=200, **{**QUICK, "epochs": 3})
    names = {path.name for path in digits_run.path.iterdir()} - {".lock"}
    assert names == {"recipe.toml", "receipt.json", "history.jsonl", "curves.png", "checkpoints"}
    checkpoints = {path.name for path in (digits_run.path / "checkpoints").iterdir()}
    assert "best.safetensors" in checkpoints
    assert len(checkpoints) == 3
    session = digits_run.receipt()["sessions"][-1]
    assert session["training_images"] == 3 * (len(lenet_digits().train) - 200)
    assert session["training_seconds"] > 0
    assert session["versions"]["numpy"] == np.__version__


def lenet_digits():
    from lenet import data

    return data.load("digits")


@pytest.mark.parametrize(("count", "ends"), [(100, True), (360, False)], ids=["held out", "test"])
def test_a_network_has_collapsed_by_the_images_held_out(tmp_path, monkeypatch, count, ends):
    real = loop.evaluate

    def evaluate(engine, split):
        return replace(real(engine, split), collapsed=len(split) == count)

    monkeypatch.setattr(loop, "evaluate", evaluate)
    expected = pytest.raises(DivergenceError, match="same answer") if ends else nullcontext()
    with expected:
        train_run(out=tmp_path / "run", validation=100, **QUICK)


def test_it_learns(digits_run):
    rows = digits_run.epochs()
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["test_accuracy"] > 0.6


def test_five_points_an_epoch(digits_run):
    rows = [row for row in digits_run.history() if row["epoch"] == 1]
    assert len(rows) == 5
    assert rows[-1]["progress"] == 1.0


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    runs = [
        train_run(out=tmp_path / str(index), seed=seed, **QUICK)
        for index, seed in enumerate([5, 5, 6])
    ]
    assert content(runs[0]) == content(runs[1])
    assert content(runs[0]) != content(runs[2])


@pytest.mark.thorough
@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.9, "nesterov": True, "learning_rate": 0.05, "schedule": "cosine"},
        {"optimizer": "adamw", "learning_rate": 0.002, "schedule": "one_cycle"},
        {"validation": 300, "label_smoothing": 0.1},
        {"averaging": 0.99, "clip_norm": 0.5, "warmup_epochs": 1, "learning_rate": 0.1},
    ],
    ids=["nesterov", "adamw", "validation", "averaging"],
)
def test_ctrl_c_in_the_middle_of_an_epoch_and_resume_end_with_the_same_bytes(tmp_path, changes):
    recipe = {**QUICK, **changes}
    whole = train_run(out=tmp_path / "whole", **recipe)
    with pytest.raises(
        lenet.InterruptedRunError, match="stopped after step 7 of epoch 2; go on with"
    ) as stopped:
        train_run(out=tmp_path / "cut", display=Press(signal.SIGINT, 2, 7), **recipe)
    assert str(stopped.value).endswith(f"(Python: lenet.resume('{tmp_path / 'cut'}'))")
    cut = resume_run(tmp_path / "cut")
    assert content(cut) == content(whole)
    assert [session["from"]["step"] for session in cut.receipt()["sessions"]] == [0, 7]


class Press:
    """A display that sends this process a signal at one step."""

    def __init__(self, number, epoch, step):
        self.number, self.at = number, (epoch, step)

    def download(self, name, done, total): ...
    def start(self, plan): ...
    def point(self, row): ...
    def epoch(self, row, examples_per_second): ...
    def stop(self): ...

    def step(self, epoch, step):
        if (epoch, step) == self.at:
            signal.raise_signal(self.number)


def test_checkpoints_within_an_epoch_change_no_result(tmp_path):
    plain = train_run(out=tmp_path / "plain", **QUICK)
    often = train_run(out=tmp_path / "often", checkpoint_every=7, **QUICK)
    assert content(plain) == content(often)


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path):
    run = train_run(out=tmp_path / "run", **QUICK)
    left = [run.path / ".receipt.json.1.partial", run.path / "checkpoints" / ".x.1.partial"]
    for path in left:
        path.write_text("half")
    resume_run(run.path)
    assert not any(path.exists() for path in left)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    run = train_run(out=tmp_path / "run", **QUICK)
    before, receipt = content(run), run.receipt()
    resume_run(run.path)
    assert (content(run), run.receipt()) == (before, receipt)


def test_a_failure_after_the_end_leaves_the_times_as_they_were(tmp_path, monkeypatch):
    run = train_run(out=tmp_path / "run", **QUICK)
    receipt = run.receipt()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("lenet.training.loop.Patterns", fail)
    with pytest.raises(MemoryError):
        resume_run(run.path)
    assert run.receipt() == receipt


def test_divergence_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(DivergenceError, match=r"at step \d+ of epoch 1: the training diverged"):
        train_run(
            model="lenet5-relu", data="digits", learning_rate=1e6, out=tmp_path / "run", epochs=1
        )
    run = lenet.open_run(tmp_path / "run")
    assert all(np.isfinite(array).all() for array in run.checkpoint().state.weights.values())
    (session,) = run.receipt()["sessions"]
    assert session["diverged"]["epoch"] == 1
    assert 1 <= session["diverged"]["step"] <= 23


def test_the_whole_train_split_cannot_be_held_out(tmp_path):
    with pytest.raises(RecipeError, match=r"validation = 5000: digits has only .* train images"):
        train_run(data="digits", validation=5000, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_is_refused_before_any_step(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="already there"):
        train_run(out=tmp_path / "run", **QUICK)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_real_process_with_a_checkpoint_and_their_exit_code(tmp_path, number, code):
    process = start_lenet("train", *FLAGS, "--epochs", 500, "--out", tmp_path / "run")
    wait_for(lambda: (tmp_path / "run" / "history.jsonl").is_file())
    wait_for(lambda: (tmp_path / "run" / "history.jsonl").stat().st_size > 0)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "go on with: lenet train --resume" in err
    assert "Traceback" not in err
    assert lenet.open_run(tmp_path / "run").checkpoint().position.updates > 0


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def train_undisturbed(folder, words):
    """A run from start to end, and how long its training took."""
    code, _, err = run_lenet("train", *words, "--out", folder)
    assert code == 0, err
    run = lenet.open_run(folder)
    return run, run.receipt()["sessions"][0]["training_seconds"]


def kill_and_resume(folder, words, moments):
    """Train, killed at each moment (seconds after its start) and resumed; how often it was hit."""
    process, hits = start_lenet("train", *words, "--out", folder), 0
    wait_for(folder.exists)
    for moment in moments:
        time.sleep(moment)
        process.kill()
        process.communicate()
        hits += process.returncode == -signal.SIGKILL
        process = start_lenet("train", "--resume", folder)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return hits


EVERY_CHANGE = (
    "shift = 2, scale = 0.1, squeeze = 0.1, shear = 0.1, rotation = 5, elastic = 10, erase = 0.3, "
    "brightness = 0.1, contrast = 0.1"
)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        [*FLAGS, "--epochs", 40, "--checkpoint-every", 50],
        ["--data", "digits", "--model", "lenet5-1998", "--epochs", 8, "--checkpoint-every", 200],
        ["--data", "digits", "--augmentation", EVERY_CHANGE, "--epochs", 30, "--averaging", 0.99,
         "--clip-norm", 1.0, "--momentum", 0.9, "--learning-rate", 0.05, "--checkpoint-every", 3],
    ],
    ids=["the note's", "1998", "every change of the images"],
)  # fmt: skip
def test_kill_9_and_resume_end_with_the_same_bytes(tmp_path, words):
    whole, seconds = train_undisturbed(tmp_path / "whole", words)
    moments = np.random.default_rng(0).uniform(0.1, seconds, 3)
    assert kill_and_resume(tmp_path / "cut", words, moments) >= 1
    assert content(lenet.open_run(tmp_path / "cut")) == content(whole)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_50_kills_on_fashion_mnist_end_with_the_same_bytes(tmp_path, fashion_mnist):
    words = ["--data", fashion_mnist, "--epochs", 2, "--validation", 5000, "--momentum", 0.5]
    words += ["--learning-rate", 0.3, "--checkpoint-every", 20]
    whole, seconds = train_undisturbed(tmp_path / "whole", words)
    source, hits, number = np.random.default_rng(0), 0, 0
    while hits < 50:
        folder, number = tmp_path / f"cut{number}", number + 1
        hits += kill_and_resume(folder, words, [source.uniform(0.0, seconds + 2.0)])
        assert content(lenet.open_run(folder)) == content(whole)
        shutil.rmtree(folder)
    print(f"{hits} kills hit a training in {number} runs; all ended with the same bytes")


def test_the_textbooks_network_trains_on_the_real_mnist(tmp_path, mnist_folder):
    words = ["--data", "mnist", "--epochs", 1, "--learning-rate", 0.3, "--out", tmp_path / "run"]
    code, _, err = run_lenet("train", "--data-dir", mnist_folder, *words)
    assert code == 0, err
    assert lenet.open_run(tmp_path / "run").epochs()[-1]["test_accuracy"] > 0.9


def test_load_module_gives_the_same_logits_as_the_engine(digits_run):
    torch = need_torch()

    from lenet.prediction.evaluation import open_network

    images = lenet_digits().test.images[:50]
    engine = open_network(digits_run.checkpoint())
    expected = engine.logits(engine.place(images))
    with torch.no_grad():
        found = lenet.load_module(digits_run.path)(torch.from_numpy(images).float() / 255)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
