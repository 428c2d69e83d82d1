"""A network with its class names and the convention of its pictures: all that answers depend on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from numbers import Integral
from typing import final

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import Convention
from lenet.data.pictures.reading import Box
from lenet.engines import open_engine
from lenet.engines.base import Engine, Weights
from lenet.errors import UsageError
from lenet.network import Spec
from lenet.prediction.metrics import SURE, log_probabilities
from lenet.prediction.views import Views, mean_logits
from lenet.recipe import Recipe
from lenet.runs.checkpoint import Checkpoint

BATCH = 256
"""Images that the network sees at once, always: engines round differently in batches of other
sizes, and an answer must not depend on what happens to stand beside it."""

DIGITS = 6
"""Significant digits of a probability; logits are float32."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as the network gets it, uint8 (channels, height, width), and what was done to it."""

    name: str
    image: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The likeliest classes of one image, likeliest first, with their probabilities.

    `box` is where a character of several was found in its picture.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    notes: tuple[str, ...] = ()
    box: Box | None = None

    @property
    def class_name(self) -> str:
        return self.classes[0]

    @property
    def probability(self) -> float:
        return self.probabilities[0]

    @property
    def is_sure(self) -> bool:
        """Whether the class is at least twice as likely as all others together."""
        return self.probability >= SURE


@final
@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Can be pickled and sent to where the images are; `digest` is of everything in it.

    `views` are what an answer is the mean of; None where an image is seen as it is.
    """

    spec: Spec
    recipe: Recipe
    weights: Weights
    class_names: tuple[str, ...]
    convention: Convention
    engine: str
    digest: str
    views: Views | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, engine: str = "auto", *, views: bool = False) -> Network:
        """The network of `checkpoint`, to run on one thread of a CPU.

        Raises:
            EngineError: if the engine is not available.
        """
        spec, recipe, data = checkpoint.spec, checkpoint.recipe, checkpoint.data
        weights = checkpoint.weights
        # Asked for here, so that all processes take the same one, and what is missing is said once.
        name = open_engine(spec, recipe, weights, engine=engine, device="cpu", threads=1).name
        seen = Views.of(checkpoint) if views else None
        facts = [spec.to_dict(), data.class_names, asdict(data.convention), name]
        if seen is not None:
            facts.append(asdict(seen))
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for key in sorted(weights):
            digest.update(key.encode() + np.ascontiguousarray(weights[key]).tobytes())
        return cls(
            spec, recipe, weights, data.class_names, data.convention, name, digest.hexdigest(), seen
        )

    def open(self, threads: int | None = 1) -> Engine:
        """An engine that answers on a CPU; by None on all cores.

        Raises:
            EngineError: as `open_engine`.
        """
        return open_engine(
            self.spec,
            self.recipe,
            self.weights,
            engine=self.engine,
            device="cpu",
            threads=threads,
        )

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.digest == other.digest


@lru_cache(maxsize=1)
def _open(network: Network) -> Engine:
    """An engine that a process keeps for all its shards."""
    return network.open()


def probabilities(network: Network, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, classes) for images uint8 (n, channels, height, width); each alone decides its row."""
    engine = _open(network)
    rows = []
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        batch = np.zeros((BATCH, *images.shape[1:]), np.uint8)
        batch[: len(part)] = part
        rows.append(mean_logits(engine, batch, network.views)[: len(part)])
    logits = np.concatenate(rows) if rows else np.zeros((0, network.spec.classes), np.float32)
    return np.exp(log_probabilities(logits))


def answer(network: Network, prepared: Sequence[Prepared], top: int) -> Iterator[Answer]:
    """The `top` likeliest classes of each image, in order."""
    if not prepared:
        return
    found = probabilities(network, np.stack([each.image for each in prepared]))
    yield from rank(found, prepared, network.class_names, top)


def rank(
    found: NDArray[np.float64], prepared: Sequence[Prepared], names: Sequence[str], top: int
) -> Iterator[Answer]:
    """The `top` likeliest of the classes `names` from `found` (n, classes), for each image."""
    order = np.argsort(-found, axis=1, kind="stable")[:, :top]
    best = np.take_along_axis(found, order, axis=1)
    for each, classes, values in zip(prepared, order.tolist(), best.tolist(), strict=True):
        chosen = tuple(names[index] for index in classes)
        yield Answer(each.name, chosen, tuple(map(rounded, values)), each.notes)


def rank_one(logits: Sequence[float], prepared: Prepared, names: Sequence[str], top: int) -> Answer:
    """The same for one image from its `logits`, in a tenth of the time: no array is made."""
    largest = max(logits)
    shift = largest + math.log(sum(math.exp(value - largest) for value in logits))
    if top == 1:
        order = [logits.index(largest)]
    else:
        order = sorted(range(len(logits)), key=logits.__getitem__, reverse=True)[:top]
    return Answer(
        prepared.name,
        tuple([names[index] for index in order]),
        tuple([rounded(math.exp(logits[index] - shift)) for index in order]),
        prepared.notes,
    )


def check_top(top: int, class_names: Sequence[str]) -> None:
    """Refuse a number of classes that the network has not.

    Raises:
        UsageError: if `top` is not 1 to the number of classes.
    """
    if not isinstance(top, Integral) or not 1 <= top <= len(class_names):
        raise UsageError(f"top = {top!r}: this network has {len(class_names)} classes")


def rounded(value: float) -> float:
    """A probability to `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")
