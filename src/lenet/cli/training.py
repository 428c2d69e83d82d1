"""Commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lenet.cli.options import (
    Channels,
    Data,
    DataDir,
    Device,
    Engine,
    Model,
    Resize,
    Size,
    SplitSeed,
    Threads,
    say,
)
from lenet.errors import UsageError

RECIPE = "Recipe (each overrides the recipe file)"


def _recipe_option(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=RECIPE, show_default=False)


def train(
    model: Model = "lenet5",
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = "fit",
    split_seed: SplitSeed = 0,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file (TOML).")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default in runs/.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=0, help="Also write a checkpoint each N steps of an epoch.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only the result.")] = False,
    epochs: Annotated[int | None, _recipe_option("Passes over the train split.")] = None,
    batch_size: Annotated[int | None, _recipe_option("Images in a step.")] = None,
    learning_rate: Annotated[float | None, _recipe_option("Peak of the schedule.")] = None,
    seed: Annotated[int | None, _recipe_option("Fixes everything that is random.")] = None,
    validation: Annotated[
        int | None, _recipe_option("Train images to hold out for choosing.")
    ] = None,
    initialiser: Annotated[
        str | None, _recipe_option("xavier_uniform, lecun_uniform or kaiming_uniform.")
    ] = None,
    optimizer: Annotated[str | None, _recipe_option("sgd or adamw.")] = None,
    momentum: Annotated[float | None, _recipe_option("For sgd.")] = None,
    nesterov: Annotated[bool | None, _recipe_option("For sgd with momentum.")] = None,
    weight_decay: Annotated[
        float | None, _recipe_option("L2 for sgd, decoupled for adamw.")
    ] = None,
    beta1: Annotated[float | None, _recipe_option("For adamw.")] = None,
    beta2: Annotated[float | None, _recipe_option("For adamw.")] = None,
    epsilon: Annotated[float | None, _recipe_option("For adamw.")] = None,
    schedule: Annotated[str | None, _recipe_option("constant, step, cosine or one_cycle.")] = None,
    step_epochs: Annotated[int | None, _recipe_option("For step: epochs in a block.")] = None,
    step_factor: Annotated[float | None, _recipe_option("For step: factor after a block.")] = None,
    warmup_fraction: Annotated[
        float | None, _recipe_option("For one_cycle: part of the steps before the peak.")
    ] = None,
    label_smoothing: Annotated[float | None, _recipe_option("0 for none.")] = None,
    engine: Engine = "auto",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a network, by default the note's on Fashion-MNIST, on any data; or resume a run."""
    flags = locals()
    from lenet import recipe as recipes
    from lenet import session, tables
    from lenet.data import Reading
    from lenet.display import open_display

    names = recipes.Recipe.__dataclass_fields__
    changes = {name: flags[name] for name in names if flags[name] is not None}
    options: dict[str, Any] = {
        "data_dir": data_dir,
        "engine": engine,
        "device": device,
        "threads": threads,
        "checkpoint_every": checkpoint_every,
        "display": open_display(quiet),
    }
    reading = Reading(size, channels, resize, split_seed)
    if resume is not None:
        _refuse_with_resume(changes, recipe, out, reading != Reading())
        run = session.resume(resume, **options)
    else:
        base = recipes.Recipe.read(recipe) if recipe else recipes.Recipe()
        base = base.with_changes(changes, "flags")
        run = session.train(model, data, base, out=out, reading=reading, **options)
    say(tables.summary(run))
    session.check_inputs(run)


def lr_find(
    model: Model = "lenet5",
    data: Data = "fashion-mnist",
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = "fit",
    recipe: Annotated[Path | None, typer.Option(help="Recipe file (TOML).")] = None,
    lowest: Annotated[float, typer.Option(help="The first step's learning rate.")] = 1e-3,
    highest: Annotated[float, typer.Option(help="The last step's learning rate.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps to take.")] = 200,
    seed: Annotated[int, typer.Option(help="Fixes weights and order.")] = 0,
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("lr-find.png"),
    threads: Threads = None,
) -> None:
    """Find a learning rate: loss against a rate that grows from step to step, and a suggestion."""
    from lenet import rate_finder, tables
    from lenet import recipe as recipes
    from lenet.data import Reading
    from lenet.plots import study as figures

    base = recipes.Recipe.read(recipe) if recipe else recipes.Recipe()
    found = rate_finder.find_rate(
        model,
        data,
        base.with_changes({"seed": seed}, "flags"),
        reading=Reading(size, channels, resize),
        lowest=lowest,
        highest=highest,
        steps=steps,
        data_dir=data_dir,
        threads=threads,
    )
    figures.draw_range_test(found, out)
    say(tables.range_test(found, out))


def _refuse_with_resume(
    changes: dict[str, Any], recipe: Path | None, out: Path | None, read_otherwise: bool
) -> None:
    named = [f"--{name.replace('_', '-')}" for name in changes]
    named += ["--recipe"] * (recipe is not None) + ["--out"] * (out is not None)
    named += ["--size, --channels, --resize, --split-seed"] * read_otherwise
    if named:
        raise UsageError(
            f"--resume goes on with the run's own recipe and folder; leave out {', '.join(named)}"
        )
