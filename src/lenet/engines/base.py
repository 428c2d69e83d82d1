"""What an engine is: it can step, and it gives logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

AVERAGE = "average"
"""The optimizer's slot for the moving average of the weights."""

Weights = dict[str, NDArray[np.float32]]
"""Name -> array, with the names and shapes of `Spec.weight_shapes`."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """Everything that a step reads and changes.

    `optimizer` maps `<slot>/<weight name>` to an array of the weight's shape, where the slot is
    `momentum` for SGD with momentum, `mean` and `square` for AdamW (its first and second moments),
    `curvature` for SDLM, and `average` for the moving average of the weights; `updates` counts the
    steps taken, which AdamW's bias correction and the average need.
    """

    weights: Weights
    optimizer: Weights
    updates: int

    @property
    def answering(self) -> Weights:
        """The weights of the network that answers: the average where there is one."""
        average = {name: self.optimizer.get(f"{AVERAGE}/{name}") for name in self.weights}
        kept = {name: array for name, array in average.items() if array is not None}
        return kept if len(kept) == len(average) else self.weights


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """The training loss and misses of each step since the last call, oldest first.

    `loss` (steps,) float64 is the mean over the batch before the update; `misses` (steps,) int64
    counts wrong predictions; `images` (steps,) int64 is the size of each batch.
    """

    loss: NDArray[np.float64]
    misses: NDArray[np.int64]
    images: NDArray[np.int64]


class Engine(Protocol):
    """Trains and runs one network.

    Images are uint8 (n, channels, height, width), labels int64 (n,); the engine prepares them and
    scales the pixels as the spec says.  `place` brings them to where the engine computes and
    returns a handle that only this engine can read, so that a GPU copies a split once.
    """

    name: str
    device: str
    threads: int
    detail: str
    """What the result may depend on besides: the instruction set, or PyTorch's version."""

    def place(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64] | None = None,
        targets: NDArray[np.float32] | None = None,
        *,
        prepared: bool = False,
    ) -> Any:
        """Bring images (and labels, for training) to the engine's memory.

        `targets` (n, classes), a probability for each class, are what is learned in place of the
        labels, which then say only what counts as a miss; they are not smoothed.  Images that are
        `prepared` have been through the spec's preparation already.
        """
        ...

    def step(
        self, placed: Any, indices: NDArray[np.int64], learning_rate: float, epoch: int = 1
    ) -> None:
        """One update on the images at `indices`: forward, backward, optimizer.

        Where the recipe augments, the images are as `lenet.data.augmentation.augment` makes them
        for the recipe's seed and `epoch`.
        """
        ...

    def step_metrics(self) -> StepMetrics:
        """Metrics of the steps since the last call; waits for the device."""
        ...

    def gradient(self, placed: Any, indices: NDArray[np.int64]) -> tuple[float, Weights]:
        """Mean loss over the images at `indices`, and its gradient by weight; updates nothing.

        The images are as they were placed, whatever the recipe does to them in a step.
        """
        ...

    def curvature(self, placed: Any, indices: NDArray[np.int64]) -> Weights:
        """Mean second derivatives over the images at `indices` by weight, none below 0.

        Of Gauss and Newton and without what couples weights or units: LeCun et al. 1998, appendix
        C.  SDLM goes by the last ones from then on; before the first ones they are 0.
        """
        ...

    def logits(self, placed: Any) -> NDArray[np.float32]:
        """(n, classes) for every placed image; waits for the device, keeps no gradients.

        They are those of the average of the weights where the recipe keeps one.
        """
        ...

    def activations(self, placed: Any) -> dict[str, NDArray[np.float32]]:
        """Each layer's output after its activation, (n, channels, rows, columns), by layer name."""
        ...

    def state(self) -> EngineState:
        """A copy of weights and optimizer state."""
        ...

    def restore(self, state: EngineState) -> None:
        """Continue from `state` exactly."""
        ...
