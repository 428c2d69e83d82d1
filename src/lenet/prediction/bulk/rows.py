"""Rows of array files, a damaged one isolated from the others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.files import ImageFile, open_images
from lenet.errors import DataError, FormatError
from lenet.prediction.network import BATCH, Network

MOST_FRUITLESS = 8
"""After so many damaged rows one after another the rest of the shard is given up: then it is the
file that is damaged, and each look for a good row would read it from its beginning."""


@lru_cache(maxsize=2)
def _open(path: Path, network: Network) -> ImageFile:
    """Kept for all shards of a process: of some formats every row is counted to open it."""
    channels, height, width = network.spec.input_shape
    return open_images(path, (channels, height, width), network.convention)


def read_rows(
    path: Path, network: Network, start: int, stop: int
) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
    """Each row from `start` to `stop` with its image, or with the reason why there is none.

    What comes out for a row does not depend on how rows are read together, unless
    `MOST_FRUITLESS` before it have come to nothing.

    Raises:
        DataError: if the file cannot be opened at all.
    """
    images, row, fruitless, careful = _open(path, network), start, 0, start
    while row < stop:
        one_by_one = row < careful
        blocks = images.blocks(1, row, careful) if one_by_one else images.blocks(BATCH, row, stop)
        try:
            for block in blocks:
                yield from zip(range(row, row + len(block.images)), block.images, strict=True)
                row, fruitless = row + len(block.images), 0
        except DataError as error:
            if not one_by_one:
                careful = min(stop, row + BATCH)
                continue
            yield row, error
            row, fruitless = row + 1, fruitless + 1
            if fruitless == MOST_FRUITLESS:
                left = _left(path, error)
                yield from ((each, left) for each in range(row, stop))
                return


def _left(path: Path, error: DataError) -> FormatError:
    """Why a row was not looked at."""
    reason = str(error).removeprefix(f"{path}: ")
    return FormatError(
        f"not looked at: none of the {MOST_FRUITLESS} rows before could be used, the last of them "
        f"for: {reason}; mend those or leave them out"
    )
