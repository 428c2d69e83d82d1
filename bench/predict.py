"""`lenet predict` in bulk: whole commands over real images, their memory, where the time goes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import lenet
from lenet import data

DATA = "fashion-mnist"
SAMPLE = 2000
"""Pictures whose decoding alone is timed."""

IN_A_FOLDER = 1000
ROWS_AT_ONCE = 10_000


@dataclass(slots=True)
class Inputs:
    """A trained run, and the same real images as PNG files and as rows of a Parquet file."""

    folder: Path
    run: Path
    outs: int = 0
    receipts: dict[str, dict[str, object]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def table(self) -> Path:
        return self.folder / "images.parquet"

    def subject(self, name: str, path: Path, count: int) -> Callable[[], float]:
        """Answers `count` images in a process of its own; images a second from start to end."""

        def measured() -> float:
            self.outs += 1
            out = self.folder / f"out-{self.outs}"
            words = ["predict", str(self.run), str(path), "--out", str(out), "--quiet"]
            started = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, "-m", "lenet", *words], stdout=subprocess.DEVNULL
            ) as process:
                self.memory[name] = peak_memory(process)
            seconds = time.perf_counter() - started
            if process.returncode:
                raise RuntimeError(f"lenet {' '.join(words)} ended with {process.returncode}")
            (self.receipts[name],) = json.loads((out / "receipt.json").read_text())["sessions"]
            return count / seconds

        return measured

    def shares(self, name: str) -> dict[str, float]:
        """Part -> its share of the workers' time, decoding told apart from what follows it."""
        parts = dict(self.receipts[name]["seconds_by_part"])
        if name.endswith("PNG files"):
            decode = min(
                decode_seconds(self.pictures) * self.receipts[name]["images"], parts["preparation"]
            )
            parts["reading"] += decode
            parts["preparation"] -= decode
        total = sum(parts.values())
        return {
            "reading and decoding": parts["reading"] / total,
            "preparation": parts["preparation"] / total,
            "network": parts["network"] / total,
            "writing": parts["writing"] / total,
        }


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Wait for `process`; MiB of the largest one among it and its workers, ever."""
    most: dict[int, float] = {}
    while process.poll() is None:
        for pid in [process.pid, *_children(process.pid)]:
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
            except OSError:
                continue
            if found:
                most[pid] = int(found[1]) / 1024
        time.sleep(0.1)
    return max(most.values(), default=float("nan"))


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def decode_seconds(folder: Path) -> float:
    """Seconds to decode one picture whose bytes are in memory, over a sample of `folder`."""
    from PIL import Image

    paths = sorted(folder.rglob("*.png"))[:SAMPLE]
    contents = [path.read_bytes() for path in paths]
    started = time.perf_counter()
    for content in contents:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.load()
    return (time.perf_counter() - started) / len(contents)


def write_pictures(images: np.ndarray, folder: Path, count: int) -> None:
    from PIL import Image

    for index in range(count):
        place = folder / f"{index // IN_A_FOLDER:05d}"
        if index % IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        Image.fromarray(images[index % len(images), 0]).save(place / f"{index:08d}.png")


def write_table(images: np.ndarray, path: Path, count: int) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("image", pyarrow.list_(pyarrow.uint8(), images[0].size))])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, count, ROWS_AT_ONCE):
            places = np.arange(start, min(start + ROWS_AT_ONCE, count)) % len(images)
            values = pyarrow.array(images[places].reshape(-1))
            rows = pyarrow.FixedSizeListArray.from_arrays(values, images[0].size)
            writer.write_table(pyarrow.table([rows], schema=schema))


@contextmanager
def inputs(pictures: int, rows: int, data_dir: Path | None = None) -> Iterator[Inputs]:
    """Make everything in a folder that is gone afterwards."""
    images = data.load(DATA, data_dir).train.images
    with TemporaryDirectory(prefix="lenet-bench-") as scratch:
        folder = Path(scratch)
        lenet.train(data=DATA, epochs=1, data_dir=data_dir, out=folder / "run")
        made = Inputs(folder, folder / "run")
        write_pictures(images, made.pictures, pictures)
        write_pictures(images, folder / "tenth", max(1, pictures // 10))
        write_table(images, made.table, rows)
        yield made
