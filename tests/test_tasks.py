"""Tasks in processes of their own: whatever one of them does, the others are done."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import need, workers

from lenet.errors import DivergenceError, EngineError
from lenet.system.tasks import run_tasks


def outcomes_of(function, items, **options):
    return {outcome.index: outcome for outcome in run_tasks(function, items, **options)}


def square(number):
    return number * number


def wait_a_little(seconds):
    time.sleep(seconds)
    return seconds


def test_outcomes_come_as_they_end_and_say_which_task_they_are_of():
    found = list(run_tasks(wait_a_little, [1.5, 0.0, 0.0], processes=2))
    assert [outcome.index for outcome in found] == [1, 2, 0]
    assert [outcome.value for outcome in found] == [0.0, 0.0, 1.5]


def test_no_task_is_no_process():
    assert list(run_tasks(square, [])) == []
    assert not workers(os.getpid())


def process_number(_):
    return os.getpid()


def test_tasks_are_in_other_processes_even_one_at_a_time():
    (found,) = {outcome.value for outcome in run_tasks(process_number, range(3), processes=1)}
    assert found != os.getpid()


def fail_for_odd_numbers(number):
    if number % 2:
        raise ValueError(f"{number} is odd")
    if number == 4:
        raise DivergenceError("four", 1, 1, collapsed=False)
    return number * number


def test_an_error_in_one_task_is_in_its_outcome_and_the_others_are_done():
    found = outcomes_of(fail_for_odd_numbers, range(6))
    assert {index: outcome.value for index, outcome in found.items()} == {
        0: 0, 1: None, 2: 4, 3: None, 4: None, 5: None,
    }  # fmt: skip
    assert re.fullmatch(r"ValueError in test_tasks.py:\d+: 3 is odd", found[3].error)
    assert found[4].error == "four"


def give_what_cannot_be_sent(number):
    return (lambda: number) if number else number


def test_a_value_that_cannot_be_sent_is_an_error_and_kills_nobody():
    found = outcomes_of(give_what_cannot_be_sent, range(2), processes=1)
    assert found[0].value == 0
    assert re.match(r"its value cannot be sent: .*lambda", found[1].error)


def die(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_that_kills_its_process_every_time_is_given_up_and_harms_no_other():
    with pytest.warns(UserWarning, match="a process was lost; its task is tried again") as said:
        found = outcomes_of(die, range(6), processes=2)
    assert len(said) == 2
    assert found.pop(1).error == "its process died 3 times in a row"
    assert {index: out.value for index, out in found.items()} == {0: 0, 2: 2, 3: 3, 4: 4, 5: 5}


@pytest.mark.thorough
def test_on_a_cluster_too_such_a_task_is_given_up(cluster):
    """In a process of its own: Ray reads what the cluster's fixture sets when it is imported."""
    address = cluster.stdout.readline().strip()
    program = (
        "import sys; from test_tasks import die, outcomes_of\n"
        "found = outcomes_of(die, range(4), cluster=sys.argv[1])\n"
        "print(*((out.value, out.error) for _, out in sorted(found.items())), sep='\\n')"
    )
    words = [sys.executable, "-c", program, address]
    done = subprocess.run(
        words, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=200, check=True
    )
    lost = "its process or node died 3 times in a row (WorkerCrashedError)"
    said = done.stdout.splitlines()[-4:]  # Ray itself tells of workers that died
    assert said == ["(0, None)", f"(None, {lost!r})", "(2, None)", "(3, None)"]


def die_once(folder):
    mark = Path(folder) / "was here"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_a_task_whose_process_is_killed_once_is_done(tmp_path):
    with pytest.warns(UserWarning, match="a process was lost"):
        (outcome,) = run_tasks(die_once, [tmp_path], processes=2)
    assert outcome.value == "done"


def print_everywhere(number):
    print(f"task {number} speaks" * 1000)
    os.write(1, b"past Python too")
    return number


def test_what_a_task_prints_does_not_stand_between_the_answers(capfd):
    found = outcomes_of(print_everywhere, range(4), processes=2)
    assert [found[index].value for index in range(4)] == [0, 1, 2, 3]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("past Python too") == 4


CLOSED = """
import sys
from lenet.system.tasks import run_tasks
import test_tasks
values = sorted(outcome.value for outcome in run_tasks(test_tasks.print_everywhere, range(4)))
open(sys.argv[1], "w").write(str(values))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_tasks_are_done_where_a_stream_is_closed(tmp_path, closed):
    command = f'"$0" -c "$1" "$2" {closed}'
    words = ["sh", "-c", command, sys.executable, CLOSED, str(tmp_path / "said")]
    subprocess.run(words, check=True, timeout=60, cwd=Path(__file__).parent)
    assert (tmp_path / "said").read_text() == "[0, 1, 2, 3]"


class Lazy:
    """Numbers that are made when they are asked for, and remember which were."""

    def __init__(self, count):
        self.count, self.asked = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        return index


def test_items_are_asked_for_when_there_is_room():
    items = Lazy(1000)
    with closing(run_tasks(first_quick_then_slow, items, processes=2)) as outcomes:
        next(outcomes)
    assert len(items.asked) <= 6


def sleep_for_ever(_):
    time.sleep(1000)


def test_closed_early_it_leaves_no_process():
    outcomes = run_tasks(first_quick_then_slow, range(4), processes=2)
    next(outcomes)
    assert workers(os.getpid())
    outcomes.close()
    assert not workers(os.getpid())


def first_quick_then_slow(number):
    if number:
        time.sleep(1000)


DRIVER = """
import test_tasks
from lenet.system.tasks import run_tasks
list(run_tasks(test_tasks.sleep_for_ever, range(4), processes=2))
"""


def start_driver(**options):
    here = Path(__file__).parent
    process = subprocess.Popen([sys.executable, "-c", DRIVER], cwd=here, text=True, **options)
    while len(workers(process.pid)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def is_there(pid):
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_workers_end_soon_after_a_driver_that_is_killed():
    need(sys.platform == "linux", "/proc: run this on Linux")
    process = start_driver(stderr=subprocess.PIPE)
    below = workers(process.pid)
    process.kill()
    # The pipe ends when the last process that could write to it has ended.
    assert process.communicate(timeout=60)[1] == ""
    while any(map(is_there, below)):
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_workers_leave_a_signal_to_the_driver_from_their_first_moment(number):
    need(sys.platform == "linux", "/proc: run this on Linux")
    process = start_driver(stderr=subprocess.PIPE)
    for pid in workers(process.pid):
        os.kill(pid, number)
    time.sleep(1.0)
    assert len(workers(process.pid)) == 2
    assert process.poll() is None
    process.kill()
    assert process.communicate(timeout=60)[1] == ""


def test_a_module_in_the_current_folder_is_not_taken_for_pythons(tmp_path, monkeypatch):
    """A folder of pictures that somebody else made is no place to import from."""
    for name in ("numpy", "pickle", "lenet"):
        (tmp_path / f"{name}.py").write_text("open('was imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert outcomes_of(square, [3])[0].value == 9
    assert not (tmp_path / "was imported").exists()


def test_a_process_that_cannot_be_started_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(EngineError, match="no process can be started: No such file"):
        list(run_tasks(square, range(4)))


def test_no_warning_is_said_of_processes_that_are_ended_on_purpose():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with closing(run_tasks(first_quick_then_slow, range(4), processes=2)) as outcomes:
            next(outcomes)
