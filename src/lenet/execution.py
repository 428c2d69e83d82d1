"""Independent tasks in separate processes: on all cores here, or on a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lenet import machine
from lenet.errors import EngineError, LenetError

RAY_CURE = "install it with: pip install 'lenet[ray]'"
MOST_DEATHS = 3
"""Processes that may die over a task that is tried alone, before it is given up."""

MOST_WAITING = 1000
"""Tasks that a cluster is given at once; the others are made when there is room."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the task at `index`: its value, or its error in one line."""

    index: int
    value: Any = None
    error: str | None = None


class _LostProcessError(Exception):
    """A process of a pool died, and the pool with it."""


def run_tasks(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    processes: int | None = None,
    cluster: str | None = None,
) -> Iterator[Outcome]:
    """Call `function` on each of `items` in its own time, and yield the outcomes as they end.

    `function` and `items` are pickled; an item is asked for when there is room for it, and again
    if its process is killed, so that `items` can make them one by one.  A call should use one
    thread.  An exception becomes an outcome with an error, and so does a task whose process dies
    again and again: one bad task does not stop the others.

    `processes` is by default the number of cores; `cluster` is a Ray address as `ray start` prints
    it, or `auto`.

    Raises:
        EngineError: if the cluster cannot be reached, or Ray is missing.
    """
    if cluster is not None:
        return _on_cluster(function, items, cluster)
    return _here(function, items, processes or machine.cores())


def _attempt(function: Callable[[Any], Any], index: int, item: Any) -> Outcome:
    try:
        return Outcome(index, function(item))
    except LenetError as error:
        return Outcome(index, error=str(error))
    except Exception as error:  # the caller must hear of a bug in one task and get the others
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return Outcome(index, error=f"{type(error).__name__} in {place}: {error}")


def _end_with(parent: int) -> None:
    """End this process within a second of its parent, which may be killed without a word.

    It begins before the first task: one that never comes would be waited for without an end.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _here(
    function: Callable[[Any], Any], items: Sequence[Any], processes: int
) -> Iterator[Outcome]:
    """Through joblib's processes; a pool that loses one is replaced for what is left.

    A process that dies takes its pool with it, so nobody knows which task it was: those that were
    begun are then tried alone, where only the one to blame can suffer.
    """
    left = dict.fromkeys(range(len(items)))
    while left:
        begun: list[int] = []
        try:
            for outcome in _in_processes(function, items, list(left), processes, begun):
                del left[outcome.index]
                yield outcome
        except _LostProcessError as error:
            warnings.warn(f"a process was lost, and its task is done again: {error}", stacklevel=2)
            for index in [index for index in begun if index in left]:
                del left[index]
                yield _alone(function, items, index)


def _alone(function: Callable[[Any], Any], items: Sequence[Any], index: int) -> Outcome:
    for _ in range(MOST_DEATHS):
        try:
            # Two, for a pool of one would be this process.
            (outcome,) = _in_processes(function, items, [index], 2, [])
        except _LostProcessError:
            continue
        return outcome
    return Outcome(index, error=f"its process died {MOST_DEATHS} times in a row")


def _in_processes(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    indices: Sequence[int],
    processes: int,
    begun: list[int],
) -> Iterator[Outcome]:
    """The tasks at `indices` in one pool; each is added to `begun` when a process may be at it."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    def calls() -> Iterator[Any]:
        for index in indices:
            begun.append(index)
            yield delayed(_attempt)(function, index, items[index])

    pool = Parallel(
        n_jobs=processes,
        batch_size=1,
        return_as="generator_unordered",
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
            yield from pool(calls())
    except BrokenProcessPool as error:
        raise _LostProcessError(str(error)) from error


def _on_cluster(
    function: Callable[[Any], Any], items: Sequence[Any], cluster: str
) -> Iterator[Outcome]:
    """Through Ray's tasks; Ray repeats those whose node is lost."""
    # Ray sends statistics about its use to its makers unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise EngineError(f"--cluster needs Ray; {RAY_CURE}") from error
    try:
        _knock(cluster)
        ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster answers at {cluster}: {error}; start one with: ray start --head"
        ) from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=-1)(_attempt)
        waiting: dict[Any, int] = {}
        coming = iter(range(len(items)))
        while True:
            for index in islice(coming, MOST_WAITING - len(waiting)):
                waiting[remote.remote(function, index, items[index])] = index
            if not waiting:
                return
            done, _ = ray.wait(list(waiting))
            for reference in done:
                index = waiting.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RaySystemError as error:
                    yield Outcome(index, error=f"its node died: {error}")
    finally:
        ray.shutdown()


def _knock(cluster: str) -> None:
    """Raise `OSError` where nobody listens: Ray itself would wait for minutes."""
    host, _, port = cluster.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
