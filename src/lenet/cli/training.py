"""Commands that train: `train`, `lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli.options import (
    DEFAULT_DATA,
    Channels,
    Data,
    DataDir,
    Device,
    Engine,
    EngineName,
    InitialiserName,
    LossName,
    Model,
    OptimizerName,
    OptionalData,
    OrderName,
    RecipeName,
    Resize,
    ResizeName,
    ScheduleName,
    Size,
    SplitSeed,
    SquaresName,
    Threads,
    complete_run,
)
from lenet.cli.printing import say, show_warning
from lenet.errors import UsageError
from lenet.recipe import Recipe

if TYPE_CHECKING:
    from lenet.runs.run import Run
    from lenet.training.rate_finder import RangeTest

RECIPE = "Recipe (each overrides the recipe's number)"
OF_THE_NOTE = Recipe()


def _recipe_option(name: str, text: str) -> Any:
    """A flag for a field of the recipe; the help says what the note has."""
    default = getattr(OF_THE_NOTE, name)
    shown = {True: "yes", False: "no"}[default] if isinstance(default, bool) else default
    help_text = f"{text} The note's: {shown}."
    return typer.Option(help=help_text, rich_help_panel=RECIPE, show_default=False)


def train(
    model: Model = None,
    data: OptionalData = None,
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = ResizeName.fit,
    split_seed: SplitSeed = 0,
    recipe: RecipeName = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; by default in runs/.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on with the run in this folder, or with the last one.",
            autocompletion=complete_run,
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Run to learn from; several (the option again) teach by their mean.",
            autocompletion=complete_run,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=0, help="Also write a checkpoint each N steps of an epoch.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only the result.")] = False,
    epochs: Annotated[int | None, _recipe_option("epochs", "Passes over the train split.")] = None,
    batch_size: Annotated[int | None, _recipe_option("batch_size", "Images in a step.")] = None,
    learning_rate: Annotated[
        float | None, _recipe_option("learning_rate", "Peak of the schedule.")
    ] = None,
    seed: Annotated[int | None, _recipe_option("seed", "Fixes everything that is random.")] = None,
    validation: Annotated[
        int | None, _recipe_option("validation", "Train images to hold out for choosing.")
    ] = None,
    initialiser: Annotated[
        InitialiserName | None, _recipe_option("initialiser", "Of the weights.")
    ] = None,
    optimizer: Annotated[
        OptimizerName | None, _recipe_option("optimizer", "What makes a step of a gradient.")
    ] = None,
    momentum: Annotated[float | None, _recipe_option("momentum", "For sgd.")] = None,
    nesterov: Annotated[bool | None, _recipe_option("nesterov", "For sgd with momentum.")] = None,
    weight_decay: Annotated[
        float | None, _recipe_option("weight_decay", "L2 for sgd, decoupled for adamw.")
    ] = None,
    beta1: Annotated[float | None, _recipe_option("beta1", "For adamw.")] = None,
    beta2: Annotated[float | None, _recipe_option("beta2", "For adamw.")] = None,
    epsilon: Annotated[float | None, _recipe_option("epsilon", "For adamw.")] = None,
    schedule: Annotated[
        ScheduleName | None, _recipe_option("schedule", "How the learning rate changes.")
    ] = None,
    step_epochs: Annotated[
        int | None, _recipe_option("step_epochs", "For step: epochs in a block.")
    ] = None,
    step_factor: Annotated[
        float | None, _recipe_option("step_factor", "For step: factor after a block.")
    ] = None,
    warmup_fraction: Annotated[
        float | None,
        _recipe_option("warmup_fraction", "For one_cycle: part of the steps before the peak."),
    ] = None,
    label_smoothing: Annotated[
        float | None, _recipe_option("label_smoothing", "Share of the target that all classes get.")
    ] = None,
    loss: Annotated[
        LossName | None, _recipe_option("loss", "mse and map are for networks of distances.")
    ] = None,
    rubbish_cost: Annotated[
        float | None, _recipe_option("rubbish_cost", "For map: the paper's j.")
    ] = None,
    squares: Annotated[
        SquaresName | None, _recipe_option("squares", "Of distances: half, or whole.")
    ] = None,
    curvature_images: Annotated[
        int | None, _recipe_option("curvature_images", "For sdlm: measured before each epoch.")
    ] = None,
    curvature_floor: Annotated[
        float | None, _recipe_option("curvature_floor", "For sdlm: the paper's mu.")
    ] = None,
    order: Annotated[
        OrderName | None, _recipe_option("order", "Of images: drawn each epoch, or once.")
    ] = None,
    distortions: Annotated[
        int | None, _recipe_option("distortions", "Distorted copies of each image.")
    ] = None,
    warmup_epochs: Annotated[
        float | None,
        _recipe_option("warmup_epochs", "Epochs in which the rate grows; not for one_cycle."),
    ] = None,
    clip_norm: Annotated[
        float | None, _recipe_option("clip_norm", "Longest gradient of a step; 0 is any.")
    ] = None,
    averaging: Annotated[
        float | None,
        _recipe_option("averaging", "Decay of the moving average of the weights; 0 is none."),
    ] = None,
    augmentation: Annotated[
        str | None,
        typer.Option(
            help='What becomes of an image each time it is seen, as "rotation = 10, shift = 2".',
            rich_help_panel=RECIPE,
        ),
    ] = None,
    teacher_share: Annotated[
        float | None, _recipe_option("teacher_share", "Of a target, where somebody teaches.")
    ] = None,
    temperature: Annotated[
        float | None, _recipe_option("temperature", "By which a teacher's logits are divided.")
    ] = None,
    engine: Engine = EngineName.auto,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a network, by default the note's on Fashion-MNIST, on any data; or resume a run."""
    flags = locals()
    from lenet.cli.options import find_run_folder
    from lenet.data import Reading
    from lenet.recipe.augmentation import read_fields
    from lenet.runs.run import open_run
    from lenet.show.live import open_display
    from lenet.show.watching import watch_with
    from lenet.training import session

    display, names = open_display(quiet), Recipe.__dataclass_fields__
    changes = {name: flags[name] for name in names if flags[name] is not None}
    if augmentation is not None:
        changes["augmentation"] = read_fields(augmentation, "--augmentation")
    options: dict[str, Any] = {
        "data_dir": data_dir,
        "engine": engine,
        "device": device,
        "threads": threads,
        "checkpoint_every": checkpoint_every,
        "watcher": watch_with(display),
        "progress": display.download,
    }
    reading = Reading(size, channels, resize, split_seed)
    with display:
        if resume is not None:
            given = {"data": data, "model": model, "recipe": recipe, "out": out, **changes}
            _refuse_with_resume(given | {"teacher": teacher}, reading != Reading())
            folder = find_run_folder(resume)
            before = len(open_run(folder).receipt()["sessions"])
            run = session.resume(folder, **options)
            if len(run.receipt()["sessions"]) == before:
                show_warning(f"{folder}: its training was done already")
        else:
            teachers = tuple(str(find_run_folder(run)) for run in teacher or ())
            options |= changes | {"teacher": teachers}
            source = DEFAULT_DATA if data is None else data
            run = session.train(model, source, recipe, out=out, reading=reading, **options)
    say(_summary(run))
    session.check_inputs(run)


def lr_find(
    model: Model = None,
    data: Data = DEFAULT_DATA,
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = ResizeName.fit,
    recipe: RecipeName = None,
    lowest: Annotated[float, typer.Option(help="The first step's learning rate.")] = 1e-3,
    highest: Annotated[float, typer.Option(help="The last step's learning rate.")] = 10.0,
    steps: Annotated[
        int, typer.Option(help="Rates to try; each is that of one batch, or of 16 images.")
    ] = 200,
    seed: Annotated[int | None, _recipe_option("seed", "Fixes weights and order.")] = None,
    out: Annotated[Path, typer.Option(help="Picture to write.")] = Path("lr-find.png"),
    threads: Threads = None,
) -> None:
    """Find a learning rate: loss against a rate that grows from step to step, and a suggestion."""
    from lenet.data import Reading
    from lenet.show.figures import Drawer, check_place, draw_range_test
    from lenet.training import rate_finder

    check_place(out, Drawer.LR_FIND)
    found = rate_finder.find_rate(
        model,
        data,
        recipe,
        seed=seed,
        reading=Reading(size, channels, resize),
        lowest=lowest,
        highest=highest,
        steps=steps,
        data_dir=data_dir,
        threads=threads,
    )
    say(_range_test(found))
    if found.doubt:
        cure = "try other rates (--lowest, --highest), or more --steps"
        show_warning(f"this suggestion may be chance: {found.doubt}; {cure}")
    draw_range_test(found, out)
    say(f"picture: {out}")


def _refuse_with_resume(given: dict[str, Any], read_otherwise: bool) -> None:
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    named += ["--size, --channels, --resize, --split-seed"] * read_otherwise
    if named:
        raise UsageError(
            f"--resume goes on with the run's own recipe and folder; leave out {', '.join(named)}"
        )


def _summary(run: Run) -> str:
    """The note's two lines, then where the run and its picture are."""
    from lenet.recipe.library import NOTE
    from lenet.runs import receipt
    from lenet.show.live import describe_row

    facts, epochs, best = run.receipt(), run.epochs(), run.checkpoint()
    session = facts["sessions"][-1]
    speed = receipt.examples_per_second(facts)
    own = [_own_data(facts["data"])] if "survey" in facts["data"] else []
    if facts.get("recipe", {}).get("name", NOTE) not in ("", NOTE) or (own and "recipe" in facts):
        own.append(_chosen(facts))
    where = f"{session['device']} ({session['engine']} engine, {session['threads']} threads)"
    return "\n".join(
        [
            *own,
            describe_row(epochs[-1]) if epochs else "no epoch was trained",
            *([] if best.is_of_the_end else [f"the network that answers is that of {best.age}"]),
            f"{speed:.1f} examples/sec on {where}",
            f"run: {run.path}",
            *([f"picture: {run.curves_path}"] if run.curves_path.is_file() else []),
        ]
    )


def _chosen(facts: dict[str, Any]) -> str:
    """The recipe of a run that was asked for by name, and its main numbers."""
    chosen = facts["recipe"]
    numbers = Recipe.from_dict(chosen["numbers"])
    return (
        f"recipe {chosen['name']}: {facts['model']}, {numbers.epochs} "
        f"epoch{'s' * (numbers.epochs > 1)} in batches of {numbers.batch_size}, "
        f"{numbers.optimizer} at {numbers.learning_rate:g} "
        f"({numbers.schedule}), augmentation: {numbers.augmentation}"
    )


def _own_data(facts: dict[str, Any]) -> str:
    """What a run was trained on, in one line."""
    survey = facts["survey"]
    counts = survey["counts"]
    sizes = [sum(classes) for classes in zip(*counts.values(), strict=False)] or [0]
    each = f"{min(sizes):,}" + (f" to {max(sizes):,}" if min(sizes) < max(sizes) else "")
    splits = ", ".join(f"{sum(classes):,} {name}" for name, classes in counts.items())
    return f"{facts['name']}: {len(sizes)} classes of {each} images; {splits}; {survey['prepared']}"


def _range_test(test: RangeTest) -> str:
    """The suggested learning rate, and why."""
    from lenet.training.rate_finder import MARGIN

    return "\n".join(
        [
            f"suggested learning rate: {test.suggestion:.2g}",
            f"the smoothed loss is lowest ({test.losses.min():.3f}) at {test.best:.2g}, after "
            f"{int(test.losses.argmin()) + 1} of {len(test.losses)} rates; the suggestion is "
            f"that rate divided by {MARGIN:g}",
        ]
    )
