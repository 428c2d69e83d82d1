"""`lenet predict` where processes die, pictures kill or hang them, and on 1,000 bad files."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import hostile
import numpy as np
import pytest
from conftest import need, run_lenet, start_lenet, workers
from PIL import Image
from predicting import content, dark_digit, predict, rows_of
from sklearn.datasets import load_digits

from lenet.prediction import bulk
from lenet.prediction.bulk import attempt
from lenet.prediction.bulk.attempt import Attempt, TimeLimit

# Processes that die


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """1,000 files, some of them no pictures at all."""
    folder = tmp_path_factory.mktemp("many") / "many"
    folder.mkdir()
    digits = load_digits().images
    for index in range(1000):
        path = folder / f"{index:04d}.png"
        if index % 100 == 7:
            path.write_bytes(b"no picture")
        else:
            Image.fromarray((digits[index] * (255 / 16)).astype(np.uint8)).resize((64, 64)).save(
                path
            )
    return folder


def wait_for_shards(process, out, count):
    while process.poll() is None and len(list(out.glob("digests/*"))) < count:
        time.sleep(0.002)


def sleep_for(seconds):
    return lambda _: time.sleep(seconds)


def kill_and_resume(run, many, out, moments):
    """Start, kill -9 when each of `moments` (called with the process) is there, go to the end."""
    hits = 0
    words = ("predict", run, many, "--out", out, "--shard-rows", 10, "--quiet")
    for wait, victim in moments:
        process = start_lenet(*words)
        wait(process)
        targets = [process.pid] if victim == "driver" else workers(process.pid)[:1]
        if process.poll() is None and targets:
            os.kill(targets[0], signal.SIGKILL)
            hits += 1
        process.communicate(timeout=240)
        if process.returncode == 3:
            break
    code, _, err = run_lenet(*words)
    assert code == 3
    assert "10 of 1,000 inputs could not be used" in err
    return hits


@pytest.fixture(scope="module")
def undisturbed(digits_run, many, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    started = time.monotonic()
    kill_and_resume(digits_run.path, many, out, [])
    return out, time.monotonic() - started


@pytest.mark.thorough
def test_kill_9_of_the_driver_and_of_a_worker_changes_no_byte(
    digits_run, many, undisturbed, tmp_path
):
    out = tmp_path / "out"
    moments = [
        (lambda process: wait_for_shards(process, out, 20), "driver"),
        (lambda process: wait_for_shards(process, out, 60), "worker"),
    ]
    assert kill_and_resume(digits_run.path, many, out, moments) == 2
    assert content(out) == content(undisturbed[0])


def test_a_driver_that_is_killed_before_the_first_task_leaves_no_process(
    digits_run, many, tmp_path
):
    process = start_lenet("predict", digits_run.path, many, "--out", tmp_path / "out", "--quiet")
    while not workers(process.pid):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)  # ends when the last process that could write has ended


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_20_kills_at_random_moments_change_no_byte(digits_run, many, undisturbed, tmp_path, victim):
    expected, seconds = undisturbed
    dice, hits, rounds = np.random.default_rng(20), 0, 0
    while hits < 20:
        out = tmp_path / str(rounds)
        moments = [(sleep_for(dice.uniform(0.1, seconds)), victim) for _ in range(4)]
        hits += kill_and_resume(digits_run.path, many, out, moments)
        assert content(out) == content(expected)
        rounds += 1
    print(f"\n{hits} kills of a {victim} in {rounds} predictions; all ended with the same bytes")


KILLER = """
import os, signal, time
from PIL import ImageFile
import lenet.prediction.bulk.attempt
lenet.prediction.bulk.attempt.MOST_SECONDS = 10.0
load = ImageFile.ImageFile.load
def load_or_die(self):
    if self.size == (13, 17):
        os.kill(os.getpid(), signal.SIGKILL)
    if self.size == (13, 18):
        time.sleep(1000)
    return load(self)
ImageFile.ImageFile.load = load_or_die
"""


@pytest.mark.thorough
def test_a_picture_that_kills_or_hangs_its_process_is_found_and_isolated(digits_run, tmp_path):
    """A decoder with two bugs is put in, in every process of this test."""
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(30):
        dark_digit(index).save(folder / f"{index:03d}.png")
    Image.new("L", (13, 17), 255).save(folder / "005.png")
    Image.new("L", (13, 18), 255).save(folder / "015.png")
    path = os.pathsep.join([str(tmp_path), str(Path(bulk.__file__).parents[3])])
    words = (digits_run.path, folder, "--out", tmp_path / "out", "--shard-rows", 10)
    code, _, err = predict(*words, env={**os.environ, "PYTHONPATH": path})
    assert code == 3, err
    assert "a process was lost" in err
    assert rows_of(tmp_path / "out" / "errors.csv") == [
        {"path": f"{folder}/005.png", "reason": "reading it kills the process (exit -9)"},
        {"path": f"{folder}/015.png", "reason": "reading it takes more than 10 s"},
    ]
    rows = list(bulk.PredictionFolder(tmp_path / "out").rows())
    assert len(rows) == 28
    assert not (tmp_path / "out" / ".attempts").exists()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such clock")
def test_the_clock_of_a_picture_is_set_for_each_second_and_off_after_an_error(monkeypatch):
    monkeypatch.setattr(attempt, "SET_SECONDS", 0.05)
    with pytest.raises(OSError, match="a disk"), TimeLimit(is_ours=True) as limit:  # noqa: PT012
        limit.start()
        first = signal.getitimer(signal.ITIMER_REAL)[0]
        assert attempt.MOST_SECONDS < first <= attempt.MOST_SECONDS + attempt.SET_SECONDS
        time.sleep(0.1)
        limit.start()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > attempt.MOST_SECONDS
        limit.stop()
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        limit.start()
        raise OSError("a disk")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with TimeLimit(is_ours=False) as limit:
        limit.start()
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_try_that_ends_early_leaves_where_it_was(tmp_path):
    first = Attempt(tmp_path / "a" / "3")
    assert first.suspects == frozenset()
    first.at(5)
    second = Attempt(tmp_path / "a" / "3")
    assert second.suspects == {5}
    second.at(8)
    third = Attempt(tmp_path / "a" / "3")
    assert third.suspects == {5, 8}
    third.end()
    assert not list((tmp_path / "a").iterdir())
    (tmp_path / "a" / "3").write_bytes(b"odd")
    assert Attempt(tmp_path / "a" / "3").suspects == frozenset()


# A cluster that loses a node


@pytest.mark.thorough
def test_a_cluster_that_loses_a_node_gives_the_same_bytes(
    cluster, digits_run, many, undisturbed, tmp_path
):
    address, shards = cluster.stdout.readline().strip(), tmp_path / "out" / "shards"
    words = ("predict", digits_run.path, many, "--out", tmp_path / "out", "--shard-rows", 10)
    process = start_lenet(*words, "--cluster", address)
    while not (shards.exists() and list(shards.iterdir())):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    _, err = process.communicate(timeout=200)
    assert process.returncode == 3, err
    assert "10 of 1,000 inputs could not be used" in err
    assert content(tmp_path / "out") == content(undisturbed[0])
    (session,) = json.loads((tmp_path / "out" / "receipt.json").read_text())["sessions"]
    assert session["where"] == "a Ray cluster"


# 1,000 files that nobody would want to meet

MOST_MEMORY = 2 << 30
"""Bytes that one process may have in memory; most is for 49 million pixels of 16 bits."""


def documented_outcomes():
    """Kind of file -> `answered`, or the pattern of the reason, as the table in the docs says."""
    page = (Path(__file__).parents[1] / "docs" / "predict.md").read_text()
    section = page.split("## Odd and hostile files")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", section, re.MULTILINE)
    return {kind: outcome for kind, outcome in rows if kind != "file" and set(kind) != {"-"}}


def fits(outcome, answered, text):
    """Whether what became of a file is what its row says; words between backticks are literal."""
    if outcome.startswith("answered") and answered:
        wanted = re.findall(r"`([^`]+)`", outcome.partition(" or refused")[0])
        return all(as_pattern(word).search(text) for word in wanted)
    refusals = re.findall(r"`([^`]+)`", outcome.partition("refused")[2])
    return not answered and any(as_pattern(word).match(text) for word in refusals)


def as_pattern(words):
    number = re.sub(r"\bN\b", r"[\\d,x]+", re.escape(words))
    return re.compile(number.replace(r"\.\.\.", ".*"))


def watch(process):
    """Wait for `process`; the most memory that it or a process below it ever had, in bytes."""
    most = {}
    while process.poll() is None:
        for pid in [process.pid, *workers(process.pid)]:
            try:
                text = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            if found := re.search(r"VmHWM:\s+(\d+) kB", text):
                most[pid] = int(found[1]) * 1024
        time.sleep(0.02)
    process.communicate()
    return max(most.values())


@pytest.mark.thorough
@pytest.mark.timeout(200)
def test_1000_hostile_files_each_with_its_documented_outcome(digits_run, tmp_path):
    need(sys.platform == "linux", "FIFOs, sockets and /proc: run this on Linux")
    folder = tmp_path / "in"
    folder.mkdir()
    kinds = hostile.make(folder)
    assert len(kinds) == hostile.COUNT
    with open(tmp_path / "err", "w") as err:
        process = start_lenet(
            "predict", digits_run.path, folder, "--out", tmp_path / "out", stderr=err
        )
        most = watch(process)
    assert process.returncode == 3
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert most < MOST_MEMORY
    predictions = bulk.PredictionFolder(tmp_path / "out")
    found = [(row["path"], True, row["notes"]) for row in predictions.rows()]
    problems = rows_of(tmp_path / "out" / "errors.csv")
    found += [(row["path"], False, row["reason"]) for row in problems]
    assert sorted(path for path, _, _ in found) == sorted(kinds), "every file exactly once"
    table = documented_outcomes()
    if os.geteuid() == 0:  # nothing is closed to root
        table["a file that may not be read"] = "answered"
    assert set(table) == set(kinds.values())
    for path, answered, text in found:
        assert fits(table[kinds[path]], answered, text), (kinds[path], answered, text)
