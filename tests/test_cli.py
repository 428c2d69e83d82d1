import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need_torch, run_lenet, start_lenet

QUICK = ["--data", "digits", "--epochs", 2, "--batch-size", 64, "--learning-rate", 0.3]


def test_the_version_is_printed():
    assert run_lenet("--version") == (0, "lenet 0.1.0\n", "")


def test_help_names_every_command():
    code, out, _ = run_lenet("--help", env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"})
    assert code == 0
    for command in ("train", "evaluate", "models", "doctor", "data"):
        assert command in out


def test_models_prints_the_counts():
    code, out, _ = run_lenet("models")
    assert code == 0
    assert re.search(r"lenet5 +61,706 +429,342 +416,520 +the note's", out)


def test_a_piped_training_prints_a_line_an_epoch_and_the_summary(tmp_path):
    code, out, err = run_lenet("train", *QUICK, "--out", tmp_path / "run")
    assert code == 0, err
    lines = out.splitlines()
    number = r"\d\.\d{3}"
    assert len(lines) == 6
    for index in (0, 1):
        assert re.fullmatch(
            rf"epoch {index + 1}/2: loss {number}, train acc {number}, test acc {number}, "
            r"[\d,]+ examples/s",
            lines[index],
        )
    assert re.fullmatch(rf"loss {number}, train acc {number}, test acc {number}", lines[2])
    assert re.fullmatch(r"\d+\.\d examples/sec on cpu \(\w+ engine, \d+ threads?\)", lines[3])
    assert lines[4:] == [f"run: {tmp_path}/run", f"picture: {tmp_path}/run/curves.png"]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000


def test_quiet_prints_only_the_summary(tmp_path):
    code, out, err = run_lenet("train", *QUICK, "--quiet", "--out", tmp_path / "run")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4


@pytest.mark.thorough
@pytest.mark.parametrize("extra", [{}, {"NO_COLOR": "1"}])
def test_in_a_terminal_curves_are_drawn_and_colour_can_be_refused(tmp_path, extra):
    out = run_in_terminal(["train", *QUICK, "--out", tmp_path / "run"], extra)
    assert "lenet5 on digits, seed 0" in out
    assert "train loss" in out
    assert "epoch 2/2" in out
    coloured = re.search(r"\x1b\[[\d;]*[39][0-9]m", out) is not None
    assert coloured == (not extra)


def run_in_terminal(words, extra):
    """Run the command line in a real pseudo-terminal and return all that it wrote."""
    import pty

    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **extra}
    env.pop("NO_COLOR", None) if not extra else None
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lenet", *map(str, words)], stdout=writer, stderr=writer, env=env
    )
    os.close(writer)
    pieces = []
    while True:
        try:
            piece = os.read(reader, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(reader)
    assert process.wait(timeout=60) == 0
    return b"".join(pieces).decode()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "--learning-rate", "nan"], 2, "learning_rate = nan: it must be above 0"),
        (["train", "--batch-size", 0], 2, "batch_size = 0: it must be at least 1"),
        (["train", "--epochs", -1], 2, "epochs = -1: it must be at least 1"),
        (["train", "--model", "alexnet"], 2, "no network is called 'alexnet'"),
        (["train", "--data", "cifar"], 2, "no data set is called 'cifar'"),
        (
            ["train", "--data", "digits", "--engine", "warp"],
            2,
            "'warp' is not one of 'auto', 'native'",
        ),
        (["train", "--data", "digits", "--threads", 0], 7, "0 threads"),
        (["train", "--resume", "x", "--epochs", 3, "--seed", 1], 2, "leave out --epochs, --seed"),
        (["train", "--resume", "x", "--data", "mnist"], 2, "leave out --data"),
        (["train", "--data", ""], 2, "data is an empty name"),
        (["train", "--data", "digits", "--beta1", 0.5], 2, "beta1 = 0.5: it is for optimizer"),
        (["train", "--data", "digits", "--step-epochs", 2], 2, "it is for schedule 'step'"),
        (["train", "--data", "digits", "--temperature", 3], 2, "it is for what a teacher says"),
        (["train", "--seed", 10**20], 2, "a whole number of 67 bits: it must be below 2^63"),
        (["predict", "x", "y", "--stages", "--top", 3], 2, "--stages draws one picture"),
        (
            ["lr-find", "--out", "x.foo"],
            2,
            "x.foo: this figure cannot be written: no figure ends in",
        ),
        (
            ["lr-find", "--out", "no/x.png"],
            2,
            "no/x.png: this figure cannot be written: there is no",
        ),
        (["runs", "/nonexistent"], 2, "/nonexistent: there is no such folder"),
        (["train", "--resume", "/nonexistent"], 6, "/nonexistent: no run of lenet is here"),
        (["train", "--recipe", "/nonexistent.toml"], 2, "/nonexistent.toml: cannot read"),
        (["evaluate", "/nonexistent"], 6, "/nonexistent: no run of lenet is here"),
        (["data", "verify", "cifar"], 2, "no data set is called 'cifar'"),
    ],
)
def test_a_users_mistake_is_one_clear_message(tmp_path, words, code, message):
    found, out, err = run_lenet(*words, cwd=tmp_path)
    assert found == code
    assert out == ""
    assert err.startswith("lenet: error: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_none_is_one_clear_message(tmp_path):
    need_torch()
    code, out, err = run_lenet("train", "--data", "digits", "--device", "tpu", cwd=tmp_path)
    assert (code, out) == (7, "")
    assert err.startswith("lenet: error: ")
    assert "device 'tpu'" in err


def test_debug_shows_the_traceback():
    _, _, err = run_lenet("--debug", "train", "--epochs", 0)
    assert "Traceback" in err
    assert "RecipeError" in err


def test_a_recipe_file_with_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "my.toml").write_text("lr = 0.1\n")
    code, _, err = run_lenet("train", "--recipe", tmp_path / "my.toml")
    assert code == 2
    assert "my.toml: unknown lr; known are epochs" in err


def test_flags_override_the_recipe_file(tmp_path):
    import lenet

    (tmp_path / "my.toml").write_text("epochs = 1\nlearning_rate = 0.2\nseed = 4\n")
    code, _, err = run_lenet(
        "train", "--data", "digits", "--recipe", tmp_path / "my.toml", "--seed", 5,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    recipe = lenet.open_run(tmp_path / "run").checkpoint().recipe
    assert (recipe.epochs, recipe.learning_rate, recipe.seed) == (1, 0.2, 5)


def test_divergence_exits_4_and_says_what_to_do(tmp_path, fashion_mnist):
    code, _, err = run_lenet(
        "train", "--model", "lenet5-relu", "--learning-rate", 0.9, "--out", tmp_path / "run"
    )
    assert code == 4
    # Measured: epoch 6 with AVX-512, 2 with AVX2, 3 with the baseline, which round differently.
    assert re.search(r"after epoch [1-6] every image gets the same answer", err)
    assert "guessing has 2.303): the training diverged" in err
    assert "try a learning rate below 0.9" in err
    assert (tmp_path / "run" / "curves.png").exists()
    assert list((tmp_path / "run" / "checkpoints").glob("step-*.safetensors"))


def test_a_loss_that_is_not_finite_names_its_step(tmp_path):
    code, _, err = run_lenet(
        "train", "--data", "digits", "--learning-rate", 1e6, "--model", "lenet5-relu",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 4
    assert re.search(r"the loss is (nan|inf) at step \d+ of epoch 1: the training diverged", err)
    assert (tmp_path / "run" / "checkpoints" / "step-00000000.safetensors").exists()
    assert "0 of 10, diverged" in run_lenet("runs", tmp_path)[1]
    code, _, err = run_lenet("report", tmp_path / "run")
    assert code == 0, err
    report = (tmp_path / "run" / "report.html").read_text()
    assert re.search(r"<b>the training diverged at step \d+ of epoch 1</b>", report)


def test_evaluate_prints_scores_and_draws_the_confusion(digits_run):
    code, out, err = run_lenet("evaluate", digits_run.path)
    assert code == 0, err
    assert re.match(r"digits, test split, 360 images: accuracy 0\.\d{4} \(95 % interval", out)
    assert re.search(r"class +images +precision +recall +f1", out)
    assert (digits_run.path / "confusion-digits-test.png").stat().st_size > 10_000


def test_evaluate_scores_the_validation_split_of_the_run(digits_run):
    code, out, _ = run_lenet("evaluate", digits_run.path, "--split", "validation")
    assert code == 0
    best = digits_run.checkpoint("best").best.validation_accuracy
    assert f"200 images: accuracy {best:.4f}" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--split", "val"], 2, "is not one of 'train', 'validation', 'test'"),
        (["--data", "emnist-letters"], 5, "no mirror delivered"),
    ],
)
def test_evaluate_refuses_what_does_not_fit(digits_run, words, code, message):
    env = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    found, _, err = run_lenet("evaluate", digits_run.path, *words, env=env)
    assert found == code
    assert message in err


def test_evaluate_on_other_data_with_the_same_classes(digits_run, mnist_folder):
    code, out, err = run_lenet(
        "evaluate", digits_run.path, "--data", "mnist", "--data-dir", mnist_folder
    )
    assert code == 0, err
    assert "mnist, test split, 10,000 images" in out


def test_doctor_says_what_this_machine_has():
    code, out, err = run_lenet("doctor")
    assert code == 0, err
    for word in (
        "python",
        "numpy",
        "processor",
        "cores",
        "engine native",
        "engine eager",
        "cache folder",
        "digits",
    ):
        assert word in out


def test_data_list_show_and_verify(tmp_path):
    code, out, _ = run_lenet("data", "list")
    assert code == 0
    assert "emnist-letters" in out
    code, out, _ = run_lenet("data", "show", "digits", "--out", tmp_path / "sheet.png")
    assert (code, out) == (0, f"picture: {tmp_path}/sheet.png\n")
    assert (tmp_path / "sheet.png").stat().st_size > 20_000
    code, out, _ = run_lenet("data", "verify", "digits")
    assert code == 0
    assert "no files to verify" in out


def test_data_that_no_mirror_delivers_is_explained(tmp_path):
    env = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path)}
    code, _, err = run_lenet("data", "get", "kmnist", "--quiet", env=env)
    assert code == 5
    assert "kmnist: no mirror delivered train-images-idx3-ubyte.gz" in err
    assert "without any download: --data digits" in err


def test_a_run_that_is_being_trained_is_refused(tmp_path):
    words = ["train", *QUICK, "--epochs", 500, "--out", tmp_path / "run"]
    process = start_lenet(*words)
    process.stdout.readline()
    code, _, err = run_lenet("train", "--resume", tmp_path / "run")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert code == 6
    assert "another process is training in this folder" in err


def test_a_damaged_newest_checkpoint_is_said_and_survived(tmp_path):
    run_lenet("train", *QUICK, "--out", tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    Path(newest).write_bytes(b"damaged")
    code, _, err = run_lenet("evaluate", tmp_path / "run")
    assert code == 0
    assert err.startswith("lenet: warning: ")
    assert "falling back to the one before it" in err


def test_the_choices_of_flags_are_those_of_the_rooms():
    from lenet.cli import options
    from lenet.data.reading import RESIZES
    from lenet.engines import ENGINES
    from lenet.prediction.bulk.formats import FORMATS
    from lenet.recipe import recipe
    from lenet.runs.run import BEST, LAST

    assert set(options.EngineName) == {"auto", *ENGINES}
    assert set(options.ResizeName) == set(RESIZES)
    assert set(options.FormatName) == {"table", *FORMATS}
    assert set(options.CheckpointName) == {BEST, LAST}
    assert set(options.OptimizerName) == set(recipe.OPTIMIZERS)
    assert set(options.ScheduleName) == set(recipe.SCHEDULES)
    assert set(options.InitialiserName) == set(recipe.INITIALISERS)
    assert set(options.LossName) == set(recipe.LOSSES)
    assert set(options.SquaresName) == set(recipe.SQUARES)
    assert set(options.OrderName) == set(recipe.ORDERS)


def test_every_field_of_the_recipe_is_a_flag_whose_help_has_the_notes_number():
    from dataclasses import fields

    from lenet.recipe import Recipe

    env = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
    _, out, _ = run_lenet("train", "--help", env=env)
    words = " ".join(re.sub(r"[│╭╰─╮╯]", " ", out).split())
    assert "--augmentation " in words
    for field in fields(Recipe):
        if field.name == "augmentation":
            continue  # a table of numbers; the note has none
        shown = {True: "yes", False: "no"}[field.default] if field.type == "bool" else field.default
        flag = f"--{field.name.replace('_', '-')} "
        assert f"The note's: {shown}." in words.split(flag, 1)[1].split(" --", 1)[0], flag


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "last", "--checkpoint", "bset"], "'bset' is not one of 'last', 'best'"),
        (["train", "--resize", "Fit"], "'Fit' is not one of 'fit', 'stretch', 'ink'"),
        (["predict", "last", "x.png", "--format", "xml"], "'xml' is not one of 'table', 'csv'"),
        (["train", "--optimizer", "adam"], "'adam' is not one of 'sgd', 'adamw'"),
        (["train", "--epochs", "many"], "'many' is not a valid int"),
    ],
)
def test_a_typo_in_a_choice_is_one_line(tmp_path, words, message):
    code, out, err = run_lenet(*words, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("lenet: error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_last_is_the_newest_run_and_the_command_says_which(tmp_path):
    for seed in (1, 2):
        assert run_lenet("train", *QUICK, "--seed", seed, "--quiet", cwd=tmp_path)[0] == 0
    newest = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    code, out, err = run_lenet("evaluate", "last", cwd=tmp_path)
    assert (code, err) == (0, f"lenet: last: runs/{newest.name}\n")
    assert f"picture: runs/{newest.name}/confusion-digits-test.png" in out
    code, out, _ = run_lenet("runs", cwd=tmp_path)
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:4] == [newest.name, "digits", "lenet5", "2"]


def test_runs_says_that_there_is_none(tmp_path):
    assert run_lenet("runs", cwd=tmp_path) == (0, "no run is in runs/\n", "")


def test_scores_are_printed_also_where_their_picture_cannot_be_drawn(digits_run, tmp_path):
    code, out, err = run_lenet("evaluate", digits_run.path, "--picture", tmp_path / "no" / "x.png")
    assert code == 2
    assert "accuracy 0." in out
    assert "this figure cannot be written" in err
