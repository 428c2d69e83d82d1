"""Weights, optimizer state, spec and recipe on disk: safetensors and JSON, never a pickle.

One file holds everything.  Its tensors are `weights/<name>` and `optimizer/<slot>/<name>`, float32;
its only metadata entry, `lenet`, is JSON with the rest and with a SHA-256 over both.  The same
checkpoint is the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from lenet import data as data_sets
from lenet.data import Dataset, Origin, Reading
from lenet.data.pictures.convention import AS_GIVEN, Convention
from lenet.data.progress import Progress
from lenet.engines.base import EngineState, Weights
from lenet.errors import CheckpointError, DataNotFoundError, UsageError
from lenet.network import Spec
from lenet.recipe import Recipe
from lenet.system.files import write_whole

FORMAT = 1
MAXIMUM_BYTES = 1 << 30
"""Far above any LeNet; a larger file is refused before it is read."""


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
    """The best epoch so far, chosen by validation accuracy (a fraction); the first one on a tie."""

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


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all.

    Raises:
        CheckpointError: if the folder cannot be written.

    """
    tensors = _tensors(checkpoint.state)
    facts = _facts(checkpoint)
    facts["sha256"] = _digest(facts, tensors)
    content = save_tensors(tensors, metadata={"lenet": json.dumps(facts, sort_keys=True)})
    try:
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write this checkpoint: {error}") from error


def read(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Raises:
        CheckpointError: if the file is missing, not a checkpoint of this format, or damaged.

    """
    content = _read_bytes(path)
    try:
        tensors = load_tensors(content)
        facts = json.loads(_metadata(content)["lenet"])
        digest = facts.pop("sha256")
        if _digest(facts, tensors) != digest:
            raise CheckpointError(f"{path}: its SHA-256 does not fit its content: it is damaged")
        return _from_facts(facts, tensors)
    except (SafetensorError, UsageError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of lenet, or damaged: {error}") from error


def _read_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read this checkpoint: {error.strerror}") from error
    if len(content) > MAXIMUM_BYTES:
        raise CheckpointError(f"{path}: over {MAXIMUM_BYTES} bytes: not a checkpoint of lenet")
    # A safetensors file opens with eight bytes of length, any bytes, and then a brace.
    if content[8:9] not in (b"{", b"") and content.startswith((b"\x80", b"PK")):
        raise CheckpointError(
            f"{path}: a pickle (or a PyTorch archive of pickles): refused, since loading one runs "
            "code; lenet reads only .safetensors files that it wrote"
        )
    return content


def _metadata(content: bytes) -> dict[str, str]:
    """The text entries of a safetensors header, which `load` has already checked."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


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


def _from_facts(facts: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Checkpoint:
    if facts["format"] != FORMAT:
        raise CheckpointError(
            f"checkpoint format {facts['format']}; this version reads {FORMAT}: update lenet"
        )
    spec = Spec.from_dict(facts["spec"])
    data = facts["data"]
    state = EngineState(
        _part(tensors, "weights/"), _part(tensors, "optimizer/"), int(facts["updates"])
    )
    _check_shapes(spec, state)
    return Checkpoint(
        spec=spec,
        recipe=Recipe.from_dict(facts["recipe"]),
        data=DataSource(
            data["name"],
            data["digests"],
            tuple(data["class_names"]),
            Convention(**data["convention"]),
            _origin(data.get("origin")),
        ),
        state=state,
        position=Position(**facts["position"]),
        best=None if facts["best"] is None else Best(**facts["best"]),
    )


def _origin(facts: dict[str, Any] | None) -> Origin | None:
    return None if facts is None else Origin(facts["path"], Reading(**facts["reading"]))


def _part(tensors: dict[str, NDArray[Any]], prefix: str) -> Weights:
    return {
        name.removeprefix(prefix): array
        for name, array in sorted(tensors.items())
        if name.startswith(prefix)
    }


def _check_shapes(spec: Spec, state: EngineState) -> None:
    shapes = spec.weight_shapes()
    found = {name: array.shape for name, array in state.weights.items()}
    if found != shapes:
        raise CheckpointError(f"weights {found} do not fit the network, which has {shapes}")
    for name, array in (state.weights | state.optimizer).items():
        if array.dtype != np.float32 or array.shape != shapes.get(name.rsplit("/", 1)[-1]):
            raise CheckpointError(f"{name} is {array.dtype} {array.shape}; it does not fit")


def _digest(facts: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
