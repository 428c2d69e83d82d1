"""A run's receipt: what trained it, on which data, where, when and how fast."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lenet import machine
from lenet.checkpoint import Checkpoint, Position
from lenet.data import Survey
from lenet.engines.base import Engine
from lenet.run import Run


def first_receipt(first: Checkpoint, survey: Survey | None = None) -> dict[str, Any]:
    """The part that holds for every session of the run; `survey` is that of own data."""
    data = {"name": first.data.name, "sha256": first.data.digests}
    if survey is not None and first.data.origin is not None:
        data |= {
            "class_names": list(first.data.class_names),
            **asdict(first.data.origin),
            "survey": survey.facts(),
        }
    return {
        "model": first.spec.name,
        "data": data,
        "seed": first.recipe.seed,
        "parameters": first.spec.parameters,
        "sessions": [],
    }


def begin_session(run: Run, engine: Engine, position: Position) -> None:
    """Note who trains from `position` on: command, engine, versions and machine."""
    receipt = run.receipt()
    receipt["sessions"].append(
        {
            "command": shlex.join(sys.argv),
            "started": _now(),
            "from": {"epoch": position.epoch, "step": position.step},
            "engine": engine.name,
            "engine_detail": engine.detail,
            "device": engine.device,
            "threads": engine.threads,
            "versions": machine.versions(),
            "machine": machine.describe(),
            "training_seconds": 0.0,
            "training_images": 0,
        }
    )
    run.write_receipt(receipt)


def write_times(run: Run, seconds: float, images: int) -> None:
    """Note how long the newest session has trained so far, and on how many images.

    `seconds` is wall time of the training parts of its epochs, data handling included.
    """
    receipt = run.receipt()
    receipt["sessions"][-1] |= {
        "ended": _now(),
        "training_seconds": seconds,
        "training_images": images,
    }
    run.write_receipt(receipt)


def examples_per_second(receipt: dict[str, Any]) -> float:
    """Training images over wall time of training, over all sessions; 0 if there was none."""
    seconds = sum(session["training_seconds"] for session in receipt["sessions"])
    images = sum(session["training_images"] for session in receipt["sessions"])
    return float(images / seconds) if seconds else 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
