"""Every system call of a small training's saves killed and failed, and every loss of power."""

import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import need, resume_run, train_run

import lenet

HERE = Path(__file__).parent
RECIPE = {
    "data": "digits", "epochs": 2, "batch_size": 256, "learning_rate": 0.3, "validation": 100,
}  # fmt: skip
WORDS = [
    "train", "--data", "digits", "--epochs", "2", "--batch-size", "256", "--learning-rate", "0.3",
    "--validation", "100", "--engine", "native", "--threads", "1", "--quiet",
]  # fmt: skip
CALLS = ("openat", "write", "fsync", "close", "rename", "unlink", "mkdir", "ftruncate", "flock")
ERRORS = ("EIO", "ENOSPC", "EMFILE", "EROFS")
DOCUMENTED = {0, 2, 6, 8}
SHORT = 3


def content(folder):
    """Every file of a run whose bytes a training decides, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "receipt.json", "curves.png")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What an undisturbed training leaves."""
    return content(train_run(out=tmp_path_factory.mktemp("whole") / "run", **RECIPE).path)


@pytest.fixture(scope="module")
def strace(tmp_path_factory):
    """The path of strace, if it can trace here."""
    found = shutil.which("strace")
    works = found and not subprocess.run([found, "true"], capture_output=True).returncode
    need(works, "install strace: apt install strace (and allow tracing)")
    return found


@pytest.fixture(scope="module")
def saves(strace, tmp_path_factory):
    """(call, how many of it came before) of each system call on the files of a training."""
    folder = tmp_path_factory.mktemp("saves")
    run_traced(strace, folder, [])
    counts, found = dict.fromkeys(CALLS, 0), []
    process = None
    for line in (folder / "log").read_text(errors="replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\((.*)", line)
        if match is None:
            continue
        process = process or match[1]
        if match[1] != process or match[2] not in counts:
            continue
        counts[match[2]] += 1
        if f"{folder}/run" in match[3] or f"{folder}/.run" in match[3]:
            found.append((match[2], counts[match[2]]))
    assert len(found) > 60
    return found


def run_traced(strace, folder, faults):
    """A training under strace; its result."""
    words = [strace, "-f", "-y", "-e", f"trace={','.join(CALLS)}", "-o", str(folder / "log")]
    for fault in faults:
        words += ["-e", f"inject={fault}"]
    words += [sys.executable, "-m", "lenet", *WORDS, "--out", str(folder / "run")]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(words, capture_output=True, text=True, env=env, timeout=120)


def check_end(folder, undisturbed):
    """A run that is there goes on to the same files; one that is not leaves its place free."""
    if (folder / "run" / "receipt.json").is_file():
        resume_run(folder / "run")
    else:
        train_run(out=folder / "run", **RECIPE)
    assert content(folder / "run") == undisturbed


def kill(strace, saves, undisturbed, folder):
    """Kill a training after each of its calls; how many kills met it."""

    def kill_one(save):
        call, number = save
        place = folder / f"{call}{number}"
        place.mkdir()
        done = run_traced(strace, place, [f"{call}:signal=KILL:when={number}"])
        check_end(place, undisturbed)
        shutil.rmtree(place)
        return done.returncode != 0

    return sum(on_all_cores(kill_one, saves))


def fail(strace, saves, undisturbed, folder):
    """Let each call of a training fail; how many failures were met."""

    def fail_one(fault):
        call, number, error = fault
        place = folder / f"{call}{number}{error}"
        place.mkdir()
        done = run_traced(strace, place, [f"{call}:error={error}:when={number}"])
        assert "Traceback" not in done.stderr, (fault, done.stderr)
        assert done.returncode in DOCUMENTED, (fault, done.stderr)
        met = "(INJECTED)" in (place / "log").read_text(errors="replace")
        check_end(place, undisturbed)
        shutil.rmtree(place)
        return met

    faults = [
        (*save, error)
        for save in saves
        for error in (ERRORS[:1] if save[0] in ("close", "flock") else ERRORS)
    ]
    return sum(on_all_cores(fail_one, faults))


def on_all_cores(function, items):
    """What it gives for each, several at once: each is a process that is waited for."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def spread(found, count):
    """`count` of `found`, evenly."""
    return found[:: max(1, len(found) // count)][:count]


@pytest.mark.thorough
def test_some_calls_of_a_save_are_killed(strace, saves, undisturbed, tmp_path):
    assert kill(strace, spread(saves, SHORT), undisturbed, tmp_path) >= 1


@pytest.mark.thorough
def test_some_calls_of_a_save_fail(strace, saves, undisturbed, tmp_path):
    assert fail(strace, spread(saves, 2), undisturbed, tmp_path) >= 1


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_every_call_of_the_saves_is_killed(strace, saves, undisturbed, tmp_path):
    hits = kill(strace, saves, undisturbed, tmp_path)
    print(f"{hits} of {len(saves)} kills met a training; all went on to the same files")
    assert hits > 0.9 * len(saves)


@pytest.mark.soak
@pytest.mark.timeout(14400)
def test_every_call_of_the_saves_fails(strace, saves, undisturbed, tmp_path):
    hits = fail(strace, saves, undisturbed, tmp_path)
    print(f"{hits} errors were met; each was one line, and all went on to the same files")
    assert hits > len(saves)


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """What a disk may hold of a training after each loss of power."""
    folder = tmp_path_factory.mktemp("power")
    (folder / "disk").mkdir()
    words = [sys.executable, HERE / "power_loss.py", folder / "states", folder / "disk"]
    subprocess.run(words, check=True, timeout=240)
    return pickle.loads((folder / "states").read_bytes())  # noqa: S301 - our own


def lose_power(states, undisturbed, folder):
    """Go on from each state that holds a run; how many do."""
    held = 0
    for index, (what, state) in enumerate(states):
        place = folder / str(index)
        for name, data in state.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        if "run/receipt.json" not in state:
            continue
        held += 1
        (place / "run" / "checkpoints").mkdir(exist_ok=True)
        assert lenet.open_run(place / "run").checkpoint("last"), what
        check_end(place, undisturbed)
        shutil.rmtree(place)
    return held


def test_some_losses_of_power_lose_nothing(losses, undisturbed, tmp_path):
    whole = [each for each in losses if "run/receipt.json" in each[1]]
    assert lose_power(spread(whole, 6), undisturbed, tmp_path) == 6


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_loss_of_power_loses_anything(losses, undisturbed, tmp_path):
    held = lose_power(losses, undisturbed, tmp_path)
    print(f"{held} of {len(losses)} states after a loss of power held a run; all went on")
    # From the moment at which the folder gets its name there is a run, whatever is lost.
    begun = [what for what, _ in losses].index("after rename to run")
    assert ["run/receipt.json" in state for _, state in losses] == [
        place >= begun for place in range(len(losses))
    ]
    assert held == len(losses) - begun > 40
