"""IDX files of images, with the labels in a file beside them, as MNIST is named."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import IO

from lenet.data.files.idx import open_payload, read_header
from lenet.data.files.stored import Part, StoredArray, StoredImages
from lenet.errors import FormatError


def open_idx(path: Path) -> StoredImages:
    """Images, and the labels of `labels_beside(path)` where that file is there.

    Raises:
        FormatError: if either is not IDX.
    """
    images, beside = _open_array(path), labels_beside(path)
    labels = None if beside is None else _open_array(beside)
    return StoredImages(path, (Part(images, labels),))


def labels_beside(path: Path) -> Path | None:
    """`train-labels-idx1-ubyte` of `train-images-idx3-ubyte`, plain or packed, if it is there.

    It may be written `.idx1`, and may lie in a folder of its own name, as Kaggle unpacks it.
    """
    plain = path.name.removesuffix(".gz")
    name = plain.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if name == plain or "images" not in plain:
        return None
    folders = [path.parent, *([path.parent.parent] if path.parent.name == path.name else [])]
    names = [name, name.replace("-idx", ".idx"), name.replace(".idx", "-idx")]
    for folder in folders:
        for each in names:
            for place in (folder / each, folder / f"{each}.gz", folder / each / each):
                if place.is_file():
                    return place
    return None


def _open_array(path: Path) -> StoredArray:
    with open_payload(path) as stream:
        try:
            kind, shape = read_header(stream, str(path))
            offset = stream.tell()
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: damaged: {error}") from error
        packed = not hasattr(stream, "raw")
    size = offset + math.prod(shape) * kind.itemsize
    if not packed and path.stat().st_size != size:
        raise FormatError(
            f"{path}: its header promises {size} bytes in all, but it has {path.stat().st_size}"
        )

    def begin() -> IO[bytes]:
        opened = open_payload(path)
        opened.seek(offset)
        return opened

    return StoredArray(str(path), begin, kind, shape)
