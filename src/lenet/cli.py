"""The command line: flags to one call, no logic.  Heavy modules load inside the commands."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from lenet import __version__
from lenet.errors import LenetError, UsageError

app = typer.Typer(
    name="lenet",
    help="LeNet: train it, see it, use it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(no_args_is_help=True, help="Find, fetch, check and look at data sets.")
app.add_typer(data_app, name="data")
study_app = typer.Typer(no_args_is_help=True, help="Answer a question with many runs.")
app.add_typer(study_app, name="study")

RECIPE = "Recipe (each overrides the recipe file)"
MACHINE = "Machine"
OWN_DATA = "Your own data"

Model = Annotated[str, typer.Option(help="Network; see `lenet models`.")]
Data = Annotated[
    str,
    typer.Option(help="Data set (see `lenet data list`), or a folder or file of your own data."),
]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder with the data set's files, looked at first.")
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Height and width of images; by default 28 for pictures.", rich_help_panel=OWN_DATA
    ),
]
Channels = Annotated[
    int | None, typer.Option(help="1 for grey, 3 for colour.", rich_help_panel=OWN_DATA)
]
Resize = Annotated[
    str,
    typer.Option(
        help="fit (proportions kept), stretch, or ink (found and centred, for characters).",
        rich_help_panel=OWN_DATA,
    ),
]
SplitSeed = Annotated[
    int,
    typer.Option(help="Chooses the test images where there is no test split.",
                 rich_help_panel=OWN_DATA),
]  # fmt: skip
Engine = Annotated[
    str,
    typer.Option(help="auto, native (compiled, CPU) or eager (PyTorch).", rich_help_panel=MACHINE),
]
Device = Annotated[
    str,
    typer.Option(help="auto (a GPU where there is one), cpu, cuda, mps.", rich_help_panel=MACHINE),
]
Threads = Annotated[
    int | None, typer.Option(help="Threads; by default all cores.", rich_help_panel=MACHINE)
]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder.")]
Which = Annotated[
    str | None,
    typer.Option(help="last or best (by validation); by default the best where there is one."),
]


def _recipe_option(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=RECIPE, show_default=False)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if not debug:
        warnings.showwarning = _show_warning
    if version:
        _say(f"lenet {__version__}")
        raise typer.Exit


@app.command()
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
    _say(tables.summary(run))
    session.check_inputs(run)


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[str | None, typer.Option(help="By default the run's own.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data_dir: DataDir = None,
    checkpoint: Which = None,
    picture: Annotated[
        Path | None, typer.Option(help="Confusion picture; by default in the run's folder.")
    ] = None,
    engine: Engine = "auto",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a trained network: accuracy with its interval, per-class scores, confusion matrix."""
    from lenet import prediction, tables

    result = prediction.evaluate_run(
        run,
        data,
        split,
        data_dir=data_dir,
        which=checkpoint,
        engine=engine,
        device=device,
        threads=threads,
        picture=picture,
    )
    _say(tables.evaluation(result))
    prediction.check_inputs(result)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs' folders.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; by default report.html in the first run.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data_dir: DataDir = None,
) -> None:
    """Write one HTML file: curves, scores, worst mistakes, every layer; several runs compared."""
    from lenet import report as reports

    _say(f"report: {reports.write_report(runs, out, data_dir=data_dir, split=split)}")


@app.command()
def explain(
    run: RunFolder,
    picture: Annotated[str, typer.Argument(help="A picture, or SPLIT:INDEX, as test:17.")],
    data_dir: DataDir = None,
    checkpoint: Which = None,
    out: Annotated[
        Path | None, typer.Option(help="Figure to write; by default in the run's folder.")
    ] = None,
) -> None:
    """Draw one decision: the picture, what mattered in it, every layer's maps, the answer."""
    from lenet import explanation, plots, tables

    found = explanation.explain_run(run, picture, data_dir=data_dir, which=checkpoint)
    name = Path(picture.replace(":", "-")).stem
    target = out or run / f"explain-{name}.png"
    plots.draw_decision(found, target)
    _say(tables.decision(found, target))


@app.command()
def predict(
    run: RunFolder,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Pictures, folders, patterns in quotes, files of images (.npy, .npz, IDX, .csv, "
            ".parquet), or - for a picture or a list of paths from the standard input.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File (.csv, .jsonl, .parquet), or a folder of shards; by default the answers are "
            "printed."
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="table (printed alone), csv, jsonl or parquet."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Likeliest classes of each picture.")] = 1,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="Draw one picture's preparation to --out, by default in RUN."
        ),
    ] = False,
    checkpoint: Which = None,
    engine: Engine = "auto",
    processes: Annotated[
        int | None, typer.Option(min=1, help="By default all cores.", rich_help_panel=MACHINE)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster, or auto; by default here.", rich_help_panel=MACHINE
        ),
    ] = None,
    shard_rows: Annotated[
        int | None, typer.Option(min=1, help="Images in a shard.", rich_help_panel=MACHINE)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Say what pictures show: class and probability, for one picture or for millions."""
    from lenet import bulk, tables

    if stages:
        _say(_draw_stages(run, paths, out, checkpoint))
        return
    with bulk.PredictionProgress(quiet) as progress:
        options: dict[str, Any] = {
            "top": top,
            "which": checkpoint,
            "engine": engine,
            "processes": processes,
            "cluster": cluster,
            "shard_rows": shard_rows,
            "stdin": sys.stdin.buffer,
            "progress": progress,
        }
        if out is not None:
            outcome = bulk.predict(run, paths, out, kind=form, **options)
            _say(tables.bulk_summary(outcome))
        else:
            outcome = _print_answers(run, paths, form or "table", options)
    outcome.check()


@app.command("lr-find")
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
    _say(tables.range_test(found, out))


@app.command()
def models() -> None:
    """List the networks with their sizes."""
    from lenet import tables

    _say(tables.models())


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Say what this machine has: versions, engines, devices, threads, cache, data sets."""
    from lenet import tables

    _say(tables.doctor(data_dir))


@data_app.command("list")
def data_list(data_dir: DataDir = None) -> None:
    """List the data sets and where each one is."""
    from lenet import tables

    _say(tables.data_sets(data_dir))


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch even what is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Fetch a data set from its publisher's mirrors, unless it is here already."""
    from lenet import data
    from lenet.display import DownloadBars

    bars = DownloadBars()
    try:
        progress = None if quiet else bars.show
        location = data.get(name, data_dir, progress=progress, force=force)
    finally:
        bars.stop()
    _say(f"{name} is in {location.folder}")


@data_app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    data_dir: DataDir = None,
) -> None:
    """Hash every file of a data set again and compare with the published digests."""
    from lenet import data, tables

    _say(tables.verification(name, data.verify(name, data_dir)))


@data_app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="Data set, or a folder or file of your own data.")],
    data_dir: DataDir = None,
    size: Size = None,
    channels: Channels = None,
    resize: Resize = "fit",
    split_seed: SplitSeed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Picture to write; by default NAME.png here.")
    ] = None,
) -> None:
    """Save a contact sheet, examples of every class; and count what is in your own data."""
    from lenet import data, plots, tables

    dataset = data.load(name, data_dir, reading=data.Reading(size, channels, resize, split_seed))
    picture = out or Path(f"{dataset.name}.png")
    train = dataset.train
    plots.contact_sheet(train.images, train.labels, dataset.class_names, dataset.name, picture)
    _say(f"{tables.own_data(dataset)}picture: {picture}")


@data_app.command("export")
def data_export(
    name: Annotated[str, typer.Argument(help="Data set; see `lenet data list`.")],
    folder: Annotated[Path, typer.Argument(help="New folder for the pictures.")],
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    count: Annotated[int | None, typer.Option(min=1, help="The first N; by default all.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a data set as PNG files, one sub-folder a class."""
    from lenet import data

    written = data.export(data.load(name, data_dir), split, folder, count)
    _say(f"{written} pictures are in {folder}")


Study = Annotated[str, typer.Argument(help="Built-in study (see `lenet study list`) or file.")]
StudyFolder = Annotated[Path, typer.Argument(help="A study's folder.")]


@study_app.command("list")
def study_list() -> None:
    """List the built-in studies."""
    from lenet import tables

    _say(tables.studies_list())


@study_app.command("run")
def study_run(
    study: Study,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; by default studies/NAME.")
    ] = None,
    data_dir: DataDir = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Instead of the study's own.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same time; by default all cores.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster, or auto; by default here.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only the result.")] = False,
) -> None:
    """Do the study's runs that are not done yet, and write its report."""
    from lenet import studies, tables

    found = studies.find(study, seeds)
    folder = studies.StudyFolder(out or Path("studies") / found.name)
    with studies.StudyProgress(found, folder, quiet) as progress:
        studies.run_study(
            found,
            folder.path,
            processes=processes,
            cluster=cluster,
            data_dir=data_dir,
            watch=progress,
        )
    _say(tables.study_summary(folder))


@study_app.command("report")
def study_report(folder: StudyFolder) -> None:
    """Write a study's report again, also when only some of its seeds are done."""
    from lenet import studies, tables

    _say(tables.study_summary(studies.StudyFolder(folder)))


@study_app.command("status")
def study_status(folder: StudyFolder) -> None:
    """Say how many runs of a study are done, and which failed."""
    from lenet import studies, tables

    _say(tables.study_status(studies.StudyFolder(folder)))


def _draw_stages(run: Path, paths: list[str], out: Path | None, which: str | None) -> str:
    from lenet import tables
    from lenet.plots.picture import draw_preparation
    from lenet.stages import follow_picture

    if len(paths) > 1:
        raise UsageError(f"--stages draws one picture, not {len(paths)}; name one")
    is_stdin = paths[0] == "-"
    found = follow_picture(run, sys.stdin.buffer.read() if is_stdin else paths[0], which=which)
    target = out or run / f"stages-{Path(found.name).stem}.png"
    draw_preparation(found, target)
    return tables.preparation(found, target)


def _print_answers(run: Path, paths: list[str], form: str, options: dict[str, Any]) -> Any:
    from lenet import bulk, tables

    kind = "jsonl" if form == "table" else form
    if kind == "parquet":
        raise UsageError("--format parquet is no text to print; name a file with --out")
    with bulk.predict_aside(run, paths, kind=kind, **options) as (outcome, folder):
        if form == "table":
            _say(tables.answers(folder.rows(), folder.problems()))
        else:
            folder.join(sys.stdout.buffer)
            for name, reason in folder.problems():
                print(f"lenet: {name}: {reason}", file=sys.stderr)
    return outcome


def _say(text: str) -> None:
    """Print to stdout; a reader that has closed the pipe has seen enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"lenet: warning: {message}", file=sys.stderr)


def main() -> None:
    """Entry point: a `LenetError` becomes one line on stderr and its exit code."""
    try:
        app(prog_name="lenet")
    except LenetError as error:
        if "--debug" in sys.argv[1:]:
            raise
        print(f"lenet: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        # What is left the system takes back at once; to look for cycles in it would take 0.1 s.
        gc.freeze()
