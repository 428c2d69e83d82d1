"""Why a picture was read as it was: what each stage of its preparation does to the answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import Picture, Stage, read_picture, resized
from lenet.prediction.network import Network, probabilities
from lenet.prediction.reading import read_regular
from lenet.runs.run import open_run


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """A stage, and what the network would answer if the preparation ended there.

    `seen` is the stage's picture resized to the network's shape, uint8 (channels, height, width);
    `probabilities` are (classes,).
    """

    stage: Stage
    seen: NDArray[np.uint8]
    probabilities: NDArray[np.float64]

    @property
    def prediction(self) -> int:
        return int(self.probabilities.argmax())


@dataclass(frozen=True, slots=True)
class Preparation:
    """One picture on its way to the network: the first stage is as given, the last as it is seen.

    The first one's answer is that to the whole picture, resized and nothing else.
    """

    name: str
    class_names: tuple[str, ...]
    convention: Convention
    picture: Picture
    stages: tuple[StageAnswer, ...]

    @property
    def resized(self) -> StageAnswer:
        return self.stages[0]

    @property
    def prepared(self) -> StageAnswer:
        return self.stages[-1]


def follow_picture(
    path: str | Path,
    source: str | Path | bytes,
    *,
    which: str | None = None,
    engine: str = "auto",
) -> Preparation:
    """Answer each stage of the preparation of `source` for the run at `path`.

    Raises:
        LenetError: as `open_run`, `read_regular`, `read_picture` and `open_engine`.
    """
    checkpoint = open_run(path).checkpoint(which)
    name = "picture" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else read_regular(Path(source), name)
    shape = checkpoint.spec.input_shape
    picture = read_picture(content, shape, checkpoint.data.convention, name)
    images = [resized(stage.image, *shape[1:]) for stage in picture.stages[:-1]]
    images.append(picture.image)
    answers = probabilities(Network.of(checkpoint, engine), np.stack(images))
    return Preparation(
        Path(name).name,
        checkpoint.data.class_names,
        checkpoint.data.convention,
        picture,
        tuple(
            StageAnswer(stage, seen, found)
            for stage, seen, found in zip(picture.stages, images, answers, strict=True)
        ),
    )
