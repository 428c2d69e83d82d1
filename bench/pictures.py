"""`python -m bench.pictures`: are digits read in pictures that nobody prepared?  Kind by kind.

Beside lenet stands a plain OpenCV pipeline as tutorials teach it, in front of the same network.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lenet
from bench import kinds
from lenet import data
from lenet.errors import FormatError
from lenet.prediction.stages import follow_picture
from lenet.show.figures.figure import BLUE, ORANGE, open_figure
from lenet.system import machine

DATA = "mnist"
SPLITS = ("train", "test")
NETWORK = {"model": "lenet5-relu", "learning_rate": 0.1}
"""At the note's learning rate of 0.9 this network diverges."""

SURE = 0.9
PACKAGES = ("lenet", "numpy", "pillow", "opencv-python-headless")
RAW = "raw arrays"
THUMB = 96
"""Pixels of a stage in the figure."""

STRIPS = 3
"""Kinds beside each other in the figure."""

Reader = Callable[[Any], tuple[int, float] | None]
"""A picture -> label and probability, or None where it is refused."""


@dataclass(slots=True)
class Tally:
    """What became of the pictures of a kind.

    `milliseconds` are the median of one picture from its file to the answer, on one thread.
    """

    right: int = 0
    wrong: int = 0
    wrong_and_sure: int = 0
    refused: int = 0
    milliseconds: float = 0.0


def tally(answers: list[tuple[int, float] | None], labels: NDArray[np.int64]) -> Tally:
    found = Tally()
    for answer, label in zip(answers, labels, strict=True):
        if answer is None:
            found.refused += 1
        elif answer[0] == label:
            found.right += 1
        else:
            found.wrong += 1
            found.wrong_and_sure += answer[1] > SURE
    return found


def read_with_lenet(model: lenet.Model) -> Reader:
    def read(content: Any) -> tuple[int, float] | None:
        try:
            answer = model.predict(content)
        except FormatError:
            return None
        return model.class_names.index(answer.class_name), answer.probability

    return read


def read_with_opencv(model: lenet.Model) -> Reader:
    """Grey, blur, Otsu's threshold turned around, the largest contour's box, fitted and centred."""

    def read(content: bytes) -> tuple[int, float] | None:
        image = prepare_with_opencv(content)
        if image is None:
            return None
        (probabilities,) = model(image)
        label = int(probabilities.argmax())
        return label, float(probabilities[label])

    return read


def prepare_with_opencv(content: bytes) -> NDArray[np.uint8] | None:
    """The digit in a file, uint8 (28, 28), or None where nothing is found."""
    import cv2

    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    blurred = cv2.GaussianBlur(grey, (5, 5), 0)
    _, ink = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    x, y, width, height = cv2.boundingRect(max(contours, key=cv2.contourArea))
    scale = 20 / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(ink[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA)
    moments = cv2.moments(small)
    if not moments["m00"]:
        return None
    shift = [13.5 - moments[name] / moments["m00"] for name in ("m10", "m01")]
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(small, move, (28, 28))


def measure(
    pictures: Sequence[Any], labels: NDArray[np.int64], readers: dict[str, Reader]
) -> dict[str, Tally]:
    """Give each picture to every reader in turn."""
    answers: dict[str, list[tuple[int, float] | None]] = {reader: [] for reader in readers}
    seconds: dict[str, list[float]] = {reader: [] for reader in readers}
    for picture in pictures:
        for reader, read in readers.items():
            started = time.perf_counter()
            answers[reader].append(read(picture))
            seconds[reader].append(time.perf_counter() - started)
    found = {reader: tally(answers[reader], labels) for reader in readers}
    for reader, each in found.items():
        each.milliseconds = round(1e3 * float(np.median(seconds[reader])), 2)
    return found


def table(found: dict[str, dict[str, Tally]], digits: int) -> str:
    """A Markdown table: a row a kind, its counts for each reader."""
    readers = list(max(found.values(), key=len))
    parts = (f"right of {digits}", "refused", f"wrong, p > {SURE}", "ms")
    heads = [f"{reader}: {part}" for reader in readers for part in parts]
    lines = [f"| kind | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for name, row in found.items():
        cells = [cell for reader in readers for cell in _cells(row.get(reader))]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(found: Tally | None) -> list[str]:
    if found is None:
        return [""] * 4
    counts = [str(found.right), str(found.refused), str(found.wrong_and_sure)]
    return [*counts, f"{found.milliseconds:.3g}"]


def thumbnail(picture: Image.Image) -> NDArray[np.uint8]:
    """Fitted in a square (THUMB, THUMB, 3) with a thin grey edge around it."""
    scale = THUMB / max(picture.size)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    size = [max(3, round(side * scale)) for side in picture.size]
    square = Image.new("RGB", (THUMB, THUMB), "white")
    square.paste("grey", (0, 0, *size))
    square.paste(picture.convert("RGB").resize((size[0] - 2, size[1] - 2), how), (1, 1))
    return np.asarray(square)


def draw(examples: dict[str, tuple[bytes, int]], run: Path, path: Path) -> None:
    """A strip a kind: the picture, the stages of its preparation, what the network got and said.

    `examples` are files with the labels of their digits, by kind.
    """
    followed = {name: follow(content, label, run) for name, (content, label) in examples.items()}
    rows, stages = -(-len(examples) // STRIPS), max(len(each[0]) for each in followed.values())
    with open_figure(path, 13.0, 13.0 / STRIPS / stages * 1.3 * rows) as figure:
        grid = figure.subplots(rows, STRIPS, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, (name, (thumbs, said, right)) in zip(grid.flat, followed.items(), strict=False):
            strip = np.full((THUMB, stages * (THUMB + 6), 3), 255, np.uint8)
            for place, thumb in enumerate(thumbs):
                strip[:, place * (THUMB + 6) :][:, :THUMB] = thumb
            axes.imshow(strip, interpolation="nearest")
            title = f"{name.replace('_', ' ')}: {said}"
            axes.set_title(title, loc="left", fontsize=9, color=BLUE if right else ORANGE, pad=2)


def follow(content: bytes, label: int, run: Path) -> tuple[list[NDArray[np.uint8]], str, bool]:
    """The picture and its stages in small, the answer in words, and whether it is right."""
    with Image.open(io.BytesIO(content)) as picture:
        thumbs = [thumbnail(picture)]
    try:
        followed = follow_picture(run, content)
    except FormatError as error:
        return thumbs, str(error).partition(": ")[2], False
    for stage in followed.stages[1:]:
        thumbs.append(thumbnail(Image.fromarray(stage.stage.image[0])))
    answer = followed.prepared
    share = answer.probabilities[answer.prediction]
    return thumbs, f"{answer.prediction} ({share:.1%})", answer.prediction == label


@contextmanager
def network(run: Path | None) -> Iterator[Path]:
    """`run`, or a network that is trained here and gone afterwards."""
    if run is not None:
        trained_on = lenet.load(run).checkpoint.data.name
        if trained_on != DATA:
            raise SystemExit(f"{run}: trained on {trained_on}; name a run that is on {DATA}")
        yield run
        return
    with TemporaryDirectory(prefix="lenet-bench-") as scratch:
        say(f"training {NETWORK['model']} on {DATA}")
        lenet.train(data=DATA, out=Path(scratch) / "run", **NETWORK)
        yield Path(scratch) / "run"


def save(name: str, pictures: Sequence[bytes], labels: NDArray[np.int64], folder: Path) -> None:
    """The pictures of a kind in `folder`/KIND, called NUMBER-LABEL."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (content, label) in enumerate(zip(pictures, labels, strict=True)):
        ending = "jpg" if content.startswith(b"\xff\xd8") else "png"
        (folder / name / f"{index:04d}-{label}.{ending}").write_bytes(content)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__)
    parser.add_argument("--split", choices=SPLITS, default="test", help="train is for tuning")
    parser.add_argument("--digits", type=int, default=200, help="pictures of each kind")
    parser.add_argument("--kinds", default=",".join(kinds.KINDS), help="by default all: A,B,...")
    parser.add_argument(
        "--run", type=Path, help="a run trained on MNIST; by default one is trained"
    )
    parser.add_argument("--save", type=Path, help="a folder that gets the pictures")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    flags = parser.parse_args()
    if flags.digits < 1:
        parser.error("--digits: at least one picture of each kind")
    flags.kinds = flags.kinds.split(",")
    if unknown := set(flags.kinds) - set(kinds.KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; known: {', '.join(kinds.KINDS)}")
    return flags


def main() -> None:
    flags = parse()
    import cv2

    cv2.setNumThreads(1)
    split = getattr(data.load(DATA), flags.split)
    images, labels = split.images[:, 0], split.labels[: flags.digits]
    with network(flags.run) as run:
        model = lenet.load(run, engine="native", threads=1)
        readers = {"lenet": read_with_lenet(model), "OpenCV": read_with_opencv(model)}
        found = {RAW: measure(images[: len(labels)], labels, {"lenet": readers["lenet"]})}
        shown = {}
        for place, name in enumerate(flags.kinds):
            pictures = [kinds.make(name, images, index) for index in range(len(labels))]
            if flags.save:
                save(name, pictures, labels, flags.save)
            found[name] = measure(pictures, labels, readers)
            shown[name] = pictures[place % len(labels)], int(labels[place % len(labels)])
            say(f"{name}: right {', '.join(f'{k} {v.right}' for k, v in found[name].items())}")
        write(flags, model, found, len(labels))
        draw(shown, run, flags.out / "pictures.jpg")
        say(f"wrote {flags.out / 'pictures.jpg'}")


def write(
    flags: argparse.Namespace,
    model: lenet.Model,
    found: dict[str, dict[str, Tally]],
    digits: int,
) -> None:
    """Print the table, and write it with its facts to `pictures.json` and `pictures.md`."""
    results = {
        "command": shlex.join(["python", "-m", "bench.pictures", *sys.argv[1:]]),
        "machine": machine.describe(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "recipe": asdict(model.recipe),
        "split": flags.split,
        "digits": digits,
        "kinds": {
            name: {reader: asdict(each) for reader, each in row.items()}
            for name, row in found.items()
        },
    }
    flags.out.mkdir(parents=True, exist_ok=True)
    text = table(found, digits)
    print(text, flush=True)
    (flags.out / "pictures.json").write_text(json.dumps(results, indent=1) + "\n")
    (flags.out / "pictures.md").write_text(text)
    for ending in ("json", "md"):
        say(f"wrote {flags.out / f'pictures.{ending}'}")


if __name__ == "__main__":
    main()
