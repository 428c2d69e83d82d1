"""Which engine and device are taken, and what is said of a change."""

import re
import signal

import numpy as np
import pytest
from conftest import need_native, need_torch, start_lenet

from lenet import cli, engines
from lenet.engines import native
from lenet.errors import MachineError


@pytest.fixture
def no_nvidia(monkeypatch):
    monkeypatch.setattr(engines, "_has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(engines.platform, "system", lambda: "Linux")


def test_a_driver_of_amds_is_reason_enough_to_ask_pytorch(no_nvidia, monkeypatch, tmp_path):
    need_torch()
    monkeypatch.setattr(engines, "AMD_DRIVER", tmp_path / "kfd")
    from lenet.engines import eager

    monkeypatch.setattr(eager, "has_cuda", lambda: True)
    assert engines.pick_device() == "cpu"
    (tmp_path / "kfd").touch()
    assert engines.pick_device() == "cuda:0"


def test_a_run_that_goes_on_with_another_instruction_set_says_so(tmp_path, monkeypatch):
    need_native()
    first, *_, last = native.instruction_sets()
    if first == last:
        pytest.skip("this processor has one instruction set; another is needed to change it")
    monkeypatch.setenv("LENET_ISA", first)
    words = ["train", "--data", "digits", "--epochs", 3000, "--out", tmp_path / "run"]
    process = start_lenet(*words)
    while not process.stdout.readline().startswith("epoch 2/"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    monkeypatch.setenv("LENET_ISA", last)
    again = start_lenet("train", "--resume", tmp_path / "run")
    warning = again.stderr.readline()
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=60)
    assert f"native {first} cpu and goes on with native {last} cpu" in warning
    assert "may not end with the same bytes" in warning


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("lenet.cli.application.app", lambda **_: np.zeros(1 << 50))
    assert cli._run() == MachineError.exit_code
    assert re.fullmatch(
        r"lenet: error: there is not enough memory for this \(Unable to allocate .*\)\n",
        capsys.readouterr().err,
    )
