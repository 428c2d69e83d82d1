"""A trained network at work: checkpoint and images in, logits, scores and activations out."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet import data as data_sets
from lenet.data import Dataset, Split
from lenet.data.files import listed
from lenet.data.progress import Progress
from lenet.engines import open_engine
from lenet.engines.base import Engine
from lenet.errors import DataError, LenetError, PartialError, UsageError
from lenet.prediction import metrics
from lenet.prediction.metrics import Evaluation
from lenet.prediction.views import Views, mean_logits, mean_of
from lenet.runs.checkpoint import Checkpoint, DataSource
from lenet.runs.run import open_run


def open_network(
    checkpoint: Checkpoint,
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Engine:
    """An engine that holds the checkpoint's weights; raises `EngineError` as `open_engine`."""
    return open_engine(
        checkpoint.spec,
        checkpoint.recipe,
        checkpoint.weights,
        engine=engine,
        device=device,
        threads=threads,
    )


def evaluate(engine: Engine, split: Split, views: Views | None = None) -> Evaluation:
    """Score every image of `split` once, or by the mean over its `views`.

    Raises:
        DataError: if the split is empty.

    """
    return metrics.score(_logits(engine, split, views), split.labels)


def _logits(engine: Engine, split: Split, views: Views | None) -> NDArray[np.float32]:
    """Raises `DataError` if the split is empty."""
    if not len(split):
        raise DataError("no images to evaluate on: this split is empty")
    return mean_logits(engine, split.images, views)


@dataclass(frozen=True, slots=True)
class Result:
    """A run's scores on a split.

    `viewed` are those over several `views` of each image, where they were asked for.  `source` is
    the path of own data, and `left_out` counts files in it that cannot be used.  `age` says how far
    its training was, where that is not its end.
    """

    run: str
    data: str
    split: str
    class_names: tuple[str, ...]
    evaluation: Evaluation
    source: str = ""
    left_out: int = 0
    views: Views | None = None
    viewed: Evaluation | None = None
    age: str = ""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a network, or several by their mean, says of a split: logits, also over `views`."""

    logits: NDArray[np.float32]
    views: Views | None
    viewed: NDArray[np.float32] | None


def evaluate_network(
    network: Engine,
    checkpoint: Checkpoint,
    data: data_sets.Source | None = None,
    split: str = "test",
    *,
    data_dir: str | Path | None = None,
    by_position: bool = False,
    views: bool = False,
) -> Result:
    """Score a network that is open on a split of its own data set, or of another.

    The other must have the same classes: those with the same names; with `by_position`, the first
    class of the data is the network's first whatever they are called.  With `views` it is scored
    once more, by the mean over several views of each image.

    Raises:
        UsageError: if there is no such split, or the data does not fit the network.
        DataError: if there is no image in it.
        LenetError: as `data.load`.

    """
    dataset = load_data(checkpoint, data, data_dir, by_position=by_position)
    check_fit(checkpoint, dataset, by_position=by_position)
    chosen = choose_split(dataset, split, checkpoint)
    answers = _ask(network, chosen, Views.of(checkpoint) if views else None)
    return _scored("", dataset, split, chosen, answers)


def evaluate_runs(
    paths: Sequence[Path],
    data: data_sets.Source | None = None,
    split: str = "test",
    *,
    data_dir: str | Path | None = None,
    which: str | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    by_position: bool = False,
    views: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Score runs on the same split, each alone; of several, last, the mean of their probabilities.

    The data are by default the first run's own; see `evaluate_network`.  `progress` is told how far
    they are read.

    Raises:
        UsageError: as `evaluate_network`, or if the runs do not know the same classes.
        LenetError: as `open_run`, `Run.checkpoint`, `open_engine` and `evaluate_network`.
    """
    checkpoints = [open_run(path).checkpoint(which) for path in paths]
    first = checkpoints[0]
    dataset = load_data(first, data, data_dir, progress=progress, by_position=by_position)
    chosen = choose_split(dataset, split, first)
    said = []
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        _check_member(first, checkpoint, paths[0], path)
        check_fit(checkpoint, dataset, by_position=by_position)
        network = open_network(checkpoint, engine=engine, device=device, threads=threads)
        said.append(_ask(network, chosen, Views.of(checkpoint) if views else None))
    answers = list(zip(map(str, paths), said, strict=True))
    if len(said) > 1:
        answers.append((f"the ensemble of {len(said)} runs", _mean(said)))
    results = [_scored(name, dataset, split, chosen, each) for name, each in answers]
    for number, checkpoint in enumerate(checkpoints):
        if not checkpoint.is_of_the_end:
            results[number] = replace(results[number], age=checkpoint.age)
    return results


def _ask(network: Engine, chosen: Split, views: Views | None) -> _Answers:
    """What the network says of the images of a split.

    Raises:
        DataError: if there is none.
    """
    viewed = None if views is None else _logits(network, chosen, views)
    return _Answers(_logits(network, chosen, None), views, viewed)


def _mean(said: Sequence[_Answers]) -> _Answers:
    viewed = [each.viewed for each in said if each.viewed is not None]
    together = mean_of([each.logits for each in said])
    return _Answers(together, said[0].views, mean_of(viewed) if viewed else None)


def _scored(run: str, dataset: Dataset, split: str, chosen: Split, answers: _Answers) -> Result:
    viewed = answers.viewed
    return Result(
        run=run,
        data=dataset.name,
        split=split,
        class_names=dataset.class_names,
        evaluation=metrics.score(answers.logits, chosen.labels),
        source="" if dataset.origin is None else dataset.origin.path,
        left_out=0 if dataset.survey is None else len(dataset.survey.left_out),
        views=answers.views,
        viewed=None if viewed is None else metrics.score(viewed, chosen.labels),
    )


def _check_member(first: Checkpoint, other: Checkpoint, first_path: Path, path: Path) -> None:
    """Refuse a network that answers about something else.

    Raises:
        UsageError: if its images or its classes are not those of the first.
    """
    ours, theirs = first.data.class_names, other.data.class_names
    if ours != theirs:
        raise UsageError(
            f"{path}: its classes ({listed(theirs)}) are not those of {first_path} "
            f"({listed(ours)}): name runs of the same classes"
        )
    if first.spec.input_shape != other.spec.input_shape:
        raise UsageError(
            f"{path}: it takes images {other.spec.input_shape}, and {first_path} "
            f"{first.spec.input_shape}: name runs of the same size"
        )


def load_data(
    checkpoint: Checkpoint,
    data: data_sets.Source | None = None,
    data_dir: str | Path | None = None,
    *,
    progress: Progress | None = None,
    by_position: bool = False,
) -> Dataset:
    """The data that the network was trained on, or other data as it needs it.

    Raises:
        LenetError: as `lenet.data.load`.
    """
    own, spec = checkpoint.data, checkpoint.spec
    shape = (spec.channels, spec.height, spec.width)
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple | list):
        return _same_arrays(own, data) or data_sets.load_like(
            data, shape, own.convention, own.class_names, by_position=by_position
        )
    if data is None or _is_same(checkpoint, data):
        dataset = own.load(data_dir, progress=progress)
        if dataset.digests != own.digests:
            warnings.warn(
                f"{dataset.name} is not what it was when this network was trained (or another "
                "version of Pillow reads it differently): images that it was trained on may be "
                "among those it is scored on",
                stacklevel=2,
            )
        return dataset
    if not data_sets.is_own(data):
        return data_sets.load(data, data_dir, progress=progress)
    return data_sets.load_like(
        data, shape, own.convention, own.class_names, progress=progress, by_position=by_position
    )


def _same_arrays(own: DataSource, arrays: tuple[Any, Any] | list[Any]) -> Dataset | None:
    """The arrays that the network was trained on, in the splits that they were in; or None."""
    if own.origin is not None or own.name in data_sets.CATALOG:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # they were said when it was trained
            found = data_sets.load(arrays)
    except LenetError:
        return None
    return found if found.digests == own.digests else None


def _is_same(checkpoint: Checkpoint, data: str | Path) -> bool:
    origin = checkpoint.data.origin
    if origin is None:
        return str(data) == checkpoint.data.name
    return data_sets.is_own(data) and str(Path(data).expanduser().absolute()) == origin.path


def check_inputs(result: Result) -> None:
    """Say after an evaluation what its data could not give.

    Raises:
        PartialError: if files were left out.
    """
    if result.left_out:
        raise PartialError(
            f"the scores are right, but some files cannot be used ({result.left_out}); list them "
            f"with: lenet data show {shlex.quote(result.source)}"
        )


def check_fit(checkpoint: Checkpoint, dataset: Dataset, *, by_position: bool = False) -> None:
    """Refuse data of another shape, or with other classes.

    Raises:
        UsageError: if the network cannot read it, or (but for `by_position`) calls a class
            otherwise.

    """
    spec, shape = checkpoint.spec, dataset.test.images.shape[1:]
    if shape != spec.input_shape or len(dataset.class_names) != spec.classes:
        raise UsageError(
            f"{dataset.name} has images {shape} in {len(dataset.class_names)} classes; this "
            f"network takes {spec.input_shape} in {spec.classes} classes: name data that fits"
        )
    own = checkpoint.data.class_names
    if dataset.class_names != own and not by_position:
        raise UsageError(
            f"the classes of {dataset.name} ({listed(dataset.class_names)}) are not those of this "
            f"network ({listed(own)}): name data with the same classes, or score them by their "
            "position with --by-position (Python: by_position=True)"
        )


def choose_split(dataset: Dataset, split: str, checkpoint: Checkpoint) -> Split:
    """The split of that name, cut as the checkpoint's recipe cuts it.

    Raises:
        UsageError: if there is none, or the run held out no validation images of this data.

    """
    if split == "test":
        return dataset.test
    recipe = checkpoint.recipe
    count = recipe.validation if dataset.validation is None else 0
    train, validation = data_sets.training_splits(dataset, count, recipe.seed)
    if split == "train":
        return train
    if split != "validation":
        raise UsageError(f"no split is called {split!r}; known are train, validation, test")
    foreign = dataset.validation is None and dataset.name != checkpoint.data.name
    if foreign or not len(validation):
        raise UsageError(
            "this run held out no validation images of this data set; train with --validation N "
            "(Python: validation=N)"
        )
    return validation
