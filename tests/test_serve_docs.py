"""docs/serve.md: its commands run, its tables are those of the code, its files can be used."""

import configparser
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import need, run_lenet
from pages import shortened
from serving import serving

from lenet.serve.limits import Limits

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "serve"
PAGE = (ROOT / "docs" / "serve.md").read_text()


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.thorough
def test_every_command_on_the_page_runs_and_so_does_the_program(service, tmp_path, monkeypatch):
    need(shutil.which("curl") is not None, "install curl: apt install curl")
    monkeypatch.chdir(tmp_path)
    answers = []
    with contextlib.ExitStack() as stack:
        for command in commands():
            program, *words = shlex.split(command)
            if words[0] == "serve":
                running = stack.enter_context(serving(*words[1:]))
            elif program == "lenet":
                assert run_lenet(*shortened(words))[0] == 0, command
            elif program == "curl":
                words = [word.replace(":8000", f":{running.port}") for word in words]
                done = subprocess.run(
                    ["curl", "-sSf", *words], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (command, done.stderr)
                answers.append(done.stdout)
        assert len(answers) == 8
        assert json.loads(answers[1])["name"] == "first"
        (alone,) = json.loads(answers[2])["predictions"]
        (explained,) = json.loads(answers[3])["predictions"]
        assert alone["class"] == explained["class"] == explained["top"][0]["class"]
        assert len(explained["explanation"]["layers"]) == 7
        ((character,),) = (each["characters"] for each in json.loads(answers[4])["predictions"])
        assert character["class"] == alone["class"]
        assert len(json.loads(answers[5])["predictions"]) == 2
        (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        done = subprocess.run(
            [sys.executable, "-c", program.replace(":8000", f":{running.port}")],
            capture_output=True, text=True, check=False, env={**os.environ, "no_proxy": "*"},
        )  # fmt: skip
        assert re.fullmatch(r"42 \[\d \d \d \d \d\]\n", done.stdout), done.stderr


ROWS = {
    "body_bytes": "bytes of a body",
    "json_bytes": "bytes of JSON",
    "bodies_bytes": "bytes of all bodies",
    "pixels": "pixels of a picture",
    "images": "images in a request",
    "pictures": "files in a request",
    "queue": "requests that wait",
    "seconds": "seconds until an answer",
    "head_seconds": "seconds for a request's line",
    "idle_seconds": "seconds between two requests",
    "head_bytes": "bytes of a request's line",
    "connections": "open connections",
    "drain_seconds": "seconds after SIGTERM",
    "grace_seconds": "seconds after those",
}


@pytest.mark.parametrize("field", [field.name for field in fields(Limits)])
def test_every_limit_is_in_the_table_with_its_default(field):
    value = getattr(Limits(), field)
    if field == "stuck_seconds":
        assert value == 120
        assert "for two minutes" in PAGE
        return
    row = re.search(rf"^\| {ROWS[field]}[^|]*\| ([\d,]*\d)", PAGE, re.MULTILINE)
    assert int(row[1].replace(",", "")) == value


def test_the_help_has_the_default_of_every_limit_that_has_a_flag():
    _, out, _ = run_lenet("serve", "--help", env={**os.environ, "COLUMNS": "200", "TERM": "dumb"})
    section = PAGE.split("| limit | default | flag |")[1].split("\n\n")[0]
    rows = re.findall(r"^\|[^|]*\| ([\d,]+) \| `(--[a-z-]+)`", section, re.MULTILINE)
    assert len(rows) >= 7
    for default, flag in rows:
        assert re.search(rf"{flag} .*; by default {default.replace(',', '')}\.", out), flag


def test_every_flag_of_the_page_and_the_unit_is_one():
    _, out, _ = run_lenet("serve", "--help", env={**os.environ, "COLUMNS": "200", "TERM": "dumb"})
    unit, docker = (FOLDER / "lenet.service").read_text(), (FOLDER / "Dockerfile").read_text()
    ours = re.findall(r"^(?:ExecStart|CMD).*$", unit + docker, re.MULTILINE)
    named = set(re.findall(r"(--[a-z-]+)", " ".join(ours)))
    table = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--mlserver", "--soak"}
    assert len(named) >= 3
    assert len(table) >= 10
    for flag in named | table:
        assert flag in out, flag


def test_every_status_is_explained_on_the_page_and_in_the_description():
    from lenet.serve.description import REASONS

    table = PAGE.split("| status | when |")[1].split("\n\n")[0]
    assert {int(code) for code in re.findall(r"^\| (\d{3}) \|", table, re.MULTILINE)} == {
        *REASONS, 500,
    }  # fmt: skip


def test_the_dashboard_draws_metrics_that_there_are(service):
    board = json.loads((FOLDER / "grafana.json").read_text())
    with service.client() as client:
        client.post("/v2/models/digits/predict", content=b"")
        text = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)", text, re.MULTILINE))
    known = set(kinds) | {
        f"{name}_{end}" for name, kind in kinds.items() if kind == "histogram"
        for end in ("bucket", "sum", "count")
    }  # fmt: skip
    drawn = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:lenet|process)_\w+", target["expr"])
    }
    assert len(drawn) >= 12
    assert drawn <= known


def test_every_metric_is_in_the_table_and_counters_end_as_the_page_says(service):
    table = PAGE.split("| metric | labels | what |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(lenet_\w+)`", table)) - {
        "lenet_processes"
    }  # where there are several
    with service.client() as client:
        text = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (lenet_\S+) (\S+)", text, re.MULTILINE))
    assert named == {name.removesuffix("_total") for name in kinds}
    assert "a counter's name ends in `_total`" in PAGE
    assert all(name.endswith("_total") for name, kind in kinds.items() if kind == "counter")


def test_the_unit_reloads_by_the_signal_and_gives_the_end_its_time():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string((FOLDER / "lenet.service").read_text())
    service = unit["Service"]
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    limits = Limits()
    assert int(service["TimeoutStopSec"]) > limits.drain_seconds + limits.grace_seconds
    assert int(service["LimitNOFILE"]) > limits.connections + 100
    assert service["Restart"] == "on-failure"  # an end by SIGTERM is none
