"""A trained network at work: checkpoint and images in, logits, scores and activations out."""

from __future__ import annotations

import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path

from lenet import data as data_sets
from lenet.data import Dataset, Split
from lenet.data.files import listed
from lenet.engines import open_engine
from lenet.engines.base import Engine
from lenet.errors import DataError, PartialError, UsageError
from lenet.prediction import metrics
from lenet.prediction.metrics import Evaluation
from lenet.runs.checkpoint import Checkpoint
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
        checkpoint.state.weights,
        engine=engine,
        device=device,
        threads=threads,
    )


def evaluate(engine: Engine, split: Split) -> Evaluation:
    """Score every image of `split` once.

    Raises:
        DataError: if the split is empty.

    """
    if not len(split):
        raise DataError("no images to evaluate on: this split is empty")
    return metrics.score(engine.logits(engine.place(split.images)), split.labels)


@dataclass(frozen=True, slots=True)
class Result:
    """A run's scores on a split.

    `source` is the path of own data, and `left_out` counts files in it that cannot be used.
    """

    run: str
    data: str
    split: str
    class_names: tuple[str, ...]
    evaluation: Evaluation
    source: str = ""
    left_out: int = 0


def evaluate_run(
    path: Path,
    data: data_sets.Source | None = None,
    split: str = "test",
    *,
    data_dir: str | Path | None = None,
    which: str | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    by_position: bool = False,
) -> Result:
    """Score a run on a split of its own data set, or of another with the same classes.

    Classes are the same if they have the same names; with `by_position`, the first class of the
    data is the network's first whatever they are called.

    Raises:
        UsageError: if there is no such split, or the data does not fit the network.
        LenetError: as `open_run`, `Run.checkpoint`, `data.load` and `open_engine`.

    """
    checkpoint = open_run(path).checkpoint(which)
    network = open_network(checkpoint, engine=engine, device=device, threads=threads)
    return evaluate_network(
        network,
        checkpoint,
        data,
        split,
        data_dir=data_dir,
        run=str(path),
        by_position=by_position,
    )


def evaluate_network(
    network: Engine,
    checkpoint: Checkpoint,
    data: data_sets.Source | None = None,
    split: str = "test",
    *,
    data_dir: str | Path | None = None,
    run: str = "",
    by_position: bool = False,
) -> Result:
    """The same for a network that is open already.

    Raises:
        UsageError, LenetError: as `evaluate_run`.

    """
    dataset = load_data(checkpoint, data, data_dir, by_position=by_position)
    check_fit(checkpoint, dataset, by_position=by_position)
    return Result(
        run=run,
        data=dataset.name,
        split=split,
        class_names=dataset.class_names,
        evaluation=evaluate(network, choose_split(dataset, split, checkpoint)),
        source="" if dataset.origin is None else dataset.origin.path,
        left_out=0 if dataset.survey is None else len(dataset.survey.left_out),
    )


def load_data(
    checkpoint: Checkpoint,
    data: data_sets.Source | None = None,
    data_dir: str | Path | None = None,
    *,
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
    if isinstance(data, tuple):
        return data_sets.load_like(
            data, shape, own.convention, own.class_names, by_position=by_position
        )
    if data is None or _is_same(checkpoint, data):
        dataset = own.load(data_dir)
        if dataset.digests != own.digests:
            warnings.warn(
                f"{dataset.name} is not what it was when this network was trained (or another "
                "version of Pillow reads it differently): images that it was trained on may be "
                "among those it is scored on",
                stacklevel=2,
            )
        return dataset
    if not data_sets.is_own(data):
        return data_sets.load(data, data_dir)
    return data_sets.load_like(
        data, shape, own.convention, own.class_names, by_position=by_position
    )


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
            "this run held out no validation images of this data set; train with --validation N"
        )
    return validation
