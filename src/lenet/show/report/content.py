"""What a report says of each run: scores, mistakes and what every layer holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.data import Source, Split
from lenet.engines.base import Engine
from lenet.prediction import metrics
from lenet.prediction.evaluation import check_fit, choose_split, load_data, open_network
from lenet.prediction.explanation import explain_image
from lenet.prediction.metrics import Calibration, Evaluation
from lenet.runs import receipt
from lenet.runs.checkpoint import Checkpoint
from lenet.runs.run import Run, open_run
from lenet.show.chart import NOTE_SERIES, line_chart
from lenet.show.report.drawing import draw_network
from lenet.show.report.pictures import image_uri, maps_uri, signed_uri

MISTAKES, EXAMPLES = 60, 3


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer; `certainty` is the probability of the prediction, `own` that of the label."""

    index: int
    label: int
    prediction: int
    certainty: float
    own: float
    picture: str


@dataclass(frozen=True, slots=True)
class LayerView:
    """One layer's maps of one example."""

    name: str
    shape: str
    low: float
    high: float
    picture: str


@dataclass(frozen=True, slots=True)
class Example:
    """One image through every layer."""

    title: str
    picture: str
    layers: tuple[LayerView, ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """Those of a layer in one picture (a data URI), and the largest weight without its sign."""

    layer: str
    picture: str
    largest: float


@dataclass(frozen=True, slots=True)
class Part:
    """One run of a report."""

    run: Run
    checkpoint: Checkpoint
    title: str
    evaluation: Evaluation
    calibration: Calibration
    right: NDArray[np.bool_]
    chart: str
    network: str
    filters: Filters | None
    mistakes: tuple[Mistake, ...]
    examples: tuple[Example, ...]
    recipe: dict[str, Any]
    receipt: dict[str, Any]
    examples_per_second: float
    divergence: str


def gather(
    path: str | Path,
    data_dir: str | Path | None = None,
    split: str = "test",
    data: Source | None = None,
    which: str | None = None,
) -> Part:
    """Score a run's checkpoint `which` on a split of its own data, and look into it.

    `data` is that, where it was at hand only.

    Raises:
        LenetError: as `open_run`, `Run.checkpoint`, `load_data`, `choose_split` and `open_engine`.
    """
    run = open_run(path)
    checkpoint = run.checkpoint(which)
    dataset = load_data(checkpoint, data, data_dir)
    check_fit(checkpoint, dataset)
    chosen = choose_split(dataset, split, checkpoint)
    engine = open_network(checkpoint)
    logits = engine.logits(engine.place(chosen.images))
    facts, history = run.receipt(), run.history()
    light_ink = checkpoint.data.convention.light_ink
    mistakes = find_mistakes(logits, chosen, light_ink=light_ink)
    return Part(
        run=run,
        checkpoint=checkpoint,
        title=checkpoint.title,
        evaluation=metrics.score(logits, chosen.labels),
        calibration=metrics.calibrate(logits, chosen.labels),
        right=logits.argmax(axis=1) == chosen.labels,
        chart=line_chart(history, NOTE_SERIES, checkpoint.recipe.epochs, run.name),
        network=draw_network(checkpoint.spec),
        filters=_first_filters(checkpoint),
        mistakes=mistakes,
        examples=_examples(engine, checkpoint, chosen, logits, mistakes),
        recipe=asdict(checkpoint.recipe),
        receipt=facts,
        examples_per_second=receipt.examples_per_second(facts),
        divergence=receipt.divergence(facts),
    )


def _first_filters(checkpoint: Checkpoint) -> Filters | None:
    """Those of the first convolution, if there is one."""
    for layer in checkpoint.spec.layers:
        if layer.operation == "convolution":
            weights = checkpoint.weights[f"{layer.name}.weight"]
            flat = weights.reshape(-1, *weights.shape[-2:])
            largest = float(np.abs(flat).max())
            return Filters(layer.name, signed_uri(flat, min(len(flat), 8)), largest)
    return None


def find_mistakes(
    logits: NDArray[np.float32], split: Split, *, light_ink: bool = True
) -> tuple[Mistake, ...]:
    """The wrong answers with the least probability for the label first.

    Those are the likeliest label errors (self-confidence, Northcutt, Jiang and Chuang 2021,
    section 3.2).
    """
    probabilities = np.exp(metrics.log_probabilities(logits))
    predictions = probabilities.argmax(axis=1)
    own = probabilities[np.arange(len(split)), split.labels]
    wrong = np.flatnonzero(predictions != split.labels)
    worst = wrong[np.argsort(own[wrong], kind="stable")][:MISTAKES]
    return tuple(
        Mistake(
            int(index),
            int(split.labels[index]),
            int(predictions[index]),
            float(probabilities[index].max()),
            float(own[index]),
            image_uri(split.images[index], light_ink=light_ink),
        )
        for index in worst
    )


def _examples(
    engine: Engine,
    checkpoint: Checkpoint,
    split: Split,
    logits: NDArray[np.float32],
    mistakes: tuple[Mistake, ...],
) -> tuple[Example, ...]:
    """The first right answers of different classes, and the worst mistake."""
    chosen: list[int] = []
    seen: set[int] = set()
    for index in np.flatnonzero(logits.argmax(axis=1) == split.labels).tolist():
        if len(chosen) < EXAMPLES - 1 and int(split.labels[index]) not in seen:
            chosen.append(index)
            seen.add(int(split.labels[index]))
    chosen += [mistake.index for mistake in mistakes[:1]]
    names = checkpoint.data.class_names
    examples = []
    for index in chosen:
        explained = explain_image(engine, checkpoint, split.images[index])
        label, answer = int(split.labels[index]), explained.prediction
        said = f"{names[answer]} ({explained.probabilities[answer]:.1%})"
        title = f"image {index}: {names[label]}, read as {said}"
        layers = tuple(_layer(name, maps) for name, maps in explained.activations.items())
        examples.append(
            Example(title, image_uri(split.images[index], light_ink=explained.light_ink), layers)
        )
    return tuple(examples)


def _layer(name: str, maps: NDArray[np.float32]) -> LayerView:
    channels, rows, columns = maps.shape
    shape = f"{channels}@{rows}x{columns}" if rows > 1 else f"{channels} units"
    across = min(channels, 8) if rows > 1 else min(channels, 42)
    return LayerView(name, shape, float(maps.min()), float(maps.max()), maps_uri(maps, across))
