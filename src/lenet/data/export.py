"""A data set as a folder of pictures, one sub-folder a class: to look at, or to try things on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Dataset, Split
from lenet.errors import UsageError


def export(dataset: Dataset, split: str, folder: Path, count: int | None = None) -> int:
    """Write the first `count` images of a split (by default all) as `folder/<class>/<index>.png`.

    Returns how many were written.

    Raises:
        UsageError: if there is no such split, or the folder has something in it or cannot be
            written.
    """
    splits: dict[str, Split] = {"train": dataset.train, "test": dataset.test}
    if split not in splits:
        raise UsageError(f"no split is called {split!r}; known are {', '.join(splits)}")
    chosen = splits[split].at(np.arange(len(splits[split]))[:count])
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder}: there is something in it; name a new folder")
        for name in dataset.class_names:
            (folder / _file_name(name)).mkdir(parents=True, exist_ok=True)
        for index, (image, label) in enumerate(zip(chosen.images, chosen.labels, strict=True)):
            place = folder / _file_name(dataset.class_names[label]) / f"{index:06d}.png"
            place.write_bytes(_png(image))
    except OSError as error:
        raise UsageError(f"{folder}: cannot write in it: {error.strerror}") from error
    return len(chosen)


def _png(image: NDArray[np.uint8]) -> bytes:
    """An image (channels, height, width), 1 or 3 channels, as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(stream, "png")
    return stream.getvalue()


def _file_name(class_name: str) -> str:
    return class_name.replace("/", "-")
