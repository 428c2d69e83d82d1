"""What a format is: a writer, a runner, and what its files must answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Dataset
from lenet.engines.base import Engine, Weights
from lenet.errors import InputError
from lenet.network import Spec
from lenet.runs.checkpoint import Checkpoint

Images = NDArray[np.uint8]
"""(n, channels, height, width), as the network gets them."""


INPUTS = ("uint8", "float")
BITS = (32, 8, 4)

PREPARATION = ("frame", "shrink")
"""Steps of a preparation that the formats say; `deslant` is in none."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network with all that an exported file may say of it.

    `engine` holds its weights; `dataset` is what it was trained on (whose test split the proof
    asks, and whose train images an integer format may measure).  `run` are the words that name it
    on a command line, and `receipt_sha256` is the digest of its receipt; both are empty where there
    is no run's folder.  `which` is the checkpoint of the run that was asked for, if one was.
    """

    checkpoint: Checkpoint
    engine: Engine
    dataset: Dataset
    run: str = ""
    receipt_sha256: str = ""
    which: str | None = None

    @property
    def spec(self) -> Spec:
        return self.checkpoint.spec

    @property
    def weights(self) -> Weights:
        return self.checkpoint.weights

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.checkpoint.data.class_names

    def logits(self, images: Images) -> NDArray[np.float32]:
        """What the run itself answers: (n, classes)."""
        return self.engine.logits(self.engine.place(images))


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen of an exported file; a format says which of these it takes.

    `input` is "uint8" (pixels from 0 to 255) or "float" (fractions from 0 to 1); `probabilities`
    makes these the output instead of the logits; `licence` is what the file says of itself; `bits`
    are those of a stored weight, 32 of a float.

    Raises:
        InputError: if `input` or `bits` is something else.
    """

    input: str = "uint8"
    probabilities: bool = False
    licence: str = ""
    bits: int = 32

    def __post_init__(self) -> None:
        if self.input not in INPUTS:
            raise InputError(f"input = {self.input!r}: it must be {' or '.join(INPUTS)}")
        if self.bits not in BITS:
            raise InputError(f"bits = {self.bits!r}: a weight has {' or '.join(map(str, BITS))}")


@final
@dataclass(frozen=True, slots=True)
class Expected:
    """What an exported file must answer to some images.

    `answers` (n, classes) are right; a file's may differ from each by at most `bound`, of the same
    shape.  Where the bound is 0 they are compared bit for bit.
    """

    answers: NDArray[Any]
    bound: NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """What a file is judged by: `answer` on images, and in words how the bound comes about.

    Where it `keeps_classes`, a file must also say the run's own class for each image of the test
    split; a quantised format has another network than the run, and is judged by its own reference.
    It `may_lose` this share of the images, of those that the run is right for; all by default.
    """

    answer: Callable[[Images], Expected]
    derivation: str
    keeps_classes: bool = True
    may_lose: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Format:
    """A format: one row of the table.

    `file_name` may hold `{model}`; a `folder` is written where it says so.  `takes` names the
    options that it knows.  `need` raises `MissingExtraError` where a package is missing, before
    anything is read.  `write` makes the file or folder at a path; `answer` runs what is there, by
    what its users will run, and gives (n, classes); `judge` names that and its version.  `stored`
    reads the weights back, by their names and in their shapes, where the format keeps them all.
    """

    title: str
    file_name: str
    write: Callable[[Trained, Options, Path], None]
    answer: Callable[[Trained, Options, Path, Images], NDArray[Any]]
    reference: Callable[[Trained, Options], Reference]
    need: Callable[[], None]
    judge: Callable[[], str]
    takes: frozenset[str] = frozenset({"licence"})
    folder: bool = False
    stored: Callable[[Trained, Path], Weights | None] | None = None
