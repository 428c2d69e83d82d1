"""One run of a study, in a process of its own: train, look inside, score the test split once."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lenet import data as data_sets
from lenet.data import Dataset
from lenet.errors import DivergenceError
from lenet.prediction.evaluation import evaluate
from lenet.runs import receipt
from lenet.runs.run import create_run
from lenet.studies.mechanism import PROBE_IMAGES, Recorder
from lenet.studies.study import Task
from lenet.system.scratch import scratch_folder
from lenet.system.signals import Interruption
from lenet.training.loop import Training, run_epochs
from lenet.training.setup import hold_out_images, set_up

Result = dict[str, Any]

PARTS = {
    "task", "data", "engine", "divergence", "epochs", "mechanism",
    "validation_accuracy", "validation_loss", "test_accuracy", "test_loss",
}  # fmt: skip
"""What every result has."""


@dataclass(frozen=True, slots=True)
class Order:
    """A task, and where this machine is told to look for its data.

    `path` is that of own data, absolute, since other processes may work in other folders.
    `scratch` is where runs may be, cleared by whoever gave the order; on a cluster there is none.
    """

    task: Task
    data_dir: str | None = None
    path: str | None = None
    scratch: str | None = None


def measure(order: Order) -> Result:
    """Do the task on one thread; the same task gives the same result.

    A training that diverges is a result: its accuracy and loss are those of guessing, which is all
    that is left of such a network.  `divergence` then says where it was seen.
    """
    task = order.task
    dataset = _load(order.path or task.data, order.data_dir)
    divergence: dict[str, Any] | None = None
    with _run_folder(order) as folder:
        training, recorder = _prepare(task, dataset, folder / "run")
        recorder.start(training.plan())
        try:
            run_epochs(training, Interruption())
        except DivergenceError as error:
            scores, divergence = _guessing(dataset), _describe(training, error)
        else:
            scores = _scores(training, dataset)
        epochs = training.run.epochs()
    return {
        "task": _describe_task(task),
        "data": dataset.digests,
        "engine": f"{training.engine.name} {training.engine.detail}",
        "divergence": divergence,
        **scores,
        "epochs": epochs,
        "mechanism": recorder.rows,
    }


@contextmanager
def _run_folder(order: Order) -> Iterator[Path]:
    if order.scratch is None:
        with scratch_folder("study") as folder:
            yield folder
    else:
        with TemporaryDirectory(dir=order.scratch) as name:
            yield Path(name)


def is_result_of(task: Task, result: Any) -> bool:
    """Whether a value has all parts of the task's result."""
    if not isinstance(result, dict) or not result.keys() >= PARTS:
        return False
    told = json.dumps(result["task"], sort_keys=True)
    return told == json.dumps(_describe_task(task), sort_keys=True) and bool(result["mechanism"])


def _describe_task(task: Task) -> dict[str, Any]:
    return {**asdict(task), "changes": dict(task.changes)}


@lru_cache(maxsize=1)
def _load(name: str, data_dir: str | None) -> Dataset:
    """Kept for the next run in this process; the driver has said what is odd about the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return data_sets.load(name, data_dir)


def _prepare(task: Task, dataset: Dataset, folder: Path) -> tuple[Training, Recorder]:
    ready = set_up(
        task.model, dataset, task.recipe, changes=dict(task.changes), device="cpu", threads=1
    )
    engine, first = ready.engine, ready.first_checkpoint()
    train, validation = hold_out_images(dataset, task.recipe)
    nothing = dataset.test.at(np.zeros(0, np.int64))
    steps = math.ceil(len(train) / task.recipe.batch_size)
    probe = train.at(np.arange(min(PROBE_IMAGES, len(train))))
    recorder = Recorder(engine, ready.spec, probe, steps)
    run = create_run(folder, first, receipt.first_receipt(first, dataset.survey))
    receipt.begin_session(run, engine, first.position)
    return Training(run, engine, first, train, validation, nothing, recorder), recorder


def _scores(training: Training, dataset: Dataset) -> dict[str, float | None]:
    """Of the network as its last epoch left it; the only look at the test split."""
    test = evaluate(training.engine, dataset.test)
    last = training.run.epochs()[-1:]
    return {
        "validation_accuracy": last[0]["validation_accuracy"] if last else None,
        "validation_loss": last[0]["validation_loss"] if last else None,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
    }


def _guessing(dataset: Dataset) -> dict[str, float | None]:
    classes = len(dataset.class_names)
    accuracy, loss = 1.0 / classes, math.log(classes)
    return {
        "validation_accuracy": accuracy,
        "validation_loss": loss,
        "test_accuracy": accuracy,
        "test_loss": loss,
    }


def _describe(training: Training, error: DivergenceError) -> dict[str, Any]:
    """Where it was seen, in updates from the start; a collapse is seen at the end of an epoch."""
    updates = (error.epoch - 1) * training.steps_per_epoch + error.step
    return {"kind": "collapsed" if error.collapsed else "not finite", "updates": updates}
