"""What happens inside a network while it trains: gradients, dead units, saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data import Split
from lenet.engines.base import Engine
from lenet.network import Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH
from lenet.training.watcher import Plan, Watcher

PROBE_IMAGES = 512
"""The first ones of the train split; the same for every arm and seed with the same hold-out."""

FLAT = 0.05
"""A unit is saturated on an image where its slope is below this share of its largest slope."""


@final
@dataclass(slots=True)
class Recorder(Watcher):
    """Looks at the network before training, after 1, 2, 4, 8 ... updates and after every epoch.

    Each look is a row: `updates`; `loss` (nats) and `gradient_norm` by layer (Euclidean, weights
    and biases) on the probe images; `saturated`, the share of (unit, image) pairs of the last
    hidden layer whose slope is nearly flat; `dead`, the share of its units that are so on every
    image; None for both where `relative_slope` cannot tell.  Another number that is not finite is
    None, and the last row then.
    """

    engine: Engine
    spec: Spec
    probe: Split
    steps_per_epoch: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    _placed: Any = None

    def start(self, plan: Plan) -> None:
        """Look at the network as it is before the first step."""
        self._placed = self.engine.place(self.probe.images, self.probe.labels)
        self._look(0)

    def step(self, epoch: int, step: int) -> None:
        """See `Watcher.step`."""
        updates = (epoch - 1) * self.steps_per_epoch + step
        if step == self.steps_per_epoch or updates & (updates - 1) == 0:
            self._look(updates)

    def _look(self, updates: int) -> None:
        if self.rows and self.rows[-1]["loss"] is None:
            return
        loss, gradient = self.engine.gradient(self._placed, np.arange(len(self.probe)))
        hidden = self.spec.layers[-2]
        outputs = self.engine.activations(self._placed)[hidden.name]
        slope = relative_slope(outputs, hidden.activation)
        flat = None if slope is None else slope < FLAT
        self.rows.append(
            {
                "updates": updates,
                "loss": _finite(loss),
                "gradient_norm": _norms(gradient),
                "saturated": None if flat is None else float(flat.mean()),
                "dead": None if flat is None else float(flat.all(axis=0).mean()),
            }
        )


def relative_slope(outputs: NDArray[np.float32], activation: str) -> NDArray[np.float64] | None:
    """Slope of `activation` where it gave `outputs`, as a share of its largest slope.

    None for SiLU, whose values below zero do not tell: each has two slopes.
    """
    if activation == "silu":
        return None
    y = outputs.astype(np.float64)
    if activation == "sigmoid":
        return 4.0 * y * (1.0 - y)
    if activation == "tanh":
        return 1.0 - y**2
    if activation == "scaled_tanh":
        return 1.0 - (y / SCALED_TANH[0]) ** 2
    below = {"identity": 1.0, "relu": 0.0, "leaky_relu": LEAKY_RELU_SLOPE}[activation]
    return np.where(y > 0.0, 1.0, below)


def _norms(gradient: dict[str, NDArray[np.float32]]) -> dict[str, float | None]:
    """Euclidean norm over the weights and the biases of each layer."""
    squares: dict[str, float] = {}
    for name, array in gradient.items():
        layer = name.rsplit(".", 1)[0]
        squares[layer] = squares.get(layer, 0.0) + float(np.square(array, dtype=np.float64).sum())
    return {layer: _finite(math.sqrt(total)) for layer, total in squares.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
