"""Receipts: what trained, predicted or studied, on which data, where, when and how fast."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lenet.data import Survey
from lenet.engines.base import Engine
from lenet.recipe.library import Choice
from lenet.runs.checkpoint import Checkpoint, Position
from lenet.runs.run import RECEIPT, Run, check_part
from lenet.system import machine
from lenet.system.facts import read_object
from lenet.system.files import write_whole

_OF_MANY = {
    "command": str, "started": str, "versions": dict, "machine": dict, "where": str,
    "seconds": float,
}  # fmt: skip
"""What a session of work on many processes holds at least, beside what it counts."""

CLASSIFIER = "classifier"
"""The entry of a run that `LeNetClassifier` kept."""


def first_receipt(
    first: Checkpoint, survey: Survey | None = None, choice: Choice | None = None
) -> dict[str, Any]:
    """The part that holds for every session of the run.

    `survey` is that of own data; `choice` says where the numbers of the recipe came from.
    """
    data = {"name": first.data.name, "sha256": first.data.digests}
    if survey is not None and first.data.origin is not None:
        data |= {
            "class_names": list(first.data.class_names),
            **asdict(first.data.origin),
            "survey": survey.facts(),
        }
    numbers = {} if choice is None else {"recipe": _chosen(choice)}
    return {
        "model": first.spec.name,
        **numbers,
        "data": data,
        "seed": first.recipe.seed,
        "parameters": first.spec.parameters,
        "sessions": [],
    }


def _chosen(choice: Choice) -> dict[str, Any]:
    """The numbers, and what they were derived from, if they were."""
    facts: dict[str, Any] = {"name": choice.name, "numbers": asdict(choice.recipe)}
    if choice.subject is not None:
        facts["chosen_for"] = asdict(choice.subject)
    return facts


def begin_session(run: Run, engine: Engine, position: Position) -> None:
    """Note who trains from `position` on: command, engine, versions and machine."""
    receipt = run.receipt()
    receipt["sessions"].append(describe_session(engine, position))
    run.write_receipt(receipt)


def describe_session(engine: Engine, position: Position) -> dict[str, Any]:
    """The entry of one who begins at `position`, with nothing trained yet."""
    return {
        **session_facts(),
        "from": {"epoch": position.epoch, "step": position.step},
        "engine": engine.name,
        "engine_detail": engine.detail,
        "device": engine.device,
        "threads": engine.threads,
        "training_seconds": 0.0,
        "training_images": 0,
    }


def session_facts() -> dict[str, Any]:
    """Who begins now: command, time, versions and machine."""
    return {
        "command": shlex.join(sys.argv),
        "started": _now(),
        "versions": machine.versions(),
        "machine": machine.describe(),
    }


def parallel_facts(cluster: str | None, processes: int | None) -> dict[str, Any]:
    """The same for work on many processes; `processes` is by default the number of cores."""
    where = "a Ray cluster" if cluster else f"{processes or machine.cores()} processes"
    return {**session_facts(), "where": where, "seconds": 0.0}


def read_sessions(folder: Path, counted: str) -> list[dict[str, Any]]:
    """Each time that somebody worked in this folder of a study or of predictions, oldest first.

    `counted` is what such a session counts: "runs" or "images".  A receipt that is damaged is said,
    and begun anew: nothing else depends on it.
    """
    path = folder / RECEIPT
    try:
        sessions = read_object(path)["sessions"]
        for each in sessions:
            check_part(each, {**_OF_MANY, counted: int}, "a session")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError) as error:
        warnings.warn(f"{path} is damaged ({error}); it is begun anew", stacklevel=2)
        return []
    return list(sessions)


def write_sessions(folder: Path, sessions: list[dict[str, Any]]) -> None:
    """Replace them."""
    write_whole(folder / RECEIPT, json.dumps({"sessions": sessions}, indent=2) + "\n")


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


def note_divergence(run: Run, epoch: int, step: int) -> None:
    """Note that the newest session ended there, since its training diverged."""
    receipt = run.receipt()
    receipt["sessions"][-1]["diverged"] = {"epoch": epoch, "step": step}
    run.write_receipt(receipt)


def divergence(receipt: dict[str, Any]) -> str:
    """Where the training diverged, in words; nothing if its newest session did not."""
    sessions = receipt["sessions"]
    where = sessions[-1].get("diverged") if sessions else None
    if not isinstance(where, dict):
        return ""
    return f"diverged at step {where.get('step')} of epoch {where.get('epoch')}"


def examples_per_second(receipt: dict[str, Any]) -> float:
    """Training images over wall time of training, over all sessions; 0 if there was none."""
    seconds = sum(session["training_seconds"] for session in receipt["sessions"])
    images = sum(session["training_images"] for session in receipt["sessions"])
    return float(images / seconds) if seconds else 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
