"""Weights, optimizer state, spec and recipe on disk: safetensors and JSON, never a pickle.

One file holds everything.  Its tensors are `weights/<name>` and `optimizer/<slot>/<name>`, float32;
its only metadata entry, `lenet`, is JSON with the rest and with a SHA-256 over both.  The same
checkpoint is the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from lenet import data as data_sets
from lenet.data import Dataset, Origin
from lenet.data.pictures.convention import AS_GIVEN, Convention
from lenet.data.progress import Progress
from lenet.engines.base import EngineState, Weights
from lenet.errors import CheckpointError, DataNotFoundError
from lenet.network import Spec
from lenet.recipe import Recipe
from lenet.system.facts import as_type, build, read_json, shown
from lenet.system.files import write_whole

FORMAT = 1
MAXIMUM_BYTES = 1 << 30
"""Far above any LeNet; a larger file is refused before it is read."""

MAXIMUM_HEADER = 2 << 20
"""Bytes; a thousand classes with the longest names in any script take a quarter of it."""

MOST_SLOTS = 3
"""Arrays that an optimizer keeps of each weight: AdamW's two moments, and the average."""

LONGEST_REASON = 300
"""Letters of a reason that are repeated from a file that may be anything."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a training has come: the next step to take, and the sums of the epoch so far.

    `epoch` counts from 1; `step` is the number of steps done in it; `updates` counts all steps of
    the run.  `loss_sum` and `misses` are over the `images` seen in this epoch.  Every random
    stream is named by the seed and the epoch (see `rng`), so this is all the random state there is.
    """

    epoch: int = 1
    step: int = 0
    updates: int = 0
    images: int = 0
    loss_sum: float = 0.0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Best:
    """The best epoch so far, chosen by validation accuracy (a fraction); the last one on a tie."""

    epoch: int
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class DataSource:
    """Which data a network was trained on, and how other pictures become like it.

    Its name, SHA-256 by file, the classes' names, how its pictures were made, and for own data
    where it is and how it is read.
    """

    name: str
    digests: dict[str, str]
    class_names: tuple[str, ...]
    convention: Convention = AS_GIVEN
    origin: Origin | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> DataSource:
        """What a checkpoint keeps of a data set."""
        return cls(
            dataset.name,
            dataset.digests,
            dataset.class_names,
            dataset.convention,
            dataset.origin,
        )

    def load(
        self, data_dir: str | Path | None = None, *, progress: Progress | None = None
    ) -> Dataset:
        """The data again, as it was read before; raises `LenetError` as `lenet.data.load`."""
        if self.origin is None:
            if self.name not in data_sets.CATALOG:
                raise DataNotFoundError(
                    f"{self.name}: trained on data that was at hand and is not kept; give it again "
                    "in Python, with data=(images, labels)"
                )
            return data_sets.load(self.name, data_dir, progress=progress)
        return data_sets.load_again(self.origin, data_dir, progress=progress)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a training needs to go on, and a prediction to start."""

    spec: Spec
    recipe: Recipe
    data: DataSource
    state: EngineState
    position: Position
    best: Best | None = None

    def __repr__(self) -> str:
        return f"<Checkpoint {self.spec.name} on {self.data.name}, {self.age}>"

    @property
    def weights(self) -> Weights:
        """Those of the network that answers."""
        return self.state.answering

    @property
    def title(self) -> str:
        """What was trained on what, in words."""
        return f"{self.spec.name} on {self.data.name}, seed {self.recipe.seed}"

    @property
    def age(self) -> str:
        """How far its training was, in words."""
        position, epochs = self.position, self.recipe.epochs
        if position.step:
            return f"step {position.step} of epoch {position.epoch} of {epochs}"
        done = position.epoch - 1
        if self.best is not None and self.best.epoch == done < epochs:
            return f"epoch {done} of {epochs}, the best by its validation images"
        return f"epoch {done} of {epochs}"

    @property
    def is_of_the_end(self) -> bool:
        """Whether its training was done."""
        return self.position.epoch > self.recipe.epochs


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        CheckpointError: if the folder cannot be written.

    """
    content = _to_bytes(checkpoint)
    if int.from_bytes(content[:8], "little") > MAXIMUM_HEADER:
        raise CheckpointError(
            f"{path}: the names of its classes and data take over {MAXIMUM_HEADER} bytes"
        )
    try:
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write this checkpoint: {error.strerror}") from error


def digest(checkpoint: Checkpoint) -> str:
    """SHA-256 of the file that `write` makes of it."""
    return hashlib.sha256(_to_bytes(checkpoint)).hexdigest()


def _to_bytes(checkpoint: Checkpoint) -> bytes:
    tensors = _tensors(checkpoint.state)
    facts = _facts(checkpoint)
    facts["sha256"] = _digest(facts, tensors)
    return save_tensors(tensors, metadata={"lenet": json.dumps(facts, sort_keys=True)})


def read(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: if the file is missing, not a checkpoint of this format, or damaged.

    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            return _read(file, path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read this checkpoint: {error.strerror}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for whoever writes to a pipe of that name."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: BinaryIO, path: Path) -> Checkpoint:
    """Check the header alone before anything is read that it asks for."""
    facts_of_file = os.fstat(file.fileno())
    if not stat.S_ISREG(facts_of_file.st_mode):
        raise CheckpointError(f"{path}: not a file: not a checkpoint of lenet")
    if facts_of_file.st_size > MAXIMUM_BYTES:
        raise CheckpointError(f"{path}: over {MAXIMUM_BYTES} bytes: not a checkpoint of lenet")
    start = file.read(9)
    # A safetensors file opens with eight bytes of length, any bytes, and then a brace.
    if start[8:9] not in (b"{", b"") and start.startswith((b"\x80", b"PK")):
        raise CheckpointError(
            f"{path}: a pickle (or a PyTorch archive of pickles): refused, since loading one runs "
            "code; lenet reads only .safetensors files that it wrote"
        )
    try:
        facts = _read_facts(file, start)
        spec = Spec.from_dict(facts["spec"])
        _check_size(spec, int.from_bytes(start[:8], "little"), facts_of_file.st_size)
        file.seek(0)
        tensors = load_tensors(file.read())
        digest = facts.pop("sha256")
        if _digest(facts, tensors) != digest:
            raise CheckpointError("its SHA-256 does not fit its content: it is damaged")
        return _from_facts(facts, spec, tensors)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # what is wrong in such a file can be wrong in any way
        reason = str(error) or type(error).__name__
        if len(reason) > LONGEST_REASON:
            reason = f"{reason[:LONGEST_REASON]}..."
        raise CheckpointError(f"{path}: not a checkpoint of lenet, or damaged: {reason}") from error


def _read_facts(file: BinaryIO, start: bytes) -> dict[str, Any]:
    """The JSON in the header of a safetensors file."""
    length = int.from_bytes(start[:8], "little")
    if length > MAXIMUM_HEADER:
        raise ValueError(f"its header has {length} bytes, and may have {MAXIMUM_HEADER}")
    header = read_json(start[8:9] + file.read(length - 1) if length else b"")
    facts = read_json(header["__metadata__"]["lenet"])
    if not isinstance(facts, dict):
        raise ValueError(f"its facts are {shown(facts)}, and no object")
    return facts


def _check_size(spec: Spec, header: int, size: int) -> None:
    """Refuse a file that is larger than its network, such as one with a hole, before it is read."""
    numbers = sum(math.prod(shape) for shape in spec.weight_shapes().values())
    most = 8 + header + 4 * numbers * (1 + MOST_SLOTS)
    if size > most:
        raise ValueError(f"it has {size} bytes, and one of its network at most {most}")


def _tensors(state: EngineState) -> dict[str, NDArray[np.float32]]:
    weights = {f"weights/{name}": array for name, array in state.weights.items()}
    optimizer = {f"optimizer/{name}": array for name, array in state.optimizer.items()}
    return {name: np.ascontiguousarray(array) for name, array in (weights | optimizer).items()}


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "spec": checkpoint.spec.to_dict(),
        "recipe": asdict(checkpoint.recipe),
        "data": asdict(checkpoint.data),
        "position": asdict(checkpoint.position),
        "best": None if checkpoint.best is None else asdict(checkpoint.best),
        "updates": checkpoint.state.updates,
    }


def _from_facts(
    facts: Mapping[str, Any], spec: Spec, tensors: dict[str, NDArray[Any]]
) -> Checkpoint:
    if facts["format"] != FORMAT:
        raise ValueError(
            f"checkpoint format {shown(facts['format'])}; this version reads {FORMAT}: update lenet"
        )
    updates = as_type(int, facts["updates"], "updates")
    state = EngineState(_part(tensors, "weights/"), _part(tensors, "optimizer/"), updates)
    _check_state(spec, state)
    data = build(DataSource, facts["data"], "data")
    if len(data.class_names) != spec.classes:
        raise ValueError(
            f"it names {len(data.class_names)} classes, and its network has {spec.classes}"
        )
    best = facts["best"]
    checkpoint = Checkpoint(
        spec=spec,
        recipe=Recipe.from_dict(as_type(dict[str, Any], facts["recipe"], "recipe")),
        data=data,
        state=state,
        position=build(Position, facts["position"], "position", complete=True),
        best=None if best is None else build(Best, best, "best"),
    )
    _check_position(checkpoint)
    return checkpoint


def _check_position(checkpoint: Checkpoint) -> None:
    """Refuse a place that no training with this recipe comes to."""
    position, recipe, best = checkpoint.position, checkpoint.recipe, checkpoint.best
    seen = range(position.step * recipe.batch_size + 1)
    if not (
        1 <= position.epoch <= recipe.epochs + 1
        and 0 <= position.step <= position.updates
        and position.images in seen
        and (position.images > 0) == (position.step > 0)
        and 0 <= position.misses <= position.images
        and position.loss_sum >= 0
        and checkpoint.state.updates >= 0
    ):
        raise ValueError(f"no training comes to {position}")
    if best is not None and not (
        1 <= best.epoch <= recipe.epochs and 0 <= best.validation_accuracy <= 1
    ):
        raise ValueError(f"no training finds {best}")


def _part(tensors: dict[str, NDArray[Any]], prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): array
        for name, array in sorted(tensors.items())
        if name.startswith(prefix)
    }


def _check_state(spec: Spec, state: EngineState) -> None:
    shapes = spec.weight_shapes()
    found = {name: array.shape for name, array in state.weights.items()}
    if found != shapes:
        raise ValueError(f"weights {found} do not fit the network, which has {shapes}")
    for name, array in (state.weights | state.optimizer).items():
        if array.dtype != np.float32 or array.shape != shapes.get(name.rsplit("/", 1)[-1]):
            raise ValueError(f"{name} is {array.dtype} {array.shape}; it does not fit")
    if not is_finite(state):
        raise ValueError("some of its numbers are infinite, or no numbers")


def is_finite(state: EngineState) -> bool:
    """Whether each weight and each number of the optimizer is one to compute with."""
    arrays = (*state.weights.values(), *state.optimizer.values())
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _digest(facts: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
