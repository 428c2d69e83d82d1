"""A data set as a folder of pictures, one sub-folder a class: to look at, or to try things on."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.dataset import Dataset, Split
from lenet.data.pictures.picture import to_pillow
from lenet.errors import UsageError
from lenet.system.files import PARTIAL, write_whole

MARK = ".lenet-export.json"
"""A file that lists the sub-folders of an export that is not finished."""

FORBIDDEN = '/\\:*?"<>|'
"""Letters that no folder may have in its name, on one system or another."""


def export(dataset: Dataset, split: str, folder: Path, count: int | None = None) -> int:
    """Write the first `count` images of a split (by default all) as `folder/<class>/<index>.png`.

    Until all are there the folder has a file `MARK`, by which a later call knows what a killed one
    left, and begins anew.  Returns how many were written.

    Raises:
        UsageError: if there is no such split, the folder has something in it or cannot be written,
            or two classes would have one sub-folder.
    """
    splits: dict[str, Split] = {"train": dataset.train, "test": dataset.test}
    if split not in splits:
        raise UsageError(f"no split is called {split!r}; known are {', '.join(splits)}")
    chosen = splits[split].at(np.arange(len(splits[split]))[:count])
    names = _folder_names(dataset.class_names)
    was_there = folder.exists()
    try:
        _make_room(folder)
        try:
            write_whole(folder / MARK, json.dumps(names))
            _write(chosen, [folder / name for name in names])
        except BaseException:
            _clear(folder, names)
            if not was_there:
                folder.rmdir()
            raise
        (folder / MARK).unlink()
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot write in it: {error.strerror}; nothing of it is left"
        ) from error
    return len(chosen)


def _make_room(folder: Path) -> None:
    """A folder that has nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        left = json.loads((folder / MARK).read_text(encoding="utf-8"))
        _clear(folder, [name for name in left if name == _folder_name(name)])
    except (FileNotFoundError, ValueError, TypeError):
        pass  # nothing was left, or not by us
    if any(folder.iterdir()):
        raise UsageError(f"{folder}: there is something in it; name a new folder")


def _write(images: Split, folders: list[Path]) -> None:
    for folder in folders:
        folder.mkdir()
    for index, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
        place = folders[label] / f"{index:06d}.png"
        aside = place.with_name(f".{place.name}{PARTIAL}")
        aside.write_bytes(_png(image))
        aside.replace(place)
    if hasattr(os, "sync"):
        os.sync()  # once, and not once a picture


def _clear(folder: Path, names: list[str]) -> None:
    """Remove what was exported; the mark comes last."""
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / MARK).unlink(missing_ok=True)


def _png(image: NDArray[np.uint8]) -> bytes:
    """An image (channels, height, width), 1 or 3 channels, as PNG."""
    stream = io.BytesIO()
    to_pillow(image).save(stream, "png")
    return stream.getvalue()


def _folder_names(class_names: Sequence[str]) -> list[str]:
    names = [_folder_name(name) for name in class_names]
    known: dict[str, str] = {}
    for name, folder in zip(class_names, names, strict=True):
        other = known.setdefault(folder.casefold(), name)
        if other != name:
            raise UsageError(
                f"the classes {other!r} and {name!r} would share the folder {folder!r}; rename one"
            )
    return names


def _folder_name(class_name: str) -> str:
    """A class's name as that of a folder in this one, whatever is in it."""
    kept = "".join(
        letter if letter.isprintable() and letter not in FORBIDDEN else "-" for letter in class_name
    )
    return kept if kept.strip(". ") else "-" * max(1, len(kept))
