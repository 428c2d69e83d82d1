"""`lenet serve`: its start, its reloads, its metrics and log, its end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import need, need_module, need_torch, run_lenet, train_run
from serving import digits, png, serving, tensor

need_module("uvicorn", "pip install 'lenet[serve]'")

from prometheus_client.parser import text_string_to_metric_families

from lenet.errors import MachineError, UsageError
from lenet.serve.answers import Refusal
from lenet.serve.front import Front
from lenet.serve.guard import Guard
from lenet.serve.limits import Limits
from lenet.serve.metrics import Histogram
from lenet.serve.models import WATCH_SECONDS, Choice, Models, Watch, split_name
from lenet.serve.server import NEEDED

INFER = "/v2/models/digits/infer"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested
ROOT = Path(__file__).parents[1]


def question():
    return {"inputs": [tensor(digits(1))]}


def test_two_networks_answer_by_their_names(service, digits_run, tmp_path):
    other = shutil.copytree(digits_run.path, tmp_path / "copy")
    words = [digits_run.path, f"second={other}", "--checkpoint", "last"]
    with serving(*words) as running, running.client() as client:
        assert client.get("/v2/models/second").json()["name"] == "second"
        for name in ("digits", "second"):
            answer = client.post(f"/v2/models/{name}/infer", json=question())
            assert answer.json()["model_name"] == name
        page = client.get("/").text
        assert '<a href="/v2/models/second">second</a>' in page
        assert 'id="pack-network-1"' in page
        assert running.stop() == 0
        assert "ending: what is in flight is answered\n" in running.lines


@pytest.fixture(scope="module")
def four(digits_run, tmp_path_factory):
    """The networks of four runs: one of 1998, two that go together, one of other classes."""
    folder, models = tmp_path_factory.mktemp("four"), Models(Choice(threads=1))
    short = {"data": "digits", "epochs": 1, "validation": 0}
    old = train_run("lenet1", recipe="auto", out=folder / "old", **short)
    own = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    other = train_run(data=(own, np.arange(40) % 2), out=folder / "other", epochs=1, validation=0)
    run = digits_run.path
    models.open([str(old.path), f"digits={run}", f"again={run}", str(other.path)])
    return models.newest()


def test_the_page_is_of_the_first_networks_that_it_knows(four):
    text = Front().page(four, b"").body.decode()
    assert 'id="pack-network-1"' in text
    assert ">watch other</a>" in text
    assert ">watch old</a>" not in text  # there is no page of it


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("digits,other", "digits and other do not take the same pictures to the same classes; ask "
         "for each alone: /?networks=digits and /?networks=other"),
        ("digits,old", "old: the page does not know layer"),
        ("digits,again,old", "one network, or two side by side, not 3"),
    ],
)  # fmt: skip
def test_named_networks_that_do_not_go_on_one_page_are_refused(four, names, reason):
    with pytest.raises(Refusal, match=re.escape(reason)) as refused:
        Front().page(four, f"networks={names}".encode())
    assert refused.value.status == 422


def test_ctrl_c_ends_it_as_sigterm_does(service, digits_run):
    with serving(digits_run.path, "--drain", 0.01) as running:
        assert running.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["nowhere"], 6, "nowhere: no run of lenet is here"),
        (["RUN", "RUN"], 2, "two networks are called digits; give one another name: NAME="),
        (["a b=RUN"], 2, "'a b' is no name for a network"),
        (["..=RUN"], 2, "'..' is no name for a network"),
        (["RUN", "--host", EVERYWHERE], 2, "lets other machines ask: set a --token"),
        (["RUN", "--host", "nowhere.invalid"], 2, "there is no such host here"),
        (["RUN", "--token", "short"], 2, "a token has at least 16 letters"),
        (["RUN", "--cors", "*"], 2, "--cors *: name one page's origin"),
        (["RUN", "--allow-host", "http://x.example"], 2, "--allow-host http://x.example: name a"),
        (["RUN", "--access-log", "/nowhere/log"], 8, "cannot write an access log here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_start_that_cannot_work_says_why(digits_run, words, code, reason):
    words = [word.replace("RUN", str(digits_run.path)) for word in words]
    found, _, err = run_lenet("serve", *words, "--port", 0)
    assert (found, reason in err, "Traceback" in err) == (code, True, False), err


def test_a_port_that_is_taken_is_said(digits_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run_lenet("serve", digits_run.path, "--port", port)
    assert code == 2
    assert f"127.0.0.1:{port}: cannot listen here: Address already in use" in err


def test_beyond_loopback_a_token_or_a_word_is_enough(service, digits_run):
    for words, status in ((["--insecure"], 200), (["--token", "x" * 16], 401)):
        with (
            serving(digits_run.path, "--host", EVERYWHERE, *words) as running,
            running.client() as client,
        ):
            assert client.get("/v2").status_code == status


WITHOUT = """
import sys
missing = sys.argv.pop()
sys.modules[missing] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == missing else found(name, *more)
sys.argv = ["lenet", "serve", "anything"]
from lenet.cli import main
main()
"""


@pytest.mark.parametrize("name", NEEDED)
def test_without_the_extra_it_is_refused_with_the_cure(name):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert f"lenet serve needs {name.replace('_', '-')}, which is missing" in done.stderr
    assert "pip install 'lenet[serve]'" in done.stderr


def test_the_service_loads_no_training_no_plotting_and_no_framework():
    code = (
        "import sys, lenet.serve.server, lenet.serve.connection, lenet.serve.models\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith("lenet.training")}
    assert not loaded & {"torch", "matplotlib", "sklearn", "scipy", "starlette", "pydantic"}


def test_nothing_is_ever_unpickled():
    import lenet.serve

    for path in Path(lenet.serve.__file__).parent.glob("*.py"):
        assert "pickle" not in path.read_text(), path.name


@pytest.mark.thorough
def test_pytorchs_engine_answers_many_at_once_as_the_native_one_does(service, digits_run):
    need_torch()
    images = digits(8)
    headers = {"Inference-Header-Content-Length": "0"}
    with serving(digits_run.path, "--engine", "eager") as running:

        def ask(other):
            with other.client() as client:
                answer = client.post(INFER, content=images.tobytes(), headers=headers)
            return {each["name"]: each["data"] for each in answer.json()["outputs"]}

        expected = ask(service)
        with ThreadPoolExecutor(6) as pool:
            for found in pool.map(ask, [running] * 24):
                assert found["classes"] == expected["classes"]
                assert found["logits"] == pytest.approx(expected["logits"], abs=1e-4)


# Reloads


@pytest.fixture
def training(tmp_path):
    """A run that is to go on: one epoch of three."""
    long = {"data": "digits", "batch_size": 64, "learning_rate": 0.3, "out": tmp_path / "digits"}
    return train_run(**long, epochs=1)


def replace_checkpoint(run, tmp_path, epochs):
    """Train the same longer elsewhere, and put its checkpoint where the run's is, as a training
    does: whole, under another name, the old one gone."""
    other = train_run(
        data="digits", batch_size=64, learning_rate=0.3, out=tmp_path / f"more-{epochs}",
        epochs=epochs,
    )  # fmt: skip
    newest = other.checkpoint_paths()[0]
    shutil.copy(newest, run.path / "checkpoints" / "aside")
    os.replace(run.path / "checkpoints" / "aside", run.path / "checkpoints" / newest.name)


def version_of(client):
    return client.get("/v2/models/digits").json()["versions"][-1]


def test_a_newer_checkpoint_answers_without_a_request_being_lost(service, training, tmp_path):
    with serving(training.path) as running:
        with running.client() as client:
            old = version_of(client)
        statuses, versions, ended = [], set(), threading.Event()

        def ask():
            with running.client() as client:
                while not ended.is_set():
                    answer = client.post(INFER, json=question())
                    statuses.append(answer.status_code)
                    versions.add(answer.json().get("model_version"))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            replace_checkpoint(training, tmp_path, 2)
            running.wait_for("answers from now on")
            time.sleep(0.2)
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
        with running.client() as client:
            new = version_of(client)
            assert client.get("/v2/models/digits").json()["versions"] == [old, new]
            for version in (old, new):  # who asks for the old one by its name still gets it
                path = f"/v2/models/digits/versions/{version}/infer"
                assert client.post(path, json=question()).json()["model_version"] == version
        assert versions == {old, new}
        assert set(statuses) == {200}
        assert int(new.split("-")[0]) == 2 * int(old.split("-")[0])
        assert running.metric("lenet_reloads_total") == 1


def test_sighup_loads_all_again(service, training):
    with serving(training.path) as running, running.client() as client:
        old = version_of(client)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("answers from now on")
        assert client.get("/v2/models/digits").json()["versions"] == [old]  # it is the same one
        assert client.post(INFER, json=question()).status_code == 200


def test_too_little_memory_for_a_new_network_leaves_the_old_one(training, monkeypatch):
    served = Models(Choice())
    served.open([str(training.path)])
    said, asked = [], threading.Event()

    def failed(name, error):
        said.append(error)
        asked.set()

    def load(*_):
        raise MemoryError

    monkeypatch.setattr("lenet.serve.models.load", load)
    watch = Watch(served, lambda call, *words: call(*words), said.append, failed)
    try:
        watch.reload()
        assert asked.wait(30)
        asked.clear()
        watch.reload()
        assert asked.wait(30), "the thread that watches has died"
    finally:
        watch.close()
    assert all(isinstance(error, MachineError) for error in said)
    assert "too little memory" in str(said[0])
    assert served.failures == 2


def test_a_checkpoint_that_is_damaged_changes_nothing(service, training):
    with serving(training.path) as running, running.client() as client:
        old = version_of(client)
        newest = training.checkpoint_paths()[0]
        for path in training.checkpoint_paths():
            path.write_bytes(b"no checkpoint")
        running.wait_for("the version of before stays")
        assert version_of(client) == old
        assert client.post(INFER, json=question()).status_code == 200
        assert running.metric("lenet_reload_failures_total") == 1
        assert newest.exists()


def test_a_damaged_newest_checkpoint_brings_no_older_one_back(service, training):
    older, newest = training.checkpoint_paths()[-1], training.checkpoint_paths()[0]
    assert older != newest
    with serving(training.path) as running, running.client() as client:
        old = version_of(client)
        os.truncate(newest, 100)
        running.wait_for("the version of before stays")
        stranger = newest.with_name("step-00009999.safetensors")
        stranger.write_bytes(b"no checkpoint")
        running.wait_for(f"the version of before stays: {stranger}")
        time.sleep(2.5 * WATCH_SECONDS)
        assert client.get("/v2/models/digits").json()["versions"] == [old]
        assert sum("the version of before stays" in line for line in running.lines) == 2
        assert not any("answers from now on" in line for line in running.lines)
        assert running.metric("lenet_reload_failures_total") == 2
        assert running.metric("lenet_reloads_total") == 0


def test_a_start_falls_back_to_the_checkpoint_before_a_damaged_one(service, training):
    os.truncate(training.checkpoint_paths()[0], 100)
    with serving(training.path) as running, running.client() as client:
        assert version_of(client).startswith("0-")
        running.wait_for("falling back to the one before it")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("the version of before stays")
        assert client.post(INFER, json=question()).status_code == 200


# What is watched


def test_the_metrics_are_what_was_asked_and_answered(service, digits_run):
    with serving(digits_run.path) as running, running.client() as client:
        for count in (1, 1, 300):
            asked = client.post(INFER, json={"inputs": [tensor(digits(count))]})
            assert asked.status_code == 200
        client.post("/v2/models/digits/predict", content=png(digits(1)[0]))
        client.get("/v2/models/nobody-has-such-a-name")
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        found = {family.name: family for family in text_string_to_metric_families(answer.text)}
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in found.values()
            for sample in family.samples
        }
        assert values["lenet_requests_total", "/v2/models/{model}/infer", "200"] == 3
        assert values["lenet_requests_total", "/v2/models/{model}/predict", "200"] == 1
        assert values["lenet_requests_total", "unknown", "404"] == 1
        assert "nobody" not in answer.text
        assert values["lenet_batch_images_sum", "digits"] == 303
        assert values["lenet_batch_images_count", "digits"] == 4
        assert values["lenet_batch_images_bucket", "1.0", "digits"] == 3
        answers = sum(value for name, value in values.items() if name[0] == "lenet_answers_total")
        assert answers == 303
        assert values["lenet_answer_probability_count", "digits"] == 303
        assert 0 < values["lenet_answer_probability_sum", "digits"] <= 303
        assert values["lenet_ready",] == 1
        assert values["process_resident_memory_bytes",] > 10e6
        names = {family.name for family in found.values() if family.name.startswith("lenet")}
        text = (ROOT / "docs" / "serve.md").read_text()
        assert not [name for name in names if f"`{name}" not in text]


def test_a_histogram_counts_many_as_it_counts_one_by_one():
    values = [0.1, 0.2, 0.2, 0.5, 0.999, 1.0, 3.0, 0.30000001]
    one, many = Histogram((0.2, 0.3, 1.0)), Histogram((0.2, 0.3, 1.0))
    for value in values:
        one.add(value)
    many.add_all(values)
    assert one.counts == many.counts == [3, 0, 4, 1]
    assert one.total == pytest.approx(many.total)
    assert one.buckets() == [("0.2", 3), ("0.3", 3), ("1.0", 7), ("+Inf", 8)]


def test_the_access_log_has_a_line_of_json_for_each_request(service, digits_run, tmp_path):
    with serving(digits_run.path, "--access-log", tmp_path / "log", "--drain", 0.01) as running:
        with running.client() as client:
            client.post(INFER, json=question())
            client.get("/v2/x%0Ay%FF")
        assert running.stop() == 0
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert first["path"] == INFER
    assert (first["method"], first["status"], first["images"]) == ("POST", 200, 1)
    assert first["model"] == "digits"
    assert first["bytes_in"] > 784
    assert first["milliseconds"] > 0
    assert first["client"] == "127.0.0.1"
    assert abs(first["time"] - time.time()) < 600
    assert (second["status"], second["path"]) == (404, "/v2/x\ny\ufffd")


def test_an_access_log_on_stdout_is_between_what_is_said(service, digits_run):
    with serving(digits_run.path, "--access-log", "-") as running:
        with running.client() as client:
            client.get("/v2")
        running.wait_for('"path":"/v2"')


# Parts


def test_a_host_is_ours_if_it_is_local_an_address_or_named():
    guard = Guard(hosts=["Lenet.Example"])
    for host in (b"localhost", b"lenet.example:80", b"LENET.example.", b"[fe80::1]:1", b"10.0.0.1"):
        guard.check_host(host)
    from lenet.serve.answers import Refusal

    for host in (b"x.lenet.example", b"\xff", b"10.0.0.1.example", b"localhost:80:90"):
        with pytest.raises(Refusal, match="does not answer to that Host"):
            guard.check_host(host)
    Guard(hosts=["*"]).check_host(b"anything.example")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://a.example/", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:080/", "http://a.example"),
        ("HTTPS://A.Example", "https://a.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://a.example:80", "https://a.example:80"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_allowed_as_browsers_send_it(given, sent):
    assert dict(Guard(origins=[given]).headers(sent.encode()))[b"access-control-allow-origin"]


@pytest.mark.parametrize(
    "given",
    ["*", "null", "", "a.example", "https://", "https://a.example/path", "https://a.example?x",
     "https://me@a.example", "https://*.a.example", "https://a.example:65536", "https://ä.example",
     "https://a.example https://b.example"],
)  # fmt: skip
def test_an_origin_that_no_page_can_have_is_refused(given):
    with pytest.raises(UsageError, match=r"--cors .*: name one page's origin, as https://example"):
        Guard(origins=[given])


@pytest.mark.parametrize("given", ["Lenet.Example:8000", "lenet.example.", "lenet.example"])
def test_a_host_is_allowed_by_its_name_alone(given):
    for host in (b"lenet.example", b"lenet.example:80", b"LENET.example.:8000"):
        Guard(hosts=[given]).check_host(host)


@pytest.mark.parametrize(
    "given",
    ["", ".", "https://lenet.example", "lenet.example/path", "*.example", "a b", "ä.example"],
)
def test_a_host_that_no_request_can_name_is_refused(given):
    with pytest.raises(UsageError, match=r"--allow-host .*: name a host alone, as example\.org"):
        Guard(hosts=[given])


def test_an_address_needs_not_be_allowed_and_may_be():
    Guard(hosts=["10.0.0.1", "[::1]:8000", "::1"]).check_host(b"[::1]")


def test_a_limit_is_above_0():
    with pytest.raises(UsageError, match="queue = 0: a limit must be above 0"):
        Limits(queue=0)


def test_a_folder_with_a_sign_in_its_name_needs_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    assert split_name("a=b") == ("", "a=b")
    assert split_name("a=c") == ("a", "c")
    assert split_name("runs/first") == ("", "runs/first")


@pytest.mark.soak
def test_a_minute_at_four_fifths_of_what_it_can_is_without_error_and_memory_stays(tmp_path):
    for program in ("wrk", "hey"):
        need(shutil.which(program) is not None, f"install {program}: apt install {program}")
    need_module("onnx", "pip install 'lenet[bench]'")
    sys.path.insert(0, str(ROOT))
    from bench import serve

    results = serve.measure(tmp_path, 1, 5, ["lenet serve, raw pixels"], None)
    found = serve.soak(tmp_path, 60, results)
    assert found["requests"] > 10_000
    assert found["MiB after"] - found["MiB before"] < 16
