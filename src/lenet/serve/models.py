"""The networks in service: by name and version, loaded from runs, and again when these go on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np

from lenet.engines.base import Engine
from lenet.errors import LenetError, MachineError, UsageError
from lenet.prediction.network import Network
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import BEST, Run, find_run

NAME = re.compile(r"(?!\.+$)[\w.-]+")
"""A client leaves `.` and `..` out of an address."""

FEW = 4
"""Images that an engine answers one by one, for their latency."""

HAND_OVER_SECONDS = 100e-6
"""An image that takes no longer than this is answered on the event loop, if it comes with few:
handing it to a thread and back costs 15 to 45 microseconds, as much as the answer, and makes a
request a fifth dearer (figures in `docs/log.md`)."""

KEPT_VERSIONS = 2
"""So that a client which asks for a version by name can go on over a reload."""

WATCH_SECONDS = 1.0


@final
@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A network that answers.

    `engine` is for the workers.  `quick` belongs to the event loop alone, so that a large batch
    never stands before it; None where even few images take too long for it.
    """

    name: str
    version: str
    checkpoint: Checkpoint
    network: Network
    engine: Engine
    quick: Engine | None

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width) of an image."""
        return self.network.spec.input_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """By label."""
        return self.network.class_names


@dataclass(slots=True)
class _Kept:
    """A run in service, and what its checkpoint's file was when it was read."""

    run: Run
    mark: object
    versions: list[Served]
    """Newest last."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How networks are opened: which checkpoint, engine, threads; None is the default of each."""

    which: str | None = None
    engine: str = "auto"
    threads: int | None = None


@final
@dataclass(slots=True)
class Models:
    """All networks in service.  Loading happens in a thread, installing on the event loop."""

    choice: Choice
    failures: int = 0
    """Reloads that did not succeed; the network of before stays."""
    reloads: int = 0
    _kept: dict[str, _Kept] = field(default_factory=dict)

    def open(self, words: Iterable[str]) -> None:
        """Load each of `words`: a run's folder, or NAME=FOLDER.

        Raises:
            UsageError: if a name cannot be one, or two networks have the same.
            LenetError: as `find_run`, `Run.checkpoint` and `open_engine`.
        """
        for word in words:
            name, place = split_name(word)
            run = find_run(place)
            name = name or run.path.absolute().name
            if not NAME.fullmatch(name):
                raise UsageError(
                    f"{name!r} is no name for a network: letters, digits, '.', '_' and '-' are, "
                    f"and not dots alone; name it: NAME={place}"
                )
            if name in self._kept:
                raise UsageError(
                    f"two networks are called {name}; give one another name: NAME={place}"
                )
            mark = _mark(run, self.choice.which)
            served = load(name, run.checkpoint(self.choice.which), self.choice)
            self._kept[name] = _Kept(run, mark, [served])

    def names(self) -> list[str]:
        """In the order in which they were given."""
        return list(self._kept)

    def newest(self) -> list[Served]:
        """The newest version of each."""
        return [kept.versions[-1] for kept in self._kept.values()]

    def versions(self, name: str) -> list[Served]:
        """The versions of a network that can be asked for, newest last; empty if there is none."""
        kept = self._kept.get(name)
        return [] if kept is None else kept.versions

    def changed(self, *, all_of_them: bool) -> list[tuple[str, Run, object]]:
        """The networks whose checkpoint is another file than the one that was read."""
        marks = ((name, each, _mark(each.run, self.choice.which)) for name, each in self._items())
        return [
            (name, each.run, mark)
            for name, each, mark in marks
            if all_of_them or (mark is not None and mark != each.mark)
        ]

    def _items(self) -> list[tuple[str, _Kept]]:
        return list(self._kept.items())

    def install(self, served: Served, mark: object) -> None:
        """From now on new requests are answered by `served`; those under way keep theirs."""
        kept = self._kept[served.name]
        others = [each for each in kept.versions if each.version != served.version]
        kept.mark = mark
        kept.versions = [*others, served][-KEPT_VERSIONS:]
        self.reloads += 1

    def give_up(self, name: str, mark: object) -> None:
        """Do not try the same file again."""
        self._kept[name].mark = mark
        self.failures += 1


@final
class Watch:
    """A thread that looks for newer checkpoints, and loads them."""

    def __init__(
        self,
        models: Models,
        on_loop: Callable[..., object],
        installed: Callable[[Served], None],
        failed: Callable[[str, LenetError], None],
    ) -> None:
        self._models, self._on_loop = models, on_loop
        self._installed, self._failed = installed, failed
        self._wake, self._all, self._ended = threading.Event(), False, False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def reload(self) -> None:
        """Load all again, now."""
        self._all = True
        self._wake.set()

    def close(self) -> None:
        self._ended = True
        self._wake.set()

    def _watch(self) -> None:
        while not self._ended:
            self._wake.wait(WATCH_SECONDS)
            self._wake.clear()
            wanted, self._all = self._all, False
            for name, run, mark in self._models.changed(all_of_them=wanted):
                if not self._ended:
                    self._load(name, run, mark)

    def _load(self, name: str, run: Run, mark: object) -> None:
        call = self._loaded(name, run, mark)
        try:
            self._on_loop(*call)
        except RuntimeError:  # the loop has ended
            self._ended = True

    def _loaded(self, name: str, run: Run, mark: object) -> tuple[object, ...]:
        """What the loop is to call, and with what."""
        choice = self._models.choice
        try:
            # The one before a damaged one is no newer than what answers.
            checkpoint = run.checkpoint(choice.which, fall_back=False)
            return self._install, load(name, checkpoint, choice), mark
        except LenetError as error:
            return self._fail, name, mark, error
        except MemoryError:
            why = f"{run.path}: too little memory to load this network beside the one that answers"
            return self._fail, name, mark, MachineError(why)

    def _install(self, served: Served, mark: object) -> None:
        self._models.install(served, mark)
        self._installed(served)

    def _fail(self, name: str, mark: object, error: LenetError) -> None:
        self._models.give_up(name, mark)
        self._failed(name, error)


def split_name(word: str) -> tuple[str, str]:
    """`NAME=FOLDER` as both; a folder alone has no name."""
    name, sign, place = word.partition("=")
    return ("", word) if not sign or Path(word).exists() else (name, place)


def load(name: str, checkpoint: Checkpoint, choice: Choice) -> Served:
    """The network of a checkpoint, warmed up.

    Its version is the number of its training's steps and the beginning of a SHA-256 of all that its
    answers depend on.

    Raises:
        LenetError: as `Network.of` and `Network.open`.
    """
    network = Network.of(checkpoint, choice.engine)
    version = f"{checkpoint.position.updates}-{network.digest[:8]}"
    engine = network.open(choice.threads)
    few = np.zeros((FEW, *network.spec.input_shape), np.uint8)
    engine.logits(engine.place(few))
    return Served(name, version, checkpoint, network, engine, _open_quick(network, engine, few))


def _open_quick(network: Network, engine: Engine, few: np.ndarray) -> Engine | None:
    """A second engine, of one thread, if it is quick; PyTorch has one number for the process."""
    if engine.name != "native":
        return None
    quick = network.open()
    return quick if _quickest(quick, few) <= FEW * HAND_OVER_SECONDS else None


def _quickest(engine: Engine, few: np.ndarray) -> float:
    """Seconds of an answer, the best of ten: this machine may be busy."""
    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        engine.logits(engine.place(few))
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _mark(run: Run, which: str | None) -> object:
    """Which file the checkpoint is, and in which state; None where there is none."""
    try:
        if which == BEST or (which is None and run.best_path.exists()):
            path = run.best_path
        else:
            path = next(iter(run.checkpoint_paths()))
        found = path.stat()
    except (OSError, StopIteration):
        return None
    return path, found.st_mtime_ns, found.st_size, found.st_ino
