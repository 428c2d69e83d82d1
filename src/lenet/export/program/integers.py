"""The network in whole numbers, in NumPy: what the C program must answer, bit for bit.

Sums are taken by the matrix product of float64, which is exact here: whole numbers below 2^31,
where float64 has all up to 2^53.
"""

from __future__ import annotations

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


def scores(network: IntegerNetwork, images: NDArray[np.uint8]) -> Integers:
    """(n, classes) for images uint8 (n, channels, rows, columns)."""
    parts = [_scores(network, images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, network.spec.classes), np.int64)


def _scores(network: IntegerNetwork, images: NDArray[np.uint8]) -> Integers:
    values: Integers = images.astype(np.int64)
    blocks = blocks_of(network.spec)
    for block in blocks:
        if block.name in network.stages:
            stage = network.stages[block.name]
            values = _finish(stage, _sums(stage, values), last=block is blocks[-1])
        else:
            values = _pool(block, values)
    return values.reshape(len(images), -1)


def _sums(stage: Stage, values: Integers) -> Integers:
    """(n, outputs, rows, columns) of a convolution or a dense layer."""
    block, matrix = stage.block, stage.weights.astype(np.float64)
    if block.layer.operation == "dense":
        flat = values.reshape(len(values), -1).astype(np.float64)
        return ((flat @ matrix.T).astype(np.int64) + stage.bias)[:, :, None, None]
    size, padding = block.layer.window, block.layer.padding
    beside = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(values, beside, constant_values=stage.border).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    count, _, rows, columns = windows.shape[:4]
    flat = windows.transpose(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, -1)
    sums = (flat @ matrix.T).astype(np.int64) + stage.bias
    return sums.reshape(count, rows, columns, -1).transpose(0, 3, 1, 2)


def _finish(stage: Stage, sums: Integers, *, last: bool) -> Integers:
    """Activation, pooling and the one rounding."""
    squares = _squares(sums, stage.block.pool)
    if stage.block.pooling is not None and not stage.block.averages:
        squares = squares.max(axis=-1, keepdims=True)
    if stage.table is not None:
        return _look_up(stage.table, _rescale(stage.rescaling, squares))
    above, below = stage.slopes
    both = above * squares.clip(min=0) + below * squares.clip(max=0)
    found = _rescale(stage.rescaling, both.sum(axis=-1, keepdims=True))[..., 0]
    return found if last else _to_byte(found)


def _rescale(rescaling: Rescaling, sums: Integers) -> Integers:
    """Channels are the second axis of `sums` (n, channels, rows, columns, values)."""
    shape = (1, -1, 1, 1, 1)
    multiplier, shift = rescaling.multiplier.reshape(shape), rescaling.shift.reshape(shape)
    half = np.int64(1) << (shift - 1)
    return ((sums * multiplier + half) >> shift) + rescaling.zero


def _look_up(table: Integers, places: Integers) -> Integers:
    """The mean over the last axis of what is at `places`, rounded once."""
    places = places.clip(0, FINER * FINER - 1)
    entry, rest = places // FINER, places % FINER
    found = (table[entry] * (FINER - rest) + table[entry + 1] * rest).sum(axis=-1)
    whole = FINER * FINER * places.shape[-1]
    return (found + whole // 2) // whole


def _to_byte(values: Integers) -> Integers:
    return values.clip(0, BYTE)


def _squares(maps: Integers, size: int) -> Integers:
    """(n, channels, rows, columns, size * size): what is pooled into each value."""
    count, channels, rows, columns = maps.shape
    rows, columns = rows // size, columns // size
    kept = maps[:, :, : rows * size, : columns * size]
    split = kept.reshape(count, channels, rows, size, columns, size)
    return split.transpose(0, 1, 2, 4, 3, 5).reshape(count, channels, rows, columns, size * size)


def _pool(block: Block, values: Integers) -> Integers:
    """A pooling that follows no convolution; its bytes keep their scale."""
    squares = _squares(values, block.layer.window)
    if block.layer.operation == "max":
        return squares.max(axis=-1)
    whole = squares.shape[-1]
    return (squares.sum(axis=-1) + whole // 2) // whole
