"""Commands about studies: `study list`, `run`, `status`, `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lenet.cli.options import DataDir, complete_study
from lenet.cli.printing import say, table
from lenet.cli.stopping import stopping

if TYPE_CHECKING:
    from lenet.studies import StudyFolder

app = typer.Typer(no_args_is_help=True, help="Answer a question with many runs.")

Study = Annotated[
    str,
    typer.Argument(
        help="Built-in study (see `lenet study list`) or file.", autocompletion=complete_study
    ),
]
Folder = Annotated[Path, typer.Argument(help="A study's folder.")]


@app.command("list")
def list_studies() -> None:
    """List the built-in studies."""
    say(_list())


@app.command("run")
def run(
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
    from lenet import studies

    found = studies.find(study, seeds)
    folder = studies.StudyFolder(out or Path("studies") / found.name)
    with (
        stopping("finished runs are kept, and the same command goes on"),
        studies.StudyProgress(found, folder, quiet) as progress,
    ):
        studies.run_study(
            found,
            folder.path,
            processes=processes,
            cluster=cluster,
            data_dir=data_dir,
            watch=progress,
        )
    say(_summary(folder))


@app.command("report")
def report(folder: Folder) -> None:
    """Write a study's report again, also when only some of its seeds are done."""
    from lenet import studies

    say(_summary(studies.StudyFolder(folder)))


@app.command("status")
def status(folder: Folder) -> None:
    """Say how many runs of a study are done, and which failed."""
    from lenet import studies

    say(_status(studies.StudyFolder(folder)))


def _list() -> str:
    """The built-in studies: what they ask, and how many runs that takes."""
    from lenet import studies

    rows = [
        [name, str(sum(1 for _ in study.tasks())), study.data, study.title]
        for name, study in studies.built_in().items()
    ]
    return table(["study", "runs", "data", "what it compares"], rows, " r")


def _status(folder: StudyFolder) -> str:
    """How many runs are done, and why some failed."""
    study = folder.study()
    missing, failures = folder.missing(study), folder.failures()
    total, damaged = sum(1 for _ in study.tasks()), folder.damaged(study)
    lines = [f"{study.title}: {total - len(missing)} of {total} runs are done"]
    for task in missing:
        if task.key in failures:
            lines.append(f"failed: {task.describe()}: {failures[task.key]}")
    if damaged:
        lines.append(f"damaged, and done again by the next lenet study run: {len(damaged)} runs")
    return "\n".join(lines)


def _summary(folder: StudyFolder) -> str:
    """Write the report, and say the answer and where all of it is."""
    from lenet import studies

    report = studies.write_report(folder)
    study = folder.study()
    found = studies.analyse(study, folder.results(study))
    return "\n\n".join([*studies.verdict(found), f"report: {report}"])
