"""A trained network at work: checkpoint and images in, logits, scores and activations out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lenet import metrics
from lenet.checkpoint import Checkpoint
from lenet.data.dataset import Split
from lenet.engines import TORCH_CURE, has_torch, open_engine
from lenet.engines.base import Engine
from lenet.errors import DataError, EngineError
from lenet.metrics import Evaluation
from lenet.run import open_run

if TYPE_CHECKING:
    import torch


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


def load_module(run: str | Path, which: str | None = None) -> torch.nn.Module:
    """The trained network of a run as a plain `torch.nn.Module`, in the order of the note's.

    It takes pixels in [0, 1], float32 (n, channels, height, width), and gives logits (n, classes).
    `which` is "last" or "best"; by default the best where the run has one.

    Raises:
        RunError: if there is no such run, or no checkpoint that can be read.
        EngineError: if PyTorch is not installed.
    """
    checkpoint = open_run(Path(run)).checkpoint(which)
    if not has_torch():
        raise EngineError(f"load_module gives a PyTorch module, and PyTorch is missing; {TORCH_CURE}")
    from lenet.engines.eager import build_module

    return build_module(checkpoint.spec, checkpoint.state.weights).eval()
