"""One decision of a trained network, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data import Source
from lenet.data.pictures.picture import Picture, read_picture
from lenet.engines.base import Engine
from lenet.errors import FormatError, UsageError
from lenet.network import Spec
from lenet.prediction.evaluation import choose_split, load_data, open_network
from lenet.prediction.metrics import log_probabilities
from lenet.prediction.reading import read_regular
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import open_run

PATCH_SHARE, STEP_SHARE = 0.21, 0.07
"""Side of the occluding patch, and how far it moves, as parts of the picture's height."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What every layer made of one picture.

    `given` is the picture as it came, `image` as the network gets it, uint8 (channels, height,
    width).  `activations` maps each layer's name to float32 (channels, rows, columns), `logits` and
    `probabilities` are (classes,).  `occlusion` is (height, width): how much the probability of the
    prediction falls when a patch of the ground's grey hides that place (Zeiler and Fergus 2014,
    section 4.2).  `light_ink` is True where the network was trained on light ink on dark ground.
    """

    spec: Spec
    class_names: tuple[str, ...]
    title: str
    given: NDArray[np.uint8]
    image: NDArray[np.uint8]
    activations: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    occlusion: NDArray[np.float64]
    label: int | None = None
    light_ink: bool = True

    @property
    def prediction(self) -> int:
        return int(self.probabilities.argmax())


def explain_image(
    engine: Engine,
    checkpoint: Checkpoint,
    image: NDArray[np.uint8],
    *,
    title: str = "",
    given: NDArray[np.uint8] | None = None,
    label: int | None = None,
) -> Explanation:
    """Explain the answer of `engine` to `image`, uint8 (channels, height, width)."""
    placed = engine.place(image[None])
    logits = engine.logits(placed)[0]
    probabilities = np.exp(log_probabilities(logits[None]))[0]
    activations = {name: array[0] for name, array in engine.activations(placed).items()}
    return Explanation(
        spec=checkpoint.spec,
        class_names=tuple(checkpoint.data.class_names),
        title=title,
        given=image if given is None else given,
        image=image,
        activations=activations,
        logits=logits,
        probabilities=probabilities,
        occlusion=_occlude(engine, image, int(probabilities.argmax())),
        label=label,
        light_ink=checkpoint.data.convention.light_ink,
    )


def explain_run(
    path: str | Path,
    picture: str | Path,
    *,
    data_dir: str | Path | None = None,
    which: str | None = None,
) -> Explanation:
    """Explain what the run at `path` makes of `picture`.

    `picture` is a file, or `SPLIT:INDEX` for an image of the run's own data, such as `test:17`.

    Raises:
        UsageError: if there is no such split or image.
        FormatError: if there is no such file.
        LenetError: as `open_run`, `read_picture` and `open_engine`.
    """
    checkpoint = open_run(path).checkpoint(which)
    network = open_network(checkpoint)
    if (example := find_example(str(picture))) is not None:
        return explain_example(network, checkpoint, *example, data_dir)
    check_there(picture)
    content = read_regular(Path(picture), str(picture))
    shape, convention = checkpoint.spec.input_shape, checkpoint.data.convention
    read = read_picture(content, shape, convention, str(picture))
    return explain_picture(network, checkpoint, read, Path(picture).name)


def find_example(text: str) -> tuple[str, str] | None:
    """`SPLIT:INDEX` as both; None where the text is no such thing."""
    split, colon, index = text.partition(":")
    return (split, index) if colon and split in ("train", "validation", "test") else None


def check_there(picture: str | Path) -> None:
    """Refuse the path of nothing, which may be meant as an image of the data; others are read.

    Raises:
        FormatError: if there is no such file.
    """
    try:
        Path(picture).stat()
    except FileNotFoundError:
        raise FormatError(
            f"{picture}: there is no such file; name a picture, or an image of the data as test:17"
        ) from None
    except (OSError, ValueError):  # the reader says what is wrong
        return


def explain_example(
    engine: Engine,
    checkpoint: Checkpoint,
    split: str,
    index: str,
    data_dir: str | Path | None = None,
    data: Source | None = None,
) -> Explanation:
    """Explain the answer to image `index` of a split of the data that the network was trained on.

    `data` is that, where it was at hand only.

    Raises:
        UsageError: if there is no such split or image.
        LenetError: as `load_data`.
    """
    chosen = choose_split(load_data(checkpoint, data, data_dir), split, checkpoint)
    # A number of thousands of digits is one that Python refuses to read.
    is_number = index.isascii() and index.isdigit() and len(index) < 20
    if not is_number or int(index) >= len(chosen):
        raise UsageError(
            f"{split}:{index[:60]}: the {split} split has images 0 to {len(chosen) - 1}; "
            "name one of them"
        )
    place = int(index)
    return explain_image(
        engine, checkpoint, chosen.images[place],
        title=f"{checkpoint.data.name}, {split} image {place}", label=int(chosen.labels[place]),
    )  # fmt: skip


def explain_picture(
    engine: Engine, checkpoint: Checkpoint, picture: Picture, name: str
) -> Explanation:
    """Explain the answer to a picture that was read and prepared."""
    title = ", ".join((name, *picture.notes))
    return explain_image(engine, checkpoint, picture.image, title=title, given=picture.given)


def _occlude(engine: Engine, image: NDArray[np.uint8], answer: int) -> NDArray[np.float64]:
    """Mean fall of the answer's probability over all patches that cover a pixel."""
    _, height, width = image.shape
    side, step = (max(1, round(share * height)) for share in (PATCH_SHARE, STEP_SHARE))
    ground = np.median(image.reshape(len(image), -1), axis=1).astype(np.uint8)[:, None, None]
    places = [(y, x) for y in _starts(height, side, step) for x in _starts(width, side, step)]
    hidden = np.repeat(image[None], len(places) + 1, axis=0)
    for covered, (y, x) in zip(hidden, places, strict=False):
        covered[:, y : y + side, x : x + side] = ground
    logits = engine.logits(engine.place(hidden))
    answers = np.exp(log_probabilities(logits))[:, answer]
    falls, counts = np.zeros((height, width)), np.zeros((height, width))
    for fall, (y, x) in zip(answers[-1] - answers, places, strict=False):
        falls[y : y + side, x : x + side] += fall
        counts[y : y + side, x : x + side] += 1
    return falls / counts


def _starts(length: int, side: int, step: int) -> Sequence[int]:
    last = max(0, length - side)
    return sorted({*range(0, last, step), last})
