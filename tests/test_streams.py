import os
import subprocess
import sys

import pytest

from lenet.system.streams import printable

COMMANDS = [["--version"], ["models"], ["data", "list"], ["runs"], ["evaluate", "RUN"]]
CLOSED = {
    "stdout": (">&-", 0),
    "stdin": ("<&-", 0),
    "stderr": ("2>&-", 0),
    "all": ("<&- >&- 2>&-", 0),
    "full": (">/dev/full", 8),
    "errors full": ("2>/dev/full", 0),
    "both full": (">/dev/full 2>&1", 8),
}


def shell(words, streams, **env):
    """Run a command with its streams as a shell gives them; (exit code, stdout, stderr)."""
    line = f'exec "$0" -m lenet "$@" {streams}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, *map(str, words)],
        capture_output=True,
        env={**os.environ, **env},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_work_is_done_and_the_code_says_what_was_lost(digits_run, words, streams):
    words = [digits_run.path if word == "RUN" else word for word in words]
    redirection, code = CLOSED[streams]
    found, _, err = shell(words, redirection)
    assert found == code
    assert b"Traceback" not in err
    if streams == "full":
        assert b"the work is done, but the standard output cannot be written: No space left" in err


@pytest.mark.thorough
@pytest.mark.parametrize("streams", ["stdout", "all", "full"])
def test_a_training_is_trained_whatever_becomes_of_its_words(tmp_path, streams):
    redirection, code = CLOSED[streams]
    words = [
        "train",
        "--data",
        "digits",
        "--epochs",
        1,
        "--batch-size",
        64,
        "--out",
        tmp_path / "r",
    ]
    found, _, err = shell(words, redirection)
    assert found == code, err
    assert len((tmp_path / "r" / "history.jsonl").read_text().splitlines()) == 5


def test_readers_that_leave_are_no_error():
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([sys.executable, "-m", "lenet", "models"], stdout=write, stderr=write)
    os.close(write)
    assert process.returncode == 0


def test_letters_that_cannot_be_written_are_replaced():
    code = r"from lenet.system import streams; streams.open_streams(); print('\u0430 \udcff')"
    env = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout == b"\\u0430 \\udcff\n"


def test_what_a_terminal_would_obey_is_escaped():
    assert printable("a\x1b[31m\r\x9b\udcffb\tc\n") == "a\\x1b[31m\\r\\x9b\\udcffb\tc\n"
    assert printable("\ufeffa\u202eb\u200d") == "\\ufeffa\\u202eb\u200d"
    code, _, err = shell(["evaluate", "/nonexistent/\x1b]0;mine\x07"], "")
    assert code == 6
    assert b"\\x1b]0;mine\\x07: no run of lenet is here" in err
