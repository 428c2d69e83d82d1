"""An image seen several times, a little moved and mirrored, and the mean of what is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Engine
from lenet.prediction.metrics import log_probabilities
from lenet.runs.checkpoint import Checkpoint

STEPS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
"""Pixels down and to the right: as it is, and one pixel in each direction."""


@final
@dataclass(frozen=True, slots=True)
class Views:
    """How an image is seen: moved by each of `STEPS`, and where it `flips` mirrored as well.

    What comes from outside is the nearest edge where `edge`, else black.
    """

    flips: bool = False
    edge: bool = False

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Views:
        """The views of a network: mirrored if it has learnt mirrored images, and else not.

        One that has not reads them worse: clothes by several points (docs/recipes.md).
        """
        augmentation = checkpoint.recipe.augmentation
        return cls(augmentation.flip, augmentation.border == "edge")

    @property
    def count(self) -> int:
        """Of them."""
        return len(STEPS) * (1 + self.flips)

    def describe(self) -> str:
        """In words."""
        mirrored = ", and mirrored" if self.flips else ""
        return f"{self.count} views (as it is, moved by a pixel each way{mirrored})"

    def of_images(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """`images` (n, channels, height, width) seen each way."""
        height, width = images.shape[2:]
        around = ((0, 0), (0, 0), (1, 1), (1, 1))
        padded = np.pad(images, around, mode="edge" if self.edge else "constant")
        for down, right in STEPS:
            top, left = 1 - down, 1 - right
            moved = padded[:, :, top : top + height, left : left + width]
            yield np.ascontiguousarray(moved)
            if self.flips:
                yield np.ascontiguousarray(moved[..., ::-1])


def mean_logits(
    engine: Engine, images: NDArray[np.uint8], views: Views | None
) -> NDArray[np.float32]:
    """The engine's logits (n, classes), or the logarithm of the mean probability over `views`."""
    if views is None:
        return engine.logits(engine.place(images))
    return mean_of([engine.logits(engine.place(seen)) for seen in views.of_images(images)])


def mean_of(answers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The logarithm of the mean probability over several logits (n, classes)."""
    mean = np.mean([np.exp(log_probabilities(logits)) for logits in answers], axis=0)
    smallest = np.finfo(np.float32).tiny
    logarithms: NDArray[np.float32] = np.log(np.maximum(mean, smallest)).astype(np.float32)
    return logarithms
