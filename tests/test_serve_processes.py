"""`lenet serve --processes`: who answers, what is counted, who dies, who is left."""

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from conftest import is_alive, need_module, run_lenet, start_lenet, train_run, workers
from serving import digits, request, serving, tensor

need_module("uvicorn", "pip install 'lenet[serve]'")

from prometheus_client.parser import text_string_to_metric_families

from lenet.errors import MachineError, UsageError
from lenet.runs import checkpoint as checkpoints
from lenet.serve import process, processes, totals
from lenet.serve.child import greeting, settings_of
from lenet.serve.journal import MOST_BYTES, STANDARD_OUTPUT, Journal
from lenet.serve.limits import Limits
from lenet.serve.server import Settings

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="several processes are for Linux: run it there"
)

INFER = "/v2/models/digits/infer"
BOUND = 60
"""Seconds until a test gives up: this machine may be busy."""


def question():
    return {"inputs": [tensor(digits(1))]}


def children(running):
    return workers(running.process.pid, "lenet.serve.child")


def wait_until(condition, what):
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def wait_for_end(pids):
    wait_until(lambda: not any(map(is_alive, pids)), "a process is left behind")


def sockets_of(pid):
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed at this moment
            found.append(str(each.readlink()))
    return sum(name.startswith("socket:") for name in found)


def samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(running):
    with running.client() as client:
        return samples(client.get("/metrics").text)


def families(running):
    with running.client() as client:
        return {each.name for each in text_string_to_metric_families(client.get("/metrics").text)}


@pytest.fixture
def several(service, digits_run):
    """Two processes; `service` says whether there can be a service."""
    with serving(digits_run.path, "--processes", 2) as running:
        yield running
        if running.process.poll() is None:
            pids = children(running)
            assert running.stop() == 0
            wait_for_end(pids)


def test_both_processes_answer_and_what_they_count_is_added_up(several, service):
    pids = children(several)
    before = [sockets_of(pid) for pid in pids]
    with ExitStack() as stack:
        clients = [stack.enter_context(several.client()) for _ in range(40)]
        for client in clients:
            assert client.post(INFER, json=question()).status_code == 200
        more = [sockets_of(pid) - was for pid, was in zip(pids, before, strict=True)]
        assert len(more) == 2
        assert all(more)  # the system's choice: all 40 in one are as likely as 40 heads in a row
        assert sum(more) == 40
        found = metrics(several)
        assert found["lenet_connections",] == 41
    assert found["lenet_processes",] == 2
    assert found["lenet_requests_total", "/v2/models/{model}/infer", "200"] == 40
    assert found["lenet_request_seconds_count", "/v2/models/{model}/infer"] == 40
    assert found["lenet_batch_images_sum", "digits"] == 40
    assert found["lenet_batch_images_bucket", "1.0", "digits"] == 40
    assert sum(value for name, value in found.items() if name[0] == "lenet_answers_total") == 40
    assert found["lenet_ready",] == 1
    assert {value for name, value in found.items() if name[0] == "lenet_model"} == {1}
    assert families(several) == {*families(service), "lenet_processes"}


def test_what_happens_to_all_is_said_once(several):
    several.process.send_signal(signal.SIGINT)
    assert several.process.wait(BOUND) == 0
    several.wait_for("ending: what is in flight is answered")
    assert len(several.lines) == 3
    assert several.lines[0].startswith("digits: lenet5, version ")
    assert several.lines[1].startswith("serving at http://127.0.0.1:")


def test_a_warning_of_all_is_one_line_and_said_once(service, tmp_path):
    long = {"data": "digits", "batch_size": 64, "learning_rate": 0.3, "epochs": 1}
    run = train_run(**long, out=tmp_path / "digits")
    newest = run.checkpoint_paths()[0]
    os.truncate(newest, 100)
    with serving(run.path, "--processes", 2) as running:
        first, *others = running.lines
    assert first.startswith(f"lenet: warning: {newest}: ")
    assert first.endswith("; falling back to the one before it\n")
    assert len(others) == 2, running.lines
    assert others[0].startswith("digits: lenet5, version 0-")


class Load:
    """Clients that ask over a new connection each time, from now until the end."""

    def __init__(self, running, clients=4):
        self.running, self.ended = running, threading.Event()
        self.answers, self.lost = [], []
        """When each connection was begun, and with what it ended."""
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        content = request(INFER, json.dumps(question()).encode())
        while not self.ended.is_set():
            begun = time.monotonic()
            try:
                status, _ = self.running.ask(content)
            except (OSError, ValueError) as error:  # none, or half an answer
                status = repr(error)
            (self.answers if status == 200 else self.lost).append((begun, status))

    def wait_for_more(self, count):
        enough = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= enough, "no answers come")

    def close(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(BOUND)


def test_a_process_that_is_killed_is_started_again_and_whoever_connects_later_is_answered(several):
    pids = children(several)
    load = Load(several)
    try:
        load.wait_for_more(100)
        counted = several.metric("lenet_requests_total")
        os.kill(pids[0], signal.SIGKILL)
        wait_for_end(pids[:1])
        killed = time.monotonic()
        several.wait_for("has ended (signal 9); it is started again")
        wait_until(lambda: metrics(several)["lenet_processes",] == 2, "it did not come again")
        load.wait_for_more(100)
    finally:
        load.close()
    assert [each for each in load.lost if each[0] > killed] == []
    assert len(load.lost) <= len(load.threads)
    assert len(children(several)) == 2
    assert set(children(several)) - set(pids)
    assert several.metric("lenet_requests_total") >= counted + 100  # nothing sinks


def test_no_process_outlives_a_parent_that_is_killed(service, digits_run):
    with serving(digits_run.path, "--processes", 2) as running:
        pids = children(running)
        with running.client() as client:
            assert client.post(INFER, json=question()).status_code == 200
            running.process.kill()
            running.process.wait()
        wait_for_end(pids)
        with pytest.raises(ConnectionRefusedError, match="refused"):
            running.connect()


def test_sighup_reaches_all(service, tmp_path):
    run = train_run(
        data="digits", batch_size=64, learning_rate=0.3, out=tmp_path / "digits", epochs=1
    )
    with serving(run.path, "--processes", 2) as running:
        (old,) = versions(running)
        change_unseen(run.checkpoint_paths()[0])
        running.process.send_signal(signal.SIGHUP)
        # Each process says which version answers; as long as one has the old one, so do all.
        wait_until(lambda: old not in versions(running), "a process was not reached")
        (new,) = versions(running)
        assert [line for line in running.lines if "answers from now on" in line] == [
            f"digits: version {new} answers from now on\n"
        ]


def versions(running):
    return {name[2] for name in metrics(running) if name[0] == "lenet_model"}


def change_unseen(path):
    """Put other weights into a checkpoint's file whose time and size stay: nobody looks again."""
    found = checkpoints.read(path)
    name = next(iter(found.state.weights))
    found.state.weights[name] += 1
    before = path.stat()
    aside = path.with_suffix(".aside")
    checkpoints.write(aside, found)
    content = aside.read_bytes()
    aside.unlink()
    assert len(content) == before.st_size
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_second_signal_ends_it_at_once(service, digits_run):
    with (
        serving(digits_run.path, "--processes", 2, "--drain", 0.01) as running,
        running.connect() as unanswered,
    ):
        pids = children(running)
        unanswered.sendall(request(INFER, b"x" * 1000)[:-500])  # half a body: waited for 30 seconds
        wait_until(lambda: running.metric("lenet_bodies_bytes") > 0, "nothing is in flight")
        begun = time.monotonic()
        running.process.terminate()
        running.wait_for("ending: what is in flight is answered")
        assert running.stop() == 0
        assert time.monotonic() - begun < Limits().seconds / 2
        wait_for_end(pids)


def test_a_signal_while_it_starts_leaves_nothing_behind(service, digits_run):
    process = start_lenet("serve", digits_run.path, "--port", 0, "--processes", 2)
    wait_until(lambda: len(workers(process.pid, "lenet.serve.child")) == 2, "nothing was started")
    pids = workers(process.pid, "lenet.serve.child")
    process.terminate()
    _, err = process.communicate(timeout=BOUND)
    assert (process.returncode, err) == (0, "")
    wait_for_end(pids)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["nowhere"], 6, "nowhere: no run of lenet is here"),
        (["RUN", "RUN"], 2, "two networks are called digits; give one another name: NAME="),
        (["RUN", "--token", "short"], 2, "a token has at least 16 letters"),
        (["RUN", "--access-log", "/nowhere/log"], 8, "cannot write an access log here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_start_that_cannot_work_says_why_once(digits_run, words, code, reason):
    words = [word.replace("RUN", str(digits_run.path)) for word in words]
    found, _, err = run_lenet("serve", *words, "--port", 0, "--processes", 3)
    assert (found, reason in err, err.count("\n")) == (code, True, 1), err


@pytest.mark.parametrize("more", [[], ["--processes", 2]])
def test_two_services_do_not_share_a_port(several, digits_run, more):
    code, _, err = run_lenet("serve", digits_run.path, "--port", several.port, *more)
    assert code == 2
    assert f"127.0.0.1:{several.port}: cannot listen here: Address already in use" in err


def test_on_other_systems_it_is_refused(monkeypatch):
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    with pytest.raises(UsageError, match="--processes 2: more than one needs Linux"):
        processes.serve(["anything"], Settings(processes=2), print)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], r"has ended \(exit code 3\)"),
        (["/nowhere/python"], r"cannot be started \(No such file or directory\)"),
    ],
    ids=["ends", "cannot be started"],
)
def test_processes_that_never_come_to_serve_end_the_service(monkeypatch, command, reason):
    monkeypatch.setattr(process, "program", lambda *words: command)
    said = []
    with pytest.raises(MachineError, match=rf"process . of 2 {reason}, 5 times before it served"):
        processes.serve(["anything"], Settings(port=0, processes=2), said.append)
    assert said
    assert all("it is started again" in line for line in said)


def test_the_access_log_of_all_processes_is_one_file_of_whole_lines(several_with_log, tmp_path):
    running, log = several_with_log
    load = Load(running)
    load.wait_for_more(200)
    load.close()
    assert running.stop() == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == len(load.answers)
    assert {line["status"] for line in lines} == {200}


@pytest.fixture
def several_with_log(service, digits_run, tmp_path):
    log = tmp_path / "log"
    with serving(digits_run.path, "--processes", 2, "--access-log", log) as running:
        yield running, log


# Parts


def test_lines_of_two_logs_in_one_pipe_stay_whole(monkeypatch):
    out, into = os.pipe()
    duplicate = os.dup
    monkeypatch.setattr(os, "dup", lambda _: duplicate(into))
    journals = [Journal(STANDARD_OUTPUT) for _ in range(2)]
    os.close(into)
    for number in range(1000):
        for journal in journals:
            journal.add({"number": number, "path": "x" * (number % MOST_BYTES // 4)})
    closing = [threading.Thread(target=journal.close) for journal in journals]
    for thread in closing:
        thread.start()
    with os.fdopen(out) as reader:
        lines = [json.loads(line) for line in reader]
    for thread in closing:
        thread.join(BOUND)
    assert sorted(line["number"] for line in lines) == sorted([*range(1000)] * 2)


def test_a_greeting_arrives_as_it_was_sent(tmp_path):
    settings = Settings(
        token="x" * 16, hosts=("a", "b"), access_log=tmp_path / "log", limits=Limits(queue=3)
    )
    sent = json.loads(json.dumps(greeting(["a\udcff"], settings, talks=True)))
    assert sent["runs"] == ["a\udcff"]
    found = settings_of(sent["settings"])
    assert (found.token, list(found.hosts), found.access_log) == (
        "x" * 16,
        ["a", "b"],
        tmp_path / "log",
    )
    assert found.limits == settings.limits


ONE = """# HELP lenet_answers_total Images.
# TYPE lenet_answers_total counter
lenet_answers_total{class="a\\"\\\\\\n",model="m"} 3.0
# HELP lenet_ready Is it.
# TYPE lenet_ready gauge
lenet_ready 1.0
# HELP lenet_queue Waiting.
# TYPE lenet_queue gauge
lenet_queue 2.0
# HELP lenet_reloads_total Newer.
# TYPE lenet_reloads_total counter
lenet_reloads_total 1.0
# HELP lenet_batch_images Images.
# TYPE lenet_batch_images histogram
lenet_batch_images_bucket{le="1.0",model="m"} 2.0
lenet_batch_images_bucket{le="+Inf",model="m"} 3.0
lenet_batch_images_count{model="m"} 3.0
lenet_batch_images_sum{model="m"} 9.0
"""


def test_texts_are_added_up_line_by_line():
    other = ONE.replace('"m"', '"n"').replace("lenet_ready 1", "lenet_ready 0")
    assert totals.write(totals.together([ONE])) == ONE
    found = samples(totals.write(totals.together([ONE, ONE, other])))
    assert found["lenet_answers_total", 'a"\\\n', "m"] == 6
    assert found["lenet_answers_total", 'a"\\\n', "n"] == 3
    assert found["lenet_ready",] == 0
    assert found["lenet_queue",] == 6
    assert found["lenet_reloads_total",] == 1
    assert found["lenet_batch_images_bucket", "1.0", "m"] == 4
    assert found["lenet_batch_images_sum", "m"] == 18


def test_of_who_is_gone_only_what_was_counted_stays():
    found = samples(totals.write(totals.together([ONE], [ONE, ""])))
    assert found["lenet_queue",] == 2
    assert found["lenet_answers_total", 'a"\\\n', "m"] == 6
    assert found["lenet_batch_images_count", "m"] == 6
