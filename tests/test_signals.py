import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import start_lenet
from test_session import FLAGS, content, wait_for

import lenet

SENTENCE = {signal.SIGTERM: "stopped by SIGTERM", signal.SIGHUP: "stopped by SIGHUP",
            signal.SIGINT: "stopped by Ctrl-C"}  # fmt: skip


def start_training(folder, *words):
    """A training that has begun its first steps."""
    process = start_lenet("train", *FLAGS, *words, "--out", folder)
    wait_for(lambda: (folder / "history.jsonl").is_file())
    wait_for(lambda: (folder / "history.jsonl").stat().st_size > 0)
    return process


@pytest.mark.parametrize("number", SENTENCE)
def test_a_signal_before_the_work_begins_ends_with_a_sentence(tmp_path, number):
    code = """
import lenet.cli, os, sys, signal
from lenet.system import facts
sys.argv = ["lenet", "models"]
real = lenet.cli._run
def run():
    os.kill(os.getpid(), NUMBER)
    return real()
lenet.cli._run = run
lenet.cli.main()
""".replace("NUMBER", str(int(number)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stderr == f"lenet: error: {SENTENCE[number]}\n"


@pytest.mark.parametrize("number", SENTENCE)
def test_a_signal_in_a_command_ends_with_a_sentence(digits_run, number):
    process = start_lenet("predict", digits_run.path, "-", stdin=subprocess.PIPE)
    wait_for(lambda: is_reading(process.pid))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"lenet: error: {SENTENCE[number]}; no answer was printed\n"


def is_reading(pid):
    """Whether a process waits for its standard input."""
    try:
        with open(f"/proc/{pid}/wchan") as file:
            return "pipe" in file.read()
    except OSError:
        return False


def test_a_terminal_that_is_closed_leaves_a_checkpoint(tmp_path):
    process = start_training(tmp_path / "run", "--epochs", 500)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert "go on with: lenet train --resume" in err
    assert lenet.open_run(tmp_path / "run").checkpoint().position.updates > 0


def test_nohup_is_obeyed(tmp_path):
    code = "import signal, os; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code += "import sys; os.execv(sys.executable, [sys.executable, '-m', 'lenet', *sys.argv[1:]])"
    words = ["train", *FLAGS, "--epochs", 20, "--out", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: (tmp_path / "run" / "history.jsonl").is_file())
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGINT, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
     (signal.SIGTERM, signal.SIGTERM, signal.SIGINT)],
    ids=["Ctrl-C and SIGTERM", "two Ctrl-C", "three"],
)  # fmt: skip
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.1])
def test_signals_in_a_row_end_with_one_checkpoint_and_the_same_bytes(tmp_path, numbers, pause):
    process = start_training(tmp_path / "cut", "--epochs", 40)
    for number in numbers:
        process.send_signal(number)
        time.sleep(pause)
    _, err = process.communicate(timeout=60)
    assert process.returncode in {128 + number for number in numbers}
    assert err.startswith("lenet: error: stopped after step ")
    assert err.count("\n") == 1
    run = lenet.open_run(tmp_path / "cut")
    assert run.checkpoint().position.updates > 0
    assert run.holds([(1, 36)])


def test_a_signal_while_a_row_is_written_loses_no_step(tmp_path):
    from conftest import train_run
    from test_session import Press

    class PressAtAPoint(Press):
        def step(self, epoch, step): ...

        def point(self, row):
            super().step(row["epoch"], row["step"])

    with pytest.raises(lenet.InterruptedRunError, match="stopped after step 6 of epoch 1"):
        train_run(
            data="digits", epochs=2, batch_size=64, out=tmp_path / "run",
            display=PressAtAPoint(signal.SIGINT, 1, 5),
        )  # fmt: skip
    assert lenet.open_run(tmp_path / "run").checkpoint("last").position.updates == 6


def test_a_signal_after_the_last_step_ends_what_comes_next(tmp_path):
    from conftest import train_run
    from test_session import Press

    with pytest.raises(lenet.InterruptedRunError, match=r"when the training was done: .*run"):
        train_run(
            data="digits", epochs=1, batch_size=64, out=tmp_path / "run",
            display=Press(signal.SIGINT, 1, 23),
        )  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert content(lenet.open_run(tmp_path / "run"))
    assert os.getpid()
