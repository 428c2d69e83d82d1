"""Commands about studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import DataDir, say

app = typer.Typer(no_args_is_help=True, help="Answer a question with many runs.")

Study = Annotated[str, typer.Argument(help="Built-in study (see `lenet study list`) or file.")]
StudyFolder = Annotated[Path, typer.Argument(help="A study's folder.")]


@app.command("list")
def list_studies() -> None:
    """List the built-in studies."""
    from lenet import tables

    say(tables.studies_list())


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
    say(tables.study_summary(folder))


@app.command("report")
def report(folder: StudyFolder) -> None:
    """Write a study's report again, also when only some of its seeds are done."""
    from lenet import studies, tables

    say(tables.study_summary(studies.StudyFolder(folder)))


@app.command("status")
def status(folder: StudyFolder) -> None:
    """Say how many runs of a study are done, and which failed."""
    from lenet import studies, tables

    say(tables.study_status(studies.StudyFolder(folder)))
