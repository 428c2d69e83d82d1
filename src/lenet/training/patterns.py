"""What an epoch sees, in its order: the images, or some of their distorted copies."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.data.distortion import distort, draw
from lenet.engines.base import Engine
from lenet.network import Spec
from lenet.network.preparation import prepare
from lenet.recipe import Recipe
from lenet.recipe.schedule import epoch_order


@final
class Patterns:
    """The train split in an engine, epoch by epoch.

    With distortions in the recipe an image stands for itself and for so many copies, and an epoch
    is as many of all these patterns as there are images.  Copies are drawn by the seed, their
    number and the image's place, so that they are the same whenever they are made again; and they
    are made of prepared images, so that a large one may reach into the frame.  `targets` (n,
    classes) are those of the images themselves, and go with no copies.
    """

    def __init__(
        self,
        engine: Engine,
        spec: Spec,
        recipe: Recipe,
        train: Split,
        targets: NDArray[np.float32] | None = None,
    ) -> None:
        self._engine, self._recipe, self._train = engine, recipe, train
        if recipe.distortions:
            self._images = prepare(spec.preparation, train.images)
        else:
            self._placed = engine.place(train.images, train.labels, targets)

    def of(self, epoch: int) -> tuple[Any, NDArray[np.int64]]:
        """What was placed, and the indices into it in the order of `epoch`, int64 (n,)."""
        count = len(self._train)
        order = epoch_order(self._recipe, count, epoch)
        if not self._recipe.distortions:
            return self._placed, order
        version, place = np.divmod(order, count)
        images = self._images[place]
        for each in range(1, self._recipe.distortions + 1):
            rows = np.flatnonzero(version == each)
            numbers = draw(count, self._recipe.seed, each)[place[rows]]
            images[rows] = distort(images[rows], numbers)
        labels = self._train.labels[place]
        return self._engine.place(images, labels, prepared=True), np.arange(count)
