"""One training from its flags to its folder: find the data, open the engine, run the loop."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from numbers import Integral
from pathlib import Path
from typing import Any

from lenet import data as data_sets
from lenet.data import Dataset, Reading
from lenet.data.progress import Progress
from lenet.engines import open_engine
from lenet.engines.base import Engine
from lenet.errors import (
    DivergenceError,
    InputError,
    InterruptedRunError,
    LenetError,
    PartialError,
    RunError,
)
from lenet.network import Spec
from lenet.runs import receipt
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import Run, create_run, create_unused, default_folder, open_run
from lenet.system.signals import Interruption, describe
from lenet.training.choice import Wanted, choose_recipe, find_recipe
from lenet.training.loop import Training, recorded_points, run_epochs
from lenet.training.setup import hold_out_images, set_up
from lenet.training.teaching import (
    Teacher,
    check_taught,
    check_teachers,
    find_again,
    find_teachers,
    soft_targets,
)
from lenet.training.watcher import Watcher


def train(
    model: str | Spec | None = None,
    data: data_sets.Source = "fashion-mnist",
    recipe: Wanted = None,
    *,
    reading: Reading | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    watcher: Watcher | None = None,
    progress: Progress | None = None,
    teacher: str | Path | Sequence[str | Path] = (),
    **changes: Any,
) -> Run:
    """Train a network on a data set, and return the run's folder.

    `model` is a row of the zoo, or a `Spec` that fits the data; by default the recipe's.  `data` is
    a name of the catalog, the path of own data, which is read as `reading` says, or data at hand: a
    `Dataset`, or images and labels as arrays.  `recipe` is one, the name of one (`lenet recipes`)
    or a file; by default that of the network, if it has one of its own (those of 1998 do), else
    "note" for data of the catalog and "auto" for any other.  `changes` are fields of the recipe
    (`epochs=3`, `learning_rate=0.5`).  `checkpoint_every` adds a checkpoint each so many steps of
    an epoch to the one at its end.  `watcher` sees the training, and `progress` how far a download
    is.  `teacher` names runs whose mean answer on the train images the network learns from, beside
    the labels.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`; before the first step if it can.
        InterruptedRunError: after Ctrl-C, SIGTERM or SIGHUP, when the checkpoint is written.

    """
    _check_every(checkpoint_every)
    found, teachers = find_recipe(recipe, changes, model), find_teachers(teacher)
    dataset = data_sets.load(data, data_dir, progress=progress, reading=reading)
    check_teachers(teachers, dataset)
    choice = choose_recipe(found, dataset, changes)
    check_taught(teachers, choice.recipe, changes)
    ready = set_up(
        model or choice.model,
        dataset,
        choice.recipe,
        engine=engine,
        device=device,
        threads=threads,
    )
    first = ready.first_checkpoint()
    facts = receipt.first_receipt(first, dataset.survey, choice)
    if teachers:
        facts["teachers"] = [each.facts() for each in teachers]
    if out:
        run = create_run(Path(out), first, facts)
    else:
        name = default_folder(ready.spec.name, dataset.name, ready.recipe.seed, datetime.now())
        run = create_unused(name, first, facts)
    if dataset.survey is not None:
        run.write_left_out(dataset.survey.left_out)
    _execute(run, ready.engine, first, dataset, watcher or Watcher(), checkpoint_every, teachers)
    return run


def resume(
    path: str | Path,
    *,
    data: data_sets.Source | None = None,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    watcher: Watcher | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a run from its newest checkpoint, to the same bytes as without a stop.

    By default with the engine and on the device that trained it last, for other ones round
    differently.  `data` is needed where the run was trained on arrays.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`.
        InterruptedRunError: as `train`.

    """
    _check_every(checkpoint_every)
    run = open_run(path)
    candidates = run.checkpoints()
    checkpoint = next(candidates)
    if data is None:
        dataset = checkpoint.data.load(data_dir, progress=progress)
    else:
        dataset = data_sets.load(data, data_dir, progress=progress)
    if dataset.digests != checkpoint.data.digests:
        raise RunError(
            f"{path}: trained on {checkpoint.data.name} with other files than those found now; "
            "name the folder that holds the first ones with --data-dir (Python: data_dir=...)"
        )
    checkpoint = _with_history(run, checkpoint, candidates, dataset)
    facts = run.receipt()
    last, teachers = facts["sessions"][-1:], find_again(facts.get("teachers", []), run.path)
    if engine == device == "auto" and last:
        engine, device = last[0]["engine"], last[0]["device"]
    opened = open_engine(
        checkpoint.spec,
        checkpoint.recipe,
        checkpoint.state.weights,
        engine=engine,
        device=device,
        threads=threads,
    )
    opened.restore(checkpoint.state)
    if last:
        _compare_engines(last[0], opened)
    _execute(run, opened, checkpoint, dataset, watcher or Watcher(), checkpoint_every, teachers)
    return run


def _check_every(steps: int) -> None:
    if not isinstance(steps, Integral) or steps < 0:
        raise InputError(
            f"checkpoint_every = {steps!r}: it must be a whole number of steps, and 0 for none "
            "within an epoch"
        )


def check_inputs(run: Run) -> None:
    """Say at the end of a training what its own data could not give.

    Raises:
        PartialError: if files were left out.
    """
    count = run.receipt()["data"].get("survey", {}).get("left_out", 0)
    if count:
        raise PartialError(
            f"the training is done, but some files cannot be used ({count}); they and the reasons "
            f"are in {run.left_out_path}"
        )


def _with_history(
    run: Run, newest: Checkpoint, older: Iterator[Checkpoint], dataset: Dataset
) -> Checkpoint:
    """The newest checkpoint whose rows are all in the history: from there the rest is made again.

    Raises:
        RunError: if the history has lost rows that no checkpoint comes before.
    """
    held_in, _ = hold_out_images(dataset, newest.recipe)
    steps = math.ceil(len(held_in) / newest.recipe.batch_size)
    for checkpoint in itertools.chain([newest], older):
        points = recorded_points(checkpoint.position, steps)
        if run.holds(points):
            return checkpoint
        warnings.warn(
            f"{run.history_path}: rows are missing or damaged of the {len(points)} up to the "
            f"checkpoint after {checkpoint.position.updates} updates; falling back to the one "
            "before it",
            stacklevel=3,
        )
    run.rewind_history(recorded_points(newest.position, steps))
    return newest


def _compare_engines(last: dict[str, Any], engine: Engine) -> None:
    """Warn where the end will not be the same bytes as without a stop."""
    before = (last["engine"], last.get("engine_detail", engine.detail), last["device"])
    now = (engine.name, engine.detail, engine.device)
    if before != now:
        warnings.warn(
            f"this run was trained with {' '.join(before)} and goes on with {' '.join(now)}, which "
            "may round differently: it may not end with the same bytes as without a stop",
            stacklevel=3,
        )


def _execute(
    run: Run,
    engine: Engine,
    checkpoint: Checkpoint,
    dataset: Dataset,
    watcher: Watcher,
    checkpoint_every: int,
    teachers: Sequence[Teacher] = (),
) -> None:
    """Lock the run and train to the end; times are written also if the training fails.

    Raises:
        InterruptedRunError: also where the signal came when the last step was done, so that it ends
            whatever the caller meant to do next.
    """
    held_in, validation = hold_out_images(dataset, checkpoint.recipe)
    training = Training(
        run=run,
        engine=engine,
        checkpoint=checkpoint,
        train=held_in,
        validation=validation,
        test=dataset.test,
        targets=soft_targets(
            teachers,
            held_in,
            checkpoint.recipe,
            engine=engine.name,
            device=engine.device,
            threads=engine.threads,
        ),
        watcher=watcher,
        checkpoint_every=checkpoint_every,
    )
    is_session = not checkpoint.is_of_the_end
    with run.lock(), Interruption() as interruption:
        run.rewind_history(recorded_points(checkpoint.position, training.steps_per_epoch))
        run.drop_checkpoints(training.is_planned, after=checkpoint.position.updates)
        if is_session:
            receipt.begin_session(run, engine, checkpoint.position)
        watcher.start(training.plan())
        try:
            run_epochs(training, interruption)
        except BaseException as error:
            watcher.stop()
            with suppress(LenetError):  # the first error is the one to hear of
                if is_session:
                    receipt.write_times(run, training.seconds, training.images)
                if isinstance(error, DivergenceError):
                    receipt.note_divergence(run, error.epoch, error.step)
            raise
        watcher.stop()
        if is_session:
            receipt.write_times(run, training.seconds, training.images)
    if interruption.number is not None:
        raise InterruptedRunError(
            f"{describe(interruption.number)} when the training was done: {run.path}",
            interruption.number,
        )
