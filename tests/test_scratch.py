"""Temporary folders: gone with their process, or with the next one after a kill."""

import os
import signal
import subprocess
import sys

import pytest

from lenet.system import scratch
from lenet.system.scratch import scratch_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A temporary folder of this test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_it_is_there_for_the_block_alone(temporary):
    with scratch_folder("test") as folder:
        assert folder.parent == temporary
        assert folder.name.startswith("lenet-test-")
        (folder / "below").mkdir()
    assert not list(temporary.iterdir())


def test_an_error_in_the_block_leaves_nothing(temporary):
    with pytest.raises(KeyboardInterrupt), scratch_folder("test"):
        raise KeyboardInterrupt
    assert not list(temporary.iterdir())


HOLD = """
import sys
from lenet.system.scratch import scratch_folder
with scratch_folder("test") as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_that_of_a_killed_process_is_cleared_and_that_of_a_living_one_is_not(temporary):
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD], **streams) as process:
        theirs = temporary / process.stdout.readline().strip().rpartition("/")[2]
        with scratch_folder("test"):
            assert theirs.is_dir()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert theirs.is_dir()
        with scratch_folder("other"):
            assert theirs.is_dir()
        with scratch_folder("test") as ours:
            assert list(temporary.iterdir()) == [ours]


def test_a_folder_without_a_lock_is_left_alone_while_it_is_young(temporary, monkeypatch):
    young = temporary / "lenet-test-young"
    young.mkdir()
    with scratch_folder("test"):
        assert young.is_dir()
    os.utime(young, (1, 1))
    with scratch_folder("test"):
        assert not young.is_dir()
    assert scratch.CLAIM_SECONDS > 60


def test_what_another_user_may_have_laid_there_is_not_touched(temporary, monkeypatch):
    kept = temporary / "kept"
    kept.write_text("a file of this user")
    trap = temporary / "lenet-test-trap"
    trap.mkdir()
    (trap / ".lock").symlink_to(kept)
    os.utime(trap, (1, 1))
    with scratch_folder("test"):
        assert trap.is_dir()
    assert kept.read_text() == "a file of this user"
    (trap / ".lock").unlink()
    os.utime(trap, (1, 1))
    ours = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: ours + 1)
    with scratch_folder("test"):
        assert trap.is_dir()
    monkeypatch.setattr("os.getuid", lambda: ours)
    with scratch_folder("test"):
        assert not trap.exists()
