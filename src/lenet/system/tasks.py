"""Independent tasks in separate processes: on all cores here, or on a Ray cluster."""

from __future__ import annotations

import json
import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, final

from lenet.errors import EngineError, LenetError
from lenet.system import machine

RAY_CURE = "install it with: pip install 'lenet[ray]'"
MOST_DEATHS = 3
"""Processes that may die over one task before it is given up."""

PATIENCE = 0.5
"""Seconds of one wait of the driver: on Windows a signal is heard only between two of them."""

MOST_WAITING = 1000
"""Tasks that a cluster is given at once; the others are made when there is room."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the task at `index`: its value, or its error in one line."""

    index: int
    value: Any = None
    error: str | None = None


def run_tasks(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    processes: int | None = None,
    cluster: str | None = None,
) -> Generator[Outcome, None, None]:
    """Call `function` on each of `items` in other processes, and yield the outcomes as they end.

    `function` is that of a module, and `items` can be pickled; an item is asked for when there is
    room for it, and again if its process is killed, so that `items` can make them one by one.  A
    call should use one thread.  An exception becomes an outcome with an error, and so does a task
    whose process dies again and again: one bad task does not stop the others.

    `processes` is by default the number of cores; `cluster` is a Ray address as `ray start` prints
    it, or `auto`.  Whoever may leave before the last outcome closes the iterator: when that is
    done no process of it is left.

    Raises:
        EngineError: if the cluster cannot be reached, Ray is missing, or no process can be started.
    """
    if cluster is not None:
        return _on_cluster(function, items, cluster)
    return _here(function, items, processes or machine.cores())


def attempt(function: Callable[[Any], Any], index: int, item: Any) -> Outcome:
    """Do one task, whatever comes of it."""
    try:
        return Outcome(index, function(item))
    except LenetError as error:
        return Outcome(index, error=str(error))
    except Exception as error:  # the caller must hear of a bug in one task and get the others
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return Outcome(index, error=f"{type(error).__name__} in {place}: {error}")


def program(module: str, *words: str) -> list[str]:
    """The command that calls `module`'s `main` in another Python, which imports as this one does.

    `python -m` would look for every module in the current folder first, which may be a folder of
    pictures that somebody else made.
    """
    start = (
        "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
        f"from {module} import main; main()"
    )
    return [sys.executable, "-P", "-c", start, json.dumps(sys.path), *words]


class _DiedError(Exception):
    """A worker's process ended in the middle of a task."""


class _Lost:
    """A process died over a task, which is tried again."""


@final
class _Worker:
    """A process that does one task after the other; see `lenet.system.worker` for its side."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._process = subprocess.Popen(
            program("lenet.system.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Where it is closed, its number may be that of one of these pipes by now.
            stderr=subprocess.DEVNULL if sys.stderr is None else None,
        )
        self._greeting = (os.getpid(), f"{function.__module__}:{function.__qualname__}")
        self._is_greeted = False

    def do(self, index: int, item: Any) -> Outcome:
        """One task.

        Raises:
            _DiedError: if the process ends in the middle of it.
        """
        if not self._is_greeted:
            self._send(self._greeting)
            self._is_greeted = True
        self._send((index, item))
        try:
            outcome: Outcome = pickle.load(self._pipe("stdout"))  # noqa: S301 - from our own child
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise _DiedError(str(error)) from error
        return outcome

    def kill(self) -> None:
        """End the process wherever it is; whoever waits for its answer hears of it."""
        self._process.kill()

    def close(self) -> None:
        """End the process, and give back what it held; only for the thread that speaks to it."""
        self._process.kill()
        self._process.wait()
        for name in ("stdin", "stdout"):
            with suppress(OSError):  # what is still to be written has no reader any more
                self._pipe(name).close()

    def _send(self, message: Any) -> None:
        try:
            pipe = self._pipe("stdin")
            pipe.write(pickle.dumps(message))
            pipe.flush()
        except OSError as error:
            raise _DiedError(str(error)) from error

    def _pipe(self, name: str) -> BinaryIO:
        pipe: BinaryIO = getattr(self._process, name)
        return pipe


@final
class _Pool:
    """Threads that each keep one worker busy until all tasks are done."""

    def __init__(
        self, function: Callable[[Any], Any], items: Sequence[Any], processes: int
    ) -> None:
        self._function, self._items = function, items
        self._numbers = iter(range(len(items)))
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._stopped = False
        self.done: queue.SimpleQueue[Outcome | _Lost | BaseException | None] = queue.SimpleQueue()
        self.threads = [
            threading.Thread(target=self._keep_busy, daemon=True)
            for _ in range(min(processes, len(items)))
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Begin no task any more, end those that are under way, and wait for their processes."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.kill()
        for thread in self.threads:
            thread.join()

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stopped else next(self._numbers, None)

    def _keep_busy(self) -> None:
        """What a thread does; its end, or what went wrong in this process, is in the queue too."""
        _hear_no_signals()
        worker: _Worker | None = None
        try:
            while (index := self._next()) is not None:
                worker = self._do(worker, index)
        except BaseException as error:
            self.done.put(error)
        finally:
            if worker is not None:
                self._drop(worker)
            self.done.put(None)

    def _do(self, worker: _Worker | None, index: int) -> _Worker | None:
        """One task, tried again where its process dies; the worker that is left."""
        for death in range(1, MOST_DEATHS + 1):
            try:
                worker = worker or self._start()
                self.done.put(worker.do(index, self._items[index]))
            except _DiedError:
                if worker is not None:
                    self._drop(worker)
                worker = None
                if self._stopped:
                    return None
                if death < MOST_DEATHS:
                    self.done.put(_Lost())
            else:
                return worker
        error = f"its process died {MOST_DEATHS} times in a row"
        self.done.put(Outcome(index, error=error))
        return None

    def _start(self) -> _Worker:
        try:
            worker = _Worker(self._function)
        except OSError as error:
            raise EngineError(f"no process can be started: {error.strerror}") from error
        with self._lock:
            self._workers.add(worker)
            if self._stopped:
                worker.kill()
        return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.close()


def _hear_no_signals() -> None:
    """In this thread, and from their first moment in the processes that it starts.

    A terminal, or a system that stops a service, sends signals to every process of it; the driver
    decides what becomes of the work.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def _here(
    function: Callable[[Any], Any], items: Sequence[Any], processes: int
) -> Generator[Outcome, None, None]:
    """On the cores of this machine; a process that dies takes no other with it."""
    pool = _Pool(function, items, processes)
    left = len(pool.threads)
    try:
        while left:
            try:
                found = pool.done.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
            elif isinstance(found, _Lost):
                warnings.warn("a process was lost; its task is tried again", stacklevel=2)
            else:
                yield found
    finally:
        pool.stop()


def _on_cluster(
    function: Callable[[Any], Any], items: Sequence[Any], cluster: str
) -> Generator[Outcome, None, None]:
    """Through Ray's tasks; Ray repeats those whose process or node is lost."""
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
        remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS - 1)(attempt)
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
                except ray.exceptions.RayError as error:
                    kind = type(error).__name__
                    lost = f"its process or node died {MOST_DEATHS} times in a row ({kind})"
                    yield Outcome(index, error=lost)
    finally:
        ray.shutdown()


def _knock(cluster: str) -> None:
    """Raise `OSError` where nobody listens: Ray itself would wait for minutes."""
    host, _, port = cluster.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
