"""Whether images are characters and drawings, or pictures of any other sort."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import Convention
from lenet.recipe.library import INK, PHOTO

LOOKED_AT = 1000
"""Images that are enough to tell, from all over the split."""

LEVELS = 16
"""Grey levels are counted in so many steps."""

GROUND = 0.6
"""Of an image of ink so much at least is plain ground, all of one level."""

BETWEEN = 0.2
"""Of an image of ink so much at most is neither dark nor light."""


def kind_of(images: NDArray[np.uint8], convention: Convention) -> str:
    """`ink` or `photo`, for images uint8 (n, channels, height, width).

    Ink is what the convention says is; or grey images of which, on average, at least `GROUND` has
    one level and at most `BETWEEN` is of the middle half of all levels.
    """
    if convention.kind == "ink":
        return INK
    if images.shape[1] != 1 or not len(images):
        return PHOTO
    chosen = images[:: -(-len(images) // LOOKED_AT)]
    levels = chosen.reshape(len(chosen), -1) // (256 // LEVELS)
    ground = np.mean([np.bincount(row, minlength=LEVELS).max() for row in levels])
    between = np.mean((levels >= LEVELS // 4) & (levels < LEVELS - LEVELS // 4))
    plain = ground / levels.shape[1] >= GROUND and between <= BETWEEN
    return INK if plain else PHOTO
