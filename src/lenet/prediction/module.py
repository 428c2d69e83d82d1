"""A trained network as a plain PyTorch module."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lenet.engines import TORCH_CURE, has_torch
from lenet.errors import EngineError
from lenet.runs.run import open_run

if TYPE_CHECKING:
    from lenet.engines.module import LeNet


def load_module(run: str | Path, which: str | None = None) -> LeNet:
    """The trained network of a run as a plain `torch.nn.Module`, in the order of the note's.

    It takes pixels in [0, 1], float32 (n, channels, height, width), and gives logits (n, classes).
    `which` is "last" or "best"; by default the best where the run has one.

    Raises:
        RunError: if there is no such run, or no checkpoint that can be read.
        EngineError: if PyTorch is not installed.

    """
    checkpoint = open_run(run).checkpoint(which)
    if not has_torch():
        raise EngineError(
            f"load_module gives a PyTorch module, and PyTorch is missing; {TORCH_CURE}"
        )
    from lenet.engines.module import build_module

    return build_module(checkpoint.spec, checkpoint.weights).eval()
