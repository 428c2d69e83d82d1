"""A data set in memory: splits of images and labels, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Split:
    """Images uint8 (n, channels, height, width) and labels int64 (n,), 0 to classes - 1."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set; `digests` maps each file's name to the SHA-256 of its payload."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    digests: dict[str, str] = field(default_factory=dict)
