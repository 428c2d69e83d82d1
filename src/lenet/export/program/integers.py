"""The network in whole numbers, in NumPy: what the C program must answer, bit for bit.

Sums are taken by the matrix product of floats, which is exact here: float32 has all whole numbers
up to 2^24, float64 up to 2^53, and no sum of products is beyond, in whatever order it is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.export.program.blocks import Block, blocks_of
from lenet.export.program.quantization import (
    BYTE,
    FINER,
    IntegerNetwork,
    Integers,
    Rescaling,
    Stage,
)

BATCH = 256
"""Images at a time, so that their windows stay in memory."""

EXACT = 2**24
"""Up to here float32 has all whole numbers."""


def scores(network: IntegerNetwork, images: NDArray[np.uint8]) -> Integers:
    """(n, classes) for images uint8 (n, channels, rows, columns)."""
    parts = [_scores(network, images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, network.spec.classes), np.int64)


def _scores(network: IntegerNetwork, images: NDArray[np.uint8]) -> Integers:
    values: NDArray[Any] = images
    blocks = blocks_of(network.spec)
    for block in blocks:
        if block.name in network.stages:
            stage = network.stages[block.name]
            values = _finish(stage, _sums(stage, values), last=block is blocks[-1])
        else:
            values = _pool(block, values)
    return values.reshape(len(images), -1)


def _sums(stage: Stage, values: NDArray[Any]) -> Integers:
    """(n, rows, columns, outputs) of a convolution or a dense layer."""
    block, count = stage.block, len(values)
    most = BYTE * int(np.abs(stage.weights).sum(axis=1).max())
    kind: Any = np.float32 if most <= EXACT else np.float64
    matrix = stage.weights.T.astype(kind)
    if block.layer.operation == "dense":
        return _exact(values.reshape(count, 1, 1, -1).astype(kind) @ matrix) + stage.bias
    size, padding = block.layer.window, block.layer.padding
    beside = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(values.astype(kind), beside, constant_values=stage.border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    rows, columns = windows.shape[2:4]
    flat = windows.transpose(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, -1)
    return _exact(flat @ matrix).reshape(count, rows, columns, -1) + stage.bias


def _exact(products: NDArray[Any]) -> Integers:
    found: Integers = products.astype(np.int64)
    return found


def _finish(stage: Stage, sums: Integers, *, last: bool) -> Integers:
    """Activation, pooling and the one rounding: (n, outputs, rows, columns)."""
    squares = _squares(sums, stage.block.pool)
    if stage.block.pooling is not None and not stage.block.averages:
        squares = squares.max(axis=0, keepdims=True)
    if stage.table is not None:
        found = _look_up(stage.table, _rescale(stage.rescaling, squares))
    else:
        above, below = stage.slopes
        both = np.where(squares > 0, above * squares, below * squares).sum(axis=0)
        found = _rescale(stage.rescaling, both)
        found = found if last else found.clip(0, BYTE)
    return found.transpose(0, 3, 1, 2)


def _rescale(rescaling: Rescaling, sums: Integers) -> Integers:
    """Channels are the last axis of `sums`."""
    half = np.int64(1) << (rescaling.shift - 1)
    found: Integers = ((sums * rescaling.multiplier + half) >> rescaling.shift) + rescaling.zero
    return found


def _look_up(table: Integers, places: Integers) -> Integers:
    """The mean over the first axis of what is at `places`, rounded once."""
    places = places.clip(0, FINER * FINER - 1)
    entry, rest = places // FINER, places % FINER
    found: Integers = (table[entry] * (FINER - rest) + table[entry + 1] * rest).sum(axis=0)
    whole = FINER * FINER * len(places)
    return (found + whole // 2) // whole


def _squares(maps: NDArray[Any], size: int) -> Integers:
    """(size * size, n, rows, columns, channels): what is pooled into each value."""
    rows, columns = maps.shape[1] // size * size, maps.shape[2] // size * size
    corners = [(row, column) for row in range(size) for column in range(size)]
    return np.stack([maps[:, row:rows:size, column:columns:size] for row, column in corners])


def _pool(block: Block, values: NDArray[Any]) -> Integers:
    """A pooling that follows no convolution; its bytes keep their scale."""
    squares = _squares(values.transpose(0, 2, 3, 1).astype(np.int64), block.layer.window)
    if block.layer.operation == "max":
        found: Integers = squares.max(axis=0)
    else:
        found = (squares.sum(axis=0) + len(squares) // 2) // len(squares)
    return found.transpose(0, 3, 1, 2)
