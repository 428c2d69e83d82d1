"""Images and labels that are arrays already, read as a file of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lenet.data.files.base import (
    SAMPLE,
    Block,
    Scale,
    find_scale,
    image_shape,
    scale_remarks,
    to_images,
    to_labels,
)
from lenet.errors import FormatError


@final
@dataclass(frozen=True, slots=True)
class MemoryImages:
    """An `ImageFile` over `images` (n, ...) and `labels` (n,); `path` is what messages call it.

    Raises:
        FormatError: if they are no images, or do not fit each other.
    """

    path: Path
    images: NDArray[Any]
    labels: NDArray[Any]
    encoded: bool = False

    def __post_init__(self) -> None:
        image_shape(self.images.shape[1:], str(self.path))
        if not len(self):
            raise FormatError(f"{self.path}: it holds no images")
        to_labels(self.labels, len(self), str(self.path))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def splits(self) -> Mapping[str, range]:
        """None is given."""
        return {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """None are given."""
        return ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """See `ImageFile`."""
        return scale_remarks(self._scale(), str(self.path))

    @property
    def described(self) -> str:
        """Nothing: there are no columns."""
        return ""

    @property
    def doubt(self) -> str:
        """None: the labels were given."""
        return ""

    def _scale(self) -> Scale | None:
        return find_scale(self.images[:SAMPLE])

    def blocks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """See `ImageFile`."""
        place, stop = str(self.path), len(self) if stop is None else min(stop, len(self))
        labels = to_labels(self.labels, len(self), place)
        scale = self._scale()
        for first in range(start, stop, size):
            end = min(first + size, stop)
            yield Block(to_images(self.images[first:end], place, scale), labels[first:end])


def arrays_at_hand(images: Any, labels: Any) -> MemoryImages:
    """What a caller gave as images and labels: arrays, or anything that NumPy makes one of.

    Raises:
        FormatError: if it makes none.
    """
    try:
        pictures, names = np.asarray(images), np.asarray(labels)
    except (ValueError, TypeError, RuntimeError) as error:  # the last two are PyTorch's
        raise FormatError(f"these images or labels are no array: {error}") from error
    return MemoryImages(Path("arrays"), pictures, names)
