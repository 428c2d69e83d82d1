"""One training from its flags to its folder: find the data, open the engine, run the loop."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from lenet import data as data_sets
from lenet.data import Dataset, Reading
from lenet.data.progress import Progress
from lenet.engines import open_engine
from lenet.engines.base import Engine
from lenet.errors import PartialError, RunError
from lenet.network import Spec, zoo
from lenet.recipe import Recipe
from lenet.runs import receipt
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import LAST, Run, create_run, default_folder, open_run
from lenet.system.signals import Interruption
from lenet.training.loop import Training, run_epochs
from lenet.training.setup import hold_out_images, set_up
from lenet.training.watcher import Watcher


def train(
    model: str | Spec = zoo.DEFAULT_MODEL,
    data: data_sets.Source = "fashion-mnist",
    recipe: Recipe | None = None,
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
    **changes: Any,
) -> Run:
    """Train a network on a data set, and return the run's folder.

    `model` is a row of the zoo, or a `Spec` that fits the data.  `data` is a name of the catalog,
    the path of own data, which is read as `reading` says, or data at hand: a `Dataset`, or images
    and labels as arrays.  `changes` are fields of the recipe (`epochs=3`, `learning_rate=0.5`).
    `checkpoint_every` adds a checkpoint each so many steps of an epoch to the one at its end.
    `watcher` sees the training, and `progress` how far a download is.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`; before the first step if it can.
        InterruptedRunError: after Ctrl-C or SIGTERM, when the checkpoint is written.

    """
    recipe = (recipe or Recipe()).with_changes(changes)
    dataset = data_sets.load(data, data_dir, progress=progress, reading=reading)
    ready = set_up(model, dataset, recipe, engine=engine, device=device, threads=threads)
    first = ready.first_checkpoint()
    name = default_folder(ready.spec.name, dataset.name, recipe.seed, datetime.now())
    run = create_run(
        Path(out) if out else _unused(name), first, receipt.first_receipt(first, dataset.survey)
    )
    if dataset.survey is not None:
        run.write_left_out(dataset.survey.left_out)
    _execute(run, ready.engine, first, dataset, watcher or Watcher(), checkpoint_every)
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
    run = open_run(path)
    checkpoint = run.checkpoint(LAST)
    if data is None:
        dataset = checkpoint.data.load(data_dir, progress=progress)
    else:
        dataset = data_sets.load(data, data_dir, progress=progress)
    if dataset.digests != checkpoint.data.digests:
        raise RunError(
            f"{path}: trained on {checkpoint.data.name} with other files than those found now; "
            "name the folder that holds the first ones with --data-dir"
        )
    last = run.receipt()["sessions"][-1:]
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
    _execute(run, opened, checkpoint, dataset, watcher or Watcher(), checkpoint_every)
    return run


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


def _unused(folder: Path) -> Path:
    """`folder`, or the first of `folder-2`, `folder-3`, ... that is not there."""
    candidate, count = folder, 1
    while candidate.exists():
        count += 1
        candidate = folder.with_name(f"{folder.name}-{count}")
    return candidate


def _execute(
    run: Run,
    engine: Engine,
    checkpoint: Checkpoint,
    dataset: Dataset,
    watcher: Watcher,
    checkpoint_every: int,
) -> None:
    """Lock the run and train to the end; times are written also if the training fails."""
    held_in, validation = hold_out_images(dataset, checkpoint.recipe)
    training = Training(
        run=run,
        engine=engine,
        checkpoint=checkpoint,
        train=held_in,
        validation=validation,
        test=dataset.test,
        watcher=watcher,
        checkpoint_every=checkpoint_every,
    )
    with run.lock(), Interruption() as interruption:
        run.rewind_history(checkpoint.position)
        receipt.begin_session(run, engine, checkpoint.position)
        watcher.start(training.plan())
        try:
            run_epochs(training, interruption)
        finally:
            watcher.stop()
            receipt.write_times(run, training.seconds, training.images)
