"""Images brought to the size that a network takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.errors import DataError


def pad_to(images: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Images (n, channels, h, w) in the middle of `height` x `width` zeros.

    This is how the 1998 paper brings 28x28 digits to 32x32 (section II-B).

    Raises:
        DataError: if the images are larger than that.
    """
    rows, columns = height - images.shape[2], width - images.shape[3]
    if min(rows, columns) < 0:
        found = f"{images.shape[2]}x{images.shape[3]}"
        raise DataError(f"images of {found} do not fit in {height}x{width}; name a larger size")
    top, left = rows // 2, columns // 2
    return np.pad(images, ((0, 0), (0, 0), (top, rows - top), (left, columns - left)))
