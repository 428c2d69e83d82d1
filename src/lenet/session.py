"""One training from its flags to its folder: find the data, open the engine, run the loop."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from lenet import data as data_sets
from lenet import plots, receipt, zoo
from lenet.checkpoint import Checkpoint, DataSource, Position
from lenet.data import Dataset, Reading, Split
from lenet.display import Display, Plan, in_notebook, open_display
from lenet.engines import open_engine
from lenet.engines.base import Engine
from lenet.errors import PartialError, RecipeError, RunError
from lenet.initialiser import initial_weights
from lenet.interruption import Interruption
from lenet.recipe import Recipe
from lenet.run import LAST, Run, create_run, default_folder, open_run
from lenet.trained import TrainedRun
from lenet.training import Training, run_epochs


def train(
    model: str = zoo.DEFAULT_MODEL,
    data: str | Path = "fashion-mnist",
    recipe: Recipe | None = None,
    *,
    reading: Reading | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    display: Display | None = None,
    **changes: Any,
) -> TrainedRun:
    """Train a network of the zoo on a data set, and return the run.

    `data` is a name of the catalog, or the path of own data, which is read as `reading` says.
    `changes` are fields of the recipe (`epochs=3`, `learning_rate=0.5`).  `checkpoint_every` adds
    a checkpoint each so many steps of an epoch to the one at its end.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`; before the first step if it can.

    """
    recipe = (recipe or Recipe()).with_changes(changes)
    display = display or open_display(quiet=not in_notebook())
    dataset = data_sets.load(data, data_dir, progress=display.download, reading=reading)
    _hold_out(dataset, recipe)
    channels, height, width = dataset.train.images.shape[1:]
    spec = zoo.build(
        model, channels=channels, height=height, width=width, classes=len(dataset.class_names)
    )
    opened = open_engine(
        spec, recipe, initial_weights(spec, recipe), engine=engine, device=device, threads=threads
    )
    source = DataSource.of(dataset)
    first = Checkpoint(spec, recipe, source, opened.state(), Position())
    name = default_folder(model, dataset.name, recipe.seed, datetime.now())
    run = create_run(
        Path(out) if out else _unused(name), first, receipt.first_receipt(first, dataset.survey)
    )
    if dataset.survey is not None:
        run.write_left_out(dataset.survey.left_out)
    _execute(run, opened, first, dataset, display, checkpoint_every)
    return TrainedRun(run.path)


def resume(
    path: str | Path,
    *,
    data_dir: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    checkpoint_every: int = 0,
    display: Display | None = None,
) -> TrainedRun:
    """Go on with a run from its newest checkpoint, to the same bytes as without a stop.

    By default with the engine and on the device that trained it last, for other ones round
    differently.

    Raises:
        LenetError: any branch of the tree in `lenet.errors`.

    """
    run = open_run(path)
    checkpoint = run.checkpoint(LAST)
    display = display or open_display(quiet=not in_notebook())
    dataset = checkpoint.data.load(data_dir, progress=display.download)
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
    _execute(run, opened, checkpoint, dataset, display, checkpoint_every)
    return TrainedRun(run.path)


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


def _hold_out(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    if recipe.validation >= len(dataset.train):
        raise RecipeError(
            f"validation = {recipe.validation}: {dataset.name} has only {len(dataset.train)} train "
            "images, and some must be left to train on"
        )
    return data_sets.training_splits(dataset, recipe.validation, recipe.seed)


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
    display: Display,
    checkpoint_every: int,
) -> None:
    """Lock the run, train to the end, draw the curves; the curves also if the training fails."""
    held_in, validation = _hold_out(dataset, checkpoint.recipe)
    training = Training(
        run=run,
        engine=engine,
        checkpoint=checkpoint,
        train=held_in,
        validation=validation,
        test=dataset.test,
        display=display,
        checkpoint_every=checkpoint_every,
    )
    with run.lock(), Interruption() as interruption:
        run.rewind_history(checkpoint.position)
        receipt.begin_session(run, engine, checkpoint.position)
        training.display.start(_plan(training))
        try:
            run_epochs(training, interruption)
        finally:
            training.display.stop()
            receipt.write_times(run, training.seconds, training.images)
            plots.draw_curves(run.history(), run.name, run.curves_path)


def _plan(training: Training) -> Plan:
    checkpoint, engine = training.checkpoint, training.engine
    title = f"{checkpoint.spec.name} on {checkpoint.data.name}, seed {training.recipe.seed}"
    return Plan(
        f"{title} ({engine.name} on {engine.device}, {engine.threads} threads)",
        training.recipe.epochs,
        training.steps_per_epoch,
        training.position.epoch,
        training.position.step,
        tuple(training.run.history()),
    )
