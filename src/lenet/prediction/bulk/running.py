"""Many inputs answered in shards, on all cores or on a cluster, and gone on with after a stop."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from lenet.errors import PartialError, UsageError
from lenet.prediction.bulk import formats
from lenet.prediction.bulk.folder import PredictionFolder
from lenet.prediction.bulk.inputs import Inputs, Listing, write_listing
from lenet.prediction.bulk.progress import PredictionProgress
from lenet.prediction.bulk.shard import Order, Problem, Shard, answer_few_pieces, answer_shard
from lenet.prediction.bulk.target import Target, choose_target
from lenet.prediction.network import Answer, Network, check_top
from lenet.runs import receipt
from lenet.runs.run import open_run
from lenet.system import machine
from lenet.system.files import PARTIAL
from lenet.system.kinds import Manifest, describe_refusal
from lenet.system.scratch import scratch_folder
from lenet.system.tasks import run_tasks

FORMAT = 2

MOST_FEW = 100
"""Images that are answered at once, where the answers are printed."""

RECEIPT_SECONDS = 10.0
"""Between two updates of the receipt."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many images were answered, how many inputs could not be used, and the first of them.

    `failures` are shards that could not be done at all, which leaves `left` images.  `errors` is
    where all problems are, if anywhere.
    """

    answers: int
    problems: int
    first: Problem | None
    failures: tuple[str, ...]
    out: Path
    errors: Path | None
    left: int = 0

    def check(self) -> None:
        """Say what is missing.

        Raises:
            PartialError: if something is.
        """
        if self.failures:
            raise PartialError(
                f"{len(self.failures)} shards could not be done, the others are kept; the first "
                f"one, {self.failures[0]}; run the same command again to try them again"
            )
        if self.first is not None:
            raise _unused(self.problems, self.answers, self.first, self.errors)


@dataclass(frozen=True, slots=True)
class Orders(Sequence[Order]):
    """An order for each shard that is missing, made when it is asked for."""

    listing: Listing
    numbers: list[int]
    network: Network
    kind: str
    top: int
    attempts: str

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        number = self.numbers[index]
        pieces, folder = self.listing[number], str(Path.cwd())
        return Order(
            number, pieces, self.network, self.kind, self.top, folder, os.getpid(), self.attempts
        )


def predict(
    run: str | Path,
    inputs: Sequence[str] | Inputs,
    out: str | Path,
    *,
    kind: str | None = None,
    top: int = 1,
    which: str | None = None,
    engine: str = "auto",
    views: bool = False,
    processes: int | None = None,
    cluster: str | None = None,
    shard_rows: int | None = None,
    stdin: BinaryIO | None = None,
    progress: PredictionProgress | None = None,
) -> Outcome:
    """Answer every input that `inputs` name, into the folder or file `out`.

    A name that ends in .csv, .jsonl or .parquet is one file; its shards are in a hidden folder
    beside it until all are done.  What an earlier call with the same inputs, network and format has
    done is not done again.  With `views` an answer is the mean over several views of an image.

    Raises:
        UsageError: if there is nothing to do, or `out` cannot be written, is one of the inputs, or
            belongs to something else.
        LenetError: as `open_run`, `Run.checkpoint`, `open_engine` and `run_tasks`.
    """
    checkpoint = open_run(run).checkpoint(which)
    network = Network.of(checkpoint, engine, views=views)
    check_top(top, network.class_names)
    target = choose_target(out, kind)
    session = _Session(target, network, top, progress or PredictionProgress(quiet=True))
    found = inputs if isinstance(inputs, Inputs) else Inputs(inputs, stdin)
    with session.hold():
        listing = session.begin(found, shard_rows)
        failures = session.run(listing, processes, cluster)
        return session.end(listing, failures)


@dataclass(frozen=True, slots=True)
class Few:
    """Answers to a few inputs, and the inputs that have none."""

    answers: tuple[Answer, ...]
    problems: tuple[Problem, ...]

    def check(self) -> None:
        """Say what is missing.

        Raises:
            PartialError: if something is.
        """
        if self.problems:
            raise _unused(len(self.problems), len(self.answers), self.problems[0])


def _unused(
    problems: int, answers: int, first: Problem, errors: Path | None = None
) -> PartialError:
    """Some inputs have no answer; `errors` is where all of them are, if anywhere."""
    name, reason = first
    place = "" if errors is None else f"; see {errors}"
    return PartialError(
        f"{problems:,} of {problems + answers:,} inputs could not be used, the others are done; "
        f"the first one: {name}: {reason}{place}"
    )


def answer_few(
    run: str | Path,
    inputs: Inputs,
    *,
    top: int = 1,
    which: str | None = None,
    engine: str = "auto",
    views: bool = False,
) -> Few | None:
    """Answer the inputs at once where they are few, with nothing on disk.

    They are read in another process, which a picture may kill.  None if they are more than
    `MOST_FEW` images: then `predict_aside` is the way.

    Raises:
        UsageError: if there is nothing to do, or `top` is out of range.
        PartialError: if the process died again and again.
        LenetError: as `predict`.
    """
    network = Network.of(open_run(run).checkpoint(which), engine, views=views)
    check_top(top, network.class_names)
    pieces = inputs.few(MOST_FEW)
    if pieces is None:
        return None
    if not pieces:
        raise inputs.nothing()
    with scratch_folder("predict") as scratch:
        attempts, kind = f"{scratch}/", formats.FORMATS[0]
        order = Order(0, pieces, network, kind, top, str(Path.cwd()), os.getpid(), attempts)
        with closing(run_tasks(answer_few_pieces, [order], processes=1)) as outcomes:
            (outcome,) = outcomes
    if outcome.error is not None:
        raise PartialError(f"nothing could be answered: {outcome.error}")
    answers, problems = outcome.value
    return Few(tuple(answers), tuple(problems))


@contextmanager
def predict_aside(
    run: str | Path, inputs: Inputs, **options: Any
) -> Iterator[tuple[Outcome, PredictionFolder]]:
    """The same into a folder that is gone after the block, for answers that are shown and not kept.

    Raises:
        LenetError: as `predict`.
    """
    with scratch_folder("predict") as scratch:
        folder = PredictionFolder(scratch / "answers")
        yield replace(predict(run, inputs, folder.path, **options), errors=None), folder


@dataclass(frozen=True, slots=True)
class _Session:
    """One call of `predict`, which holds the folder."""

    target: Target
    network: Network
    top: int
    progress: PredictionProgress

    @property
    def folder(self) -> PredictionFolder:
        return self.target.folder

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the folder; if nothing was done it is gone again when the block ends in an error.

        Raises:
            UsageError: if it cannot be held or written.
        """
        folder = self.folder
        was_there = folder.path.exists()
        try:
            with folder.lock():
                yield
        except OSError as error:
            raise UsageError(describe_refusal(folder.path, error)) from error
        finally:
            has_begun = any((folder.path / "digests").glob("*"))
            if not was_there and not has_begun:
                shutil.rmtree(folder.path, ignore_errors=True)

    def begin(self, inputs: Inputs, shard_rows: int | None) -> Listing:
        """List the inputs, and go on with the folder if it holds the same ones."""
        aside = self.folder.path / f".inputs.jsonl.{os.getpid()}{PARTIAL}"
        try:
            listing = write_listing(self.target.check_inputs(inputs), aside, shard_rows)
            if not listing.rows:
                raise inputs.nothing()
            self.folder.begin(self._manifest(listing), starts_over=self.target.is_file)
            os.replace(aside, self.folder.inputs_path)
        finally:
            aside.unlink(missing_ok=True)
        return listing.at(self.folder.inputs_path)

    def _manifest(self, listing: Listing) -> Manifest:
        return {
            "format": FORMAT,
            "inputs": {"images": listing.rows, "sha256": listing.digest},
            "network": {
                "name": self.network.spec.name,
                "engine": self.network.engine,
                "sha256": self.network.digest,
            },
            "output": {
                "format": self.target.kind,
                "top": self.top,
                "shard_rows": listing.shard_rows,
                "shards": len(listing),
            },
        }

    def run(self, listing: Listing, processes: int | None, cluster: str | None) -> tuple[str, ...]:
        """Do what is missing; what could not be done comes back in words."""
        missing = self.folder.missing()
        self._say_damaged(missing)
        processes = min(processes or machine.cores(), max(1, len(missing)))
        receipt = _Receipt(self.folder, cluster, processes)
        done = listing.rows - sum(listing.count(number) for number in missing)
        self.progress.begin(done, listing.rows, len(missing))
        failures = []
        kind, attempts = self.target.kind, self._attempts(cluster)
        orders = Orders(listing, missing, self.network, kind, self.top, attempts)
        outcomes = run_tasks(answer_shard, orders, processes=processes, cluster=cluster)
        with closing(outcomes):
            for outcome in outcomes:
                number = missing[outcome.index]
                if outcome.error is not None:
                    failures.append(f"number {number}: {outcome.error}")
                    continue
                self.folder.write(number, outcome.value)
                receipt.add(outcome.value)
                done += listing.count(number)
                self.progress.update(done, listing.rows)
        receipt.write()
        return tuple(failures)

    def _say_damaged(self, missing: list[int]) -> None:
        damaged = [number for number in missing if self.folder.is_damaged(number)]
        if damaged:
            warnings.warn(
                f"{self.folder.path}: {len(damaged)} finished shards are not what was written, the "
                f"first one is number {damaged[0]}; they are made again",
                stacklevel=2,
            )

    def _attempts(self, cluster: str | None) -> str:
        """Where a process notes what it is at: on a cluster in a place that each machine has."""
        if cluster is None:
            return f"{self.folder.attempts_path.absolute()}/"
        return f"{tempfile.gettempdir()}/lenet-{self.network.digest[:16]}-{os.getpid()}-"

    def end(self, listing: Listing, failures: tuple[str, ...]) -> Outcome:
        """Bring together what the shards left."""
        folder, target, errors = self.folder, self.target, self.target.errors_path
        first, left = next(folder.problems(), None), 0
        if failures:
            count = sum(1 for _ in folder.problems())
            left = sum(listing.count(number) for number in folder.missing())
        else:
            count = folder.write_errors()
            folder.forget_attempts()
            if target.is_file:
                folder.write_joined(target.path)
                errors.unlink(missing_ok=True)
                if count:
                    os.replace(folder.errors_path, errors)
                shutil.rmtree(folder.path, ignore_errors=True)
        answers = listing.rows - left - count
        return Outcome(answers, count, first, failures, target.path, errors, left)


class _Receipt:
    """What this session took, beside the sessions before it."""

    def __init__(self, folder: PredictionFolder, cluster: str | None, processes: int) -> None:
        self._folder, self._before = folder, receipt.read_sessions(folder.path, "images")
        self._started = self._written = time.perf_counter()
        self._facts: dict[str, Any] = {
            **receipt.parallel_facts(cluster, processes),
            "images": 0,
            "seconds_by_part": {},
        }

    def add(self, shard: Shard) -> None:
        """One more shard was done; its seconds are summed over all processes."""
        self._facts["images"] += shard.answers + len(shard.problems)
        parts = self._facts["seconds_by_part"]
        for name, seconds in asdict(shard.clock).items():
            parts[name] = parts.get(name, 0.0) + seconds
        if time.perf_counter() - self._written > RECEIPT_SECONDS:
            self.write()

    def write(self) -> None:
        self._written = time.perf_counter()
        self._facts["seconds"] = round(self._written - self._started, 3)
        receipt.write_sessions(self._folder.path, [*self._before, self._facts])
