"""Inference: images a second at batch 256, and the latency of one image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import networks
from bench.timing import latency, rate
from lenet.model import Model

BATCH = 256
SECONDS = 1.0
CALLS = 2000


def throughput(threads: int) -> dict[str, Callable[[], float]]:
    """Images a second: uint8 for the native engine, which scales, float32 for the others."""
    return {name: _rate(call) for name, call in _callers(threads, BATCH).items()}


def latencies(threads: int) -> dict[str, Callable[[], float]]:
    """Microseconds of one call with one image."""
    return {name: _latency(call) for name, call in _callers(threads, 1).items()}


def at_hand(threads: int, folder: Path) -> dict[str, Callable[[], float]]:
    """Microseconds of one answer of a `Model` beside the engine's own: an array, a PNG file."""
    image = networks.images_and_labels()[0][:1]
    path = folder / "image.png"
    Image.fromarray(image[0, 0]).save(path)
    engine, model = networks.native(threads), _model(threads)
    return {
        "the engine's own": _latency(lambda: engine.logits(engine.place(image))),
        "model.logits": _latency(lambda: model.logits(image)),
        "model.predict, an array": _latency(lambda: model.predict(image[0, 0])),
        "model.predict, a PNG file": _latency(lambda: model.predict(path)),
    }


def _model(threads: int) -> Model:
    """The network as `lenet.load` gives it, pictures fitted as Fashion-MNIST's were."""
    engine = networks.native(threads)
    return Model(networks.checkpoint_of(engine), engine)


def _rate(call: Callable[[], Any]) -> Callable[[], float]:
    def work() -> int:
        for _ in range(8):
            call()
        return 8 * BATCH

    return lambda: rate(work, SECONDS)


def _latency(call: Callable[[], Any]) -> Callable[[], float]:
    return lambda: 1e6 * latency(call, CALLS)


def _callers(threads: int, batch: int) -> dict[str, Callable[[], Any]]:
    import torch

    images = networks.images_and_labels()[0][:batch]
    pixels = images.astype(np.float32) / 255
    engine, module = networks.native(threads), networks.torch_module().eval()
    session = networks.onnx_session(threads)
    tensor = torch.from_numpy(pixels)

    def eager() -> Any:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return module(tensor).numpy()

    callers = {
        "native": lambda: engine.logits(engine.place(images)),
        "eager": eager,
        "ONNX Runtime": lambda: session(pixels),
    }
    answers = [call() for call in callers.values()]
    for answer in answers[1:]:  # they must compute the same to be compared
        np.testing.assert_allclose(answer, answers[0], atol=1e-4)
    return callers
