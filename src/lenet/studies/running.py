"""The runs of a study that are not done yet, on all cores or on a cluster."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from lenet import data as data_sets
from lenet.errors import LenetError, PartialError, StudyError
from lenet.runs import receipt
from lenet.studies.folder import StudyFolder
from lenet.studies.measurement import Order, Result, measure
from lenet.studies.statistics import check_scipy
from lenet.studies.study import Study, Task
from lenet.system.kinds import describe_refusal
from lenet.system.scratch import scratch_folder
from lenet.system.tasks import run_tasks
from lenet.training.setup import network_for

Watch = Callable[[Task, Result], None]
"""Called with each run as it ends."""


def run_study(
    study: Study,
    path: str | Path,
    *,
    processes: int | None = None,
    cluster: str | None = None,
    data_dir: str | Path | None = None,
    watch: Watch | None = None,
) -> StudyFolder:
    """Do the runs that the folder `path` has not yet, one thread each.

    Raises:
        PartialError: after the last run, if some could not be done; they can be tried again.
        StudyError: if the folder belongs to something else, or cannot be written.
        LenetError: if the data is not to be had, or as `run_tasks`.
    """
    check_scipy()
    digests = _find_data(study, data_dir)
    folder = StudyFolder(Path(path))
    with folder.lock(), writing(folder.path):
        folder.begin(study)
        _check_same(study, folder, digests)
        _say_damaged(study, folder)
        tasks = folder.missing(study)
        with scratch_folder("study") as scratch:
            orders = list(_orders(study, tasks, data_dir, None if cluster else str(scratch)))
            failures = _run(folder, tasks, orders, processes, cluster, watch)
        folder.write_failures(failures)
        _say_mixed(study, folder)
    if failures:
        raise PartialError(_describe(failures, len(tasks), path))
    return folder


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses, in one line.

    Raises:
        StudyError: instead of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StudyError(describe_refusal(path, error)) from error


def _orders(
    study: Study, tasks: Sequence[Task], data_dir: str | Path | None, scratch: str | None
) -> Iterator[Order]:
    place = None if data_dir is None else str(Path(data_dir).absolute())
    own = data_sets.is_own(study.data)
    source = str(Path(study.data).expanduser().absolute()) if own else None
    for task in tasks:
        yield Order(task, place, source, scratch)


def _run(
    folder: StudyFolder,
    tasks: Sequence[Task],
    orders: Sequence[Order],
    processes: int | None,
    cluster: str | None,
    watch: Watch | None,
) -> list[tuple[Task, str]]:
    """Do the tasks; those that failed come back with the reason."""
    failures, started = [], time.perf_counter()
    sessions = receipt.read_sessions(folder.path, "runs")
    session = {**receipt.parallel_facts(cluster, processes), "runs": 0}
    with closing(run_tasks(measure, orders, processes=processes, cluster=cluster)) as outcomes:
        for outcome in outcomes:
            task = tasks[outcome.index]
            if outcome.error is not None:
                failures.append((task, outcome.error))
                continue
            folder.write(task, outcome.value)
            session["runs"] += 1
            session["seconds"] = round(time.perf_counter() - started, 3)
            receipt.write_sessions(folder.path, [*sessions, session])
            if watch is not None:
                watch(task, outcome.value)
    return failures


def _say_damaged(study: Study, folder: StudyFolder) -> None:
    damaged = folder.damaged(study)
    if damaged:
        warnings.warn(
            f"{folder.path}: {len(damaged)} files of finished runs are damaged, the first one is "
            f"runs/{damaged[0].key}.json; they are done again",
            stacklevel=3,
        )


def _say_mixed(study: Study, folder: StudyFolder) -> None:
    engines = sorted({result["engine"] for result in folder.results(study).values()})
    if len(engines) > 1:
        warnings.warn(
            f"{folder.path}: its runs are of {len(engines)} engines ({'; '.join(engines)}), which "
            "round differently: runs with the same seed are not strictly comparable; another --out "
            "has all of one",
            stacklevel=3,
        )


def _find_data(study: Study, data_dir: str | Path | None) -> dict[str, str]:
    """Find or fetch the data once, before many processes want it; its digests.

    Raises:
        StudyError: if an arm does not go with it.
    """
    dataset = data_sets.load(study.data, data_dir)
    for arm in study.arms:
        try:
            network_for(study.model, dataset, arm.recipe, dict(arm.network))
        except LenetError as error:
            raise StudyError(f"arm {arm.name!r}: {error}") from error
    return dataset.digests


def _check_same(study: Study, folder: StudyFolder, digests: dict[str, str]) -> None:
    """The data must be that of all runs."""
    if any(result["data"] != digests for result in folder.results(study).values()):
        raise StudyError(
            f"{study.data} has changed since the first runs in {folder.path}, which would not "
            "compare with later ones; choose another --out"
        )


def _describe(failures: list[tuple[Task, str]], total: int, path: str | Path) -> str:
    task, error = failures[0]
    return (
        f"{len(failures)} of {total} runs failed, the others are done; the first one "
        f"({task.describe()}): {error}; "
        f"see {Path(path) / 'failures.json'}, and run the study again to try them again"
    )
