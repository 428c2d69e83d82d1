"""LeNet: train it, look into it, and use it on pictures; the public names.

    model = lenet.train(epochs=10)          # the note's network on Fashion-MNIST
    model.predict("picture.png")            # what it shows, and how sure that is
    lenet.load("runs/first").summary()      # a trained network from its folder

`import lenet` imports nothing heavy; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lenet.system.version import VERSION as __version__

if TYPE_CHECKING:
    from lenet.data import Dataset, Reading
    from lenet.errors import (
        CheckpointError,
        DataError,
        DataNotFoundError,
        DigestError,
        DivergenceError,
        DownloadError,
        EngineError,
        ExportError,
        FormatError,
        InputError,
        InterruptedRunError,
        LenetError,
        MachineError,
        MissingExtraError,
        PartialError,
        RecipeError,
        RunError,
        SlowMirrorError,
        SpecError,
        StoppedError,
        StudyError,
        TakenError,
        UsageError,
    )
    from lenet.estimator import LeNetClassifier
    from lenet.model import Model, load, resume, train
    from lenet.network import Convolution, Dense, Pooling, Spec
    from lenet.network.zoo import build
    from lenet.prediction.module import load_module
    from lenet.recipe import Recipe
    from lenet.runs.run import Run, open_run
    from lenet.show.report import write_report
    from lenet.training.rate_finder import find_rate


_HOMES = {
    "lenet.data": ("Dataset", "Reading"),
    "lenet.errors": (
        "CheckpointError", "DataError", "DataNotFoundError", "DigestError", "DivergenceError",
        "DownloadError", "EngineError", "ExportError", "FormatError", "InputError",
        "InterruptedRunError", "LenetError", "MachineError", "MissingExtraError", "PartialError",
        "RecipeError", "RunError", "SlowMirrorError", "SpecError", "StoppedError", "StudyError",
        "TakenError", "UsageError",
    ),
    "lenet.estimator": ("LeNetClassifier",),
    "lenet.model": ("Model", "load", "resume", "train"),
    "lenet.network": ("Convolution", "Dense", "Pooling", "Spec"),
    "lenet.network.zoo": ("build",),
    "lenet.prediction.module": ("load_module",),
    "lenet.recipe": ("Recipe",),
    "lenet.runs.run": ("Run", "open_run"),
    "lenet.show.report": ("write_report",),
    "lenet.training.rate_finder": ("find_rate",),
}  # fmt: skip
"""By room, the names that are public; `lenet.data.load` and its kin are public in their room."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CheckpointError",
    "Convolution",
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "Dense",
    "DigestError",
    "DivergenceError",
    "DownloadError",
    "EngineError",
    "ExportError",
    "FormatError",
    "InputError",
    "InterruptedRunError",
    "LeNetClassifier",
    "LenetError",
    "MachineError",
    "MissingExtraError",
    "Model",
    "PartialError",
    "Pooling",
    "Reading",
    "Recipe",
    "RecipeError",
    "Run",
    "RunError",
    "SlowMirrorError",
    "Spec",
    "SpecError",
    "StoppedError",
    "StudyError",
    "TakenError",
    "UsageError",
    "__version__",
    "build",
    "find_rate",
    "load",
    "load_module",
    "open_run",
    "resume",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in ("data", "errors"):
        return import_module(f"lenet.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
