"""How the native engine's speed changes with batch, threads and the side of the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench import training
from lenet.network import zoo

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
SMALL = (1, 2, 3, 5, 7, 8, 11, 15, 16, 17, 24, 32, 256)
SIDES = (28, 32, 40, 48, 56, 64)


def batches(threads: int) -> dict[str, Callable[[], float]]:
    return {str(batch): training.native(threads, batch) for batch in BATCHES}


def small_batches() -> dict[str, Callable[[], float]]:
    """On one thread, and PyTorch beside it."""
    found = {str(batch): training.native(1, batch) for batch in SMALL}
    for batch in (1, 16):
        found[f"{batch}, eager"] = training.torch(1, compiled=False, batch=batch)
    return found


def threads(cores: int) -> dict[str, Callable[[], float]]:
    return {str(count): training.native(count) for count in range(1, cores + 1)}


def sides(threads: int) -> dict[str, Callable[[], float]]:
    """Examples a second on random pictures of each side."""
    found = {}
    for side in SIDES:
        source = np.random.default_rng(0)
        images = source.integers(0, 256, (2048, 1, side, side), dtype=np.uint8)
        spec = zoo.build("lenet5", height=side, width=side)
        found[str(side)] = training.native(threads, spec=spec, images=images)
    return found


def multiply_adds(side: int) -> int:
    """Of one training image of this side."""
    spec = zoo.build("lenet5", height=side, width=side)
    return 3 * spec.multiply_adds - spec.counts()[0].multiply_adds
