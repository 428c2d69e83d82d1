"""LeNet, finished: trained in seconds, proven, explained, shipped.

    run = lenet.train(epochs=10)            # the note's network on Fashion-MNIST
    module = lenet.load_module(run.path)    # a plain torch.nn.Module

`import lenet` imports nothing heavy; each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet.errors import LenetError
    from lenet.estimator import LeNetClassifier
    from lenet.prediction import load_module
    from lenet.recipe import Recipe
    from lenet.report import write_report
    from lenet.run import Run
    from lenet.session import resume, train
    from lenet.spec import Spec
    from lenet.trained import TrainedRun, open_run
    from lenet.zoo import build

__version__ = "0.1.0"

_HOMES = {
    "LeNetClassifier": "lenet.estimator",
    "LenetError": "lenet.errors",
    "Recipe": "lenet.recipe",
    "Run": "lenet.run",
    "Spec": "lenet.spec",
    "TrainedRun": "lenet.trained",
    "write_report": "lenet.report",
    "build": "lenet.zoo",
    "load_module": "lenet.prediction",
    "open_run": "lenet.trained",
    "resume": "lenet.session",
    "train": "lenet.session",
}

__all__ = [
    "LeNetClassifier",
    "LenetError",
    "Recipe",
    "Run",
    "Spec",
    "TrainedRun",
    "__version__",
    "build",
    "load_module",
    "open_run",
    "resume",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
