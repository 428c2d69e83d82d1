"""Studies at work: real trainings in real processes, killed and resumed, here and on Ray."""

import csv
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import is_alive, need_module, run_lenet, start_lenet, workers

from lenet import studies
from lenet.errors import StudyError
from lenet.recipe import Recipe
from lenet.studies.measurement import Order, measure
from lenet.studies.statistics import compare
from lenet.studies.study import Task, parse
from lenet.system.tasks import Outcome, run_tasks

QUICK = """
title = "A quick study"
question = "Does the machine work?"
data = "digits"
seeds = 3
control = "sigmoid"
learning_rates = [0.2, 0.9]

[recipe]
validation = 300
epochs = 2
batch_size = 64

[arms.sigmoid]
head_activation = "sigmoid"

[arms."sigmoid again"]
head_activation = "sigmoid"
seed_offset = 1000

[arms.identity]
head_activation = "identity"
"""
RUNS = 3 * 2 * 3


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("study") / "quick.toml"
    file.write_text(QUICK)
    return file


@pytest.fixture(scope="module")
def finished(study_file):
    """The study run without a disturbance, and what it printed."""
    out = study_file.parent / "undisturbed"
    code, text, err = run_lenet("study", "run", study_file, "--out", out)
    assert code == 0, err
    return out, text, err


def answer(folder):
    """Every byte that must depend on the study alone."""
    names = ["runs.csv", "comparisons.csv", "study.toml"]
    names += [f"runs/{path.name}" for path in sorted((folder / "runs").iterdir())]
    return {name: (folder / name).read_bytes() for name in names}


def test_the_folder_holds_runs_tables_figures_and_the_report(finished):
    out, text, err = finished
    names = {path.name for path in out.iterdir()} - {".lock"}
    assert names == {
        "manifest.json", "study.toml", "receipt.json", "failures.json", "runs", "runs.csv",
        "comparisons.csv",
        "report.html", "scores.png", "differences.png", "differences-base.png", "divergence.png",
        "mechanism.png",
    }  # fmt: skip
    assert len(list((out / "runs").iterdir())) == RUNS
    assert f"{RUNS}/{RUNS} " in err
    assert "The control against itself with other seeds (sigmoid again)" in text
    assert "So few pairs (3) can show nothing" in text
    with open(out / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == RUNS
    assert {row["arm"] for row in rows} == {"sigmoid", "sigmoid again", "identity"}
    assert all(0.05 < float(row["test_accuracy"]) < 1.0 for row in rows)


def test_a_run_that_diverges_is_counted_with_the_score_of_guessing(finished):
    out, text, _ = finished
    with open(out / "runs.csv", newline="") as file:
        dead = [row for row in csv.DictReader(file) if row["divergence"]]
    assert dead, "the identity head diverges at 0.9"
    for row in dead:
        assert row["arm"] == "identity"
        assert row["test_accuracy"] == "0.1"
        assert int(row["updates"]) > 0
        assert float(row["test_loss"]) == pytest.approx(np.log(10))
    assert f"identity {len(dead)} of 3 at 0.9" in text


def test_the_report_says_it_all_and_asks_for_nothing(finished):
    page = (finished[0] / "report.html").read_text()
    for words in ("A quick study", "Does the machine work?", "Answer", "Which trainings diverged"):
        assert words in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == 5


def test_a_second_start_repeats_nothing(finished, study_file):
    out = finished[0]
    before = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    (out / "runs" / ".0.json.1.partial").write_text("what a killed process left")
    code, _, err = run_lenet("study", "run", study_file, "--out", out)
    assert code == 0
    assert f"{RUNS}/{RUNS}" not in err
    assert {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()} == before


def test_status_says_what_is_left(finished, tmp_path):
    folder = studies.StudyFolder(tmp_path)
    study = studies.StudyFolder(finished[0]).study()
    with folder.lock():
        folder.begin(study)
    tasks = list(study.tasks())
    folder.write(tasks[0], studies.StudyFolder(finished[0]).result(tasks[0]))
    folder.write_failures([(tasks[1], "no such disk")])
    code, text, _ = run_lenet("study", "status", tmp_path)
    assert code == 0
    assert f"1 of {RUNS} runs are done" in text
    assert "no such disk" in text
    with pytest.raises(StudyError, match="no seed has all its runs yet"):
        studies.write_report(folder)


def test_the_same_task_gives_the_same_result_and_looks_at_the_test_split_once(finished):
    out = finished[0]
    study = studies.StudyFolder(out).study()
    task = next(iter(study.tasks()))
    again = json.loads(json.dumps(measure(Order(task))))
    assert again == studies.StudyFolder(out).result(task)
    assert all("test_accuracy" not in row for row in again["epochs"])


def kill_and_resume(study_file, out, moments, victim):
    """Start the study, kill -9 the driver or one of its workers; resume; how often it was hit.

    A moment is in seconds after the start of the driver, or of its first worker.
    """
    hits = 0
    for moment in moments:
        process = start_lenet("study", "run", study_file, "--out", out, "--processes", 2)
        while victim == "worker" and not workers(process.pid) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(moment)
        below = workers(process.pid)
        targets = [process.pid] if victim == "driver" else below[:1]
        if process.poll() is None and targets:
            os.kill(targets[0], signal.SIGKILL)
            hits += 1
        _, err = process.communicate(timeout=240)
        assert victim == "driver" or process.returncode == 0, err
        while any(is_alive(worker) for worker in below):
            time.sleep(0.05)
    code, _, err = run_lenet("study", "run", study_file, "--out", out)
    assert code == 0, err
    return hits


@pytest.mark.thorough
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_kill_9_of_the_driver_or_a_worker_changes_nothing(study_file, finished, tmp_path, victim):
    assert kill_and_resume(study_file, tmp_path, [3.0], victim) == 1
    assert answer(tmp_path) == answer(finished[0])


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_20_kills_at_random_moments_change_nothing(study_file, finished, tmp_path, victim):
    dice, hits, rounds = np.random.default_rng(20), 0, 0
    while hits < 20:
        out = tmp_path / str(rounds)
        moments = [dice.uniform(1.0, 8.0) for _ in range(4 if victim == "driver" else 1)]
        hits += kill_and_resume(study_file, out, moments, victim)
        assert answer(out) == answer(finished[0])
        rounds += 1
    print(f"\n{hits} kills of a {victim} in {rounds} studies; all ended with the same bytes")


def test_a_failed_run_ends_with_exit_3_and_is_tried_again(study_file, tmp_path, monkeypatch):
    broken = QUICK.replace("validation = 300", "validation = 300\nlabel_smoothing = 0.1")
    study = parse(broken, "broken", "broken")
    folder = studies.StudyFolder(tmp_path)

    def tasks_with_one_error(function, items, **_):
        yield Outcome(0, error="no memory")

    monkeypatch.setattr("lenet.studies.running.run_tasks", tasks_with_one_error)
    with pytest.raises(studies.running.PartialError, match=rf"1 of {RUNS} runs failed.*no memory"):
        studies.run_study(study, tmp_path)
    assert list(folder.failures().values()) == ["no memory"]
    assert len(folder.missing(study)) == RUNS


@pytest.mark.thorough
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"task": {}',
        *(
            pytest.param(each, marks=pytest.mark.soak)
            for each in (b"\0" * 500, b"{}", b"[1]", b"\xff")
        ),
    ],
)
def test_a_damaged_file_of_a_run_is_no_run_and_is_done_again(
    finished, study_file, tmp_path, monkeypatch, damage
):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    study, folder = studies.StudyFolder(out).study(), studies.StudyFolder(str(out))
    task = list(study.tasks())[-1]
    (out / "runs" / f"{task.key}.json").write_bytes(damage)
    for name in ("receipt.json", "failures.json"):
        (out / name).write_bytes(damage)
    code, text, _ = run_lenet("study", "status", out)
    assert code == 0
    assert f"{RUNS - 1} of {RUNS} runs are done" in text
    assert "damaged, and done again by the next lenet study run: 1 runs" in text
    with pytest.warns(UserWarning, match="receipt.json is damaged"):
        studies.write_report(folder)  # of the seeds that are whole
    result = studies.StudyFolder(finished[0]).result(task)

    def do(function, items, **_):
        assert [order.task.key for order in items] == [task.key]
        yield Outcome(0, result)

    monkeypatch.setattr("lenet.studies.running.run_tasks", do)
    with pytest.warns(UserWarning, match="damaged") as said:
        studies.run_study(study, out)
    assert f"1 files of finished runs are damaged, the first one is runs/{task.key}.json" in str(
        [str(warning.message) for warning in said]
    )
    monkeypatch.undo()
    studies.write_report(folder)
    assert answer(out) == answer(finished[0])


def test_runs_of_another_engine_are_said_when_a_study_goes_on(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    study, folder = studies.StudyFolder(out).study(), studies.StudyFolder(out)
    task = next(study.tasks())
    folder.write(task, {**folder.result(task), "engine": "native of elsewhere"})
    with pytest.warns(UserWarning, match="of 2 engines .*native of elsewhere.* round differently"):
        studies.run_study(study, out)


def test_a_result_of_another_task_is_none(finished, tmp_path):
    folder = studies.StudyFolder(finished[0])
    first, second = list(folder.study().tasks())[:2]
    (tmp_path / "runs").mkdir()
    text = (finished[0] / "runs" / f"{first.key}.json").read_text()
    (tmp_path / "runs" / f"{second.key}.json").write_text(text)
    assert studies.StudyFolder(tmp_path).result(second) is None


def test_one_seed_is_reported(tmp_path):
    file = tmp_path / "one.toml"
    file.write_text(QUICK.replace("[0.2, 0.9]", "[0.2]").replace("epochs = 2", "epochs = 1"))
    words = ("study", "run", file, "--out", tmp_path / "one", "--seeds", "1")
    code, _, err = run_lenet(*words)
    assert code == 0, err
    assert "1 seed" in (tmp_path / "one" / "report.html").read_text()
    assert run_lenet("runs", tmp_path) == (0, f"no run is in {tmp_path}/\n", "")


def test_another_study_does_not_take_the_place_of_one(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    before = answer(out)
    other = QUICK.replace("epochs = 2", "epochs = 1")
    assert other != QUICK
    file = tmp_path / "other.toml"
    file.write_text(re.sub(r'question = ".*"', 'question = "Another one?"', other))
    code, _, err = run_lenet("study", "run", file, "--out", out)
    assert code == 2
    said = "another study ran here, 'A quick study', which has no run in common with this one"
    assert err == f"lenet: error: {out}: {said}; choose another --out\n"
    assert answer(out) == before


def test_a_study_never_runs_in_a_run_or_in_predictions(digits_run, study_file, tmp_path):
    (tmp_path / "manifest.json").write_text('{"kind": "lenet predictions"}')
    (tmp_path / "runs").mkdir()
    study = studies.find(str(study_file))
    for path in (digits_run.path, tmp_path):
        before = {each.name for each in path.iterdir()}
        with pytest.raises(StudyError, match=r"not a folder of lenet studies: no manifest\.json"):
            studies.run_study(study, path)
        assert {each.name for each in path.iterdir()} == before
    assert digits_run.receipt()["model"]


def test_a_study_whose_folder_cannot_be_written_ends_in_one_line(study_file, tmp_path):
    words = ["study", "run", str(study_file), "--out", str(tmp_path / "out"), "--quiet"]
    limited = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$0" -m lenet "$@"', sys.executable]
    done = subprocess.run([*limited, *words], capture_output=True, text=True, check=False)
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr


def runs_under(temporary):
    """The runs of studies in a temporary folder, which may be cleared meanwhile."""
    found = glob.glob(f"{temporary}/lenet-study-*/*/run")  # noqa: PTH207 - pathlib's would fail then
    return set(found)


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_study_with_a_sentence_its_code_and_nothing_left(
    study_file, tmp_path, number
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = start_lenet(
        "study", "run", study_file, "--out", tmp_path / "out", "--processes", 1,
        env={**os.environ, "TMPDIR": str(temporary)}, start_new_session=True,
    )  # fmt: skip
    while not runs_under(temporary):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, number)  # as a terminal does: workers get it too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    said = f"lenet: error: stopped by {name}; finished runs are kept, and the same command goes on"
    assert err.splitlines()[-1] == said
    assert not [line for line in err.splitlines()[:-1] if not re.match(r"\d+/", line)]
    assert not list(temporary.iterdir())


@pytest.mark.thorough
def test_what_a_killed_study_left_in_the_temporary_folder_is_cleared(study_file, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ("study", "run", study_file, "--out", tmp_path / "out", "--processes", 1)
    left = set()
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = start_lenet(*words, env={**os.environ, "TMPDIR": str(temporary)})
        while not (there := runs_under(temporary)) - left:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        assert not there & left, "what was left is gone before the first run"
        process.send_signal(number)
        process.communicate(timeout=60)
        left = there
    assert not list(temporary.iterdir())


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_control_against_itself_is_null_and_a_planted_point_is_found():
    """20 repetitions of 10 pairs of real trainings whose settings are the same."""
    recipe = Recipe(optimizer="adamw", learning_rate=0.002, batch_size=32, validation=200)
    tasks = [Task("lenet5", (), "digits", recipe.with_changes({"seed": s})) for s in range(400)]
    found = {out.index: out.value for out in run_tasks(measure, [Order(task) for task in tasks])}
    scores = np.array([found[index]["test_accuracy"] for index in range(400)]).reshape(20, 2, 10)
    null = [compare([second], first)[0] for first, second in scores]
    shown = sum(pair.is_shown for pair in null)
    planted = [compare([second + 0.01], first)[0] for first, second in scores.reshape(10, 2, 20)]
    print(
        f"\nA/A: {shown} of 20 differ at the 5 % level; mean {np.mean([p.mean for p in null]):+.5f}"
        f"\nplanted 1 point, 20 pairs: {sum(p.is_shown for p in planted)} of 10 found"
    )
    assert shown <= 3, "more than 3 of 20 happens in 1.6 % of such tests"
    assert sum(pair.is_shown for pair in planted) >= 8


@pytest.mark.thorough
def test_a_cluster_that_loses_a_node_gives_the_same_bytes(cluster, study_file, finished, tmp_path):
    address, runs = cluster.stdout.readline().strip(), tmp_path / "runs"
    words = ("study", "run", study_file, "--out", tmp_path, "--cluster", address)
    process = start_lenet(*words)
    while not (runs.exists() and list(runs.iterdir())):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    cluster.stdin.write("kill\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "killed\n"
    assert len(list(runs.iterdir())) < RUNS
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert answer(tmp_path) == answer(finished[0])


def test_a_cluster_that_is_not_there_is_said(study_file, tmp_path):
    need_module("ray", "pip install 'lenet[ray]'")
    code, _, err = run_lenet(
        "study", "run", study_file, "--out", tmp_path, "--cluster", "127.0.0.1:1"
    )
    assert code == 7
    assert err.startswith("lenet: error: no Ray cluster answers at 127.0.0.1:1")
    assert "Traceback" not in err


def test_data_that_an_arm_cannot_take_are_said_before_any_run(study_file, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8), np.uint8)
    np.savez(tmp_path / "small.npz", images=images, labels=np.arange(400) % 10)
    small = tmp_path / "small.toml"
    small.write_text(QUICK.replace('"digits"', f'"{tmp_path}/small.npz"'))
    code, _, err = run_lenet("study", "run", small, "--out", tmp_path / "out")
    assert code == 2
    assert re.search(
        r"arm 'sigmoid': .* the images of small are 8x8 .*for a study in the file", err
    ), err
    few = tmp_path / "few.toml"
    few.write_text(QUICK.replace("validation = 300", "validation = 1437"))
    code, _, err = run_lenet("study", "run", few, "--out", tmp_path / "out")
    assert code == 2
    assert "arm 'sigmoid': validation = 1437: digits has only 1437 train images" in err
    assert not (tmp_path / "out").exists()
