"""Whole processes, from the command to the finished picture, in seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def subjects(epochs: int) -> dict[str, Callable[[], float]]:
    """`lenet train` with each engine, and the note's own way."""
    train = ["-m", "lenet", "train", "--quiet", "--epochs", str(epochs), "--device", "cpu"]
    return {
        "lenet train --engine native": _run([*train, "--engine", "native"]),
        "lenet train --engine eager": _run([*train, "--engine", "eager"]),
        "the note's own way": _run(["-m", "bench.note", "--epochs", str(epochs)]),
    }


def _run(words: list[str]) -> Callable[[], float]:
    def measured() -> float:
        with tempfile.TemporaryDirectory() as folder:
            out = ["--out", str(Path(folder) / "run")] if "lenet" in words else []
            started = time.perf_counter()
            subprocess.run([sys.executable, *words, *out], check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - started

    return measured
