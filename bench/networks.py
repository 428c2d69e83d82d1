"""The note's network for each of those that are compared, all with the same initial weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet import data
from lenet.engines.base import Engine
from lenet.engines.native import NativeEngine
from lenet.export import Options, Trained
from lenet.export.onnx_file import build_model
from lenet.network import Spec, zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.runs.checkpoint import Checkpoint, DataSource, Position

RECIPE = Recipe()
SPEC = zoo.build("lenet5")
MULTIPLY_ADDS = 3 * SPEC.multiply_adds - SPEC.counts()[0].multiply_adds
"""Of one training image, as the plain algorithm counts them: forward, gradient of the weights, and
gradient of the inputs of every layer but the first."""

PLAIN_SQUARE, FILTERED_SQUARE = 4 * 5 * 5, 7 * 7
"""Products for a square of 2x2 outputs of a 5x5 convolution, and what minimal filtering leaves of
them (native/minimal.hpp)."""


def executed_training(spec: Spec = SPEC) -> int:
    """The multiply-adds of one training image that the native engine executes.

    A filtered convolution is so in all three passes; one that reads a single channel never is
    (`is_filtered` in native/step.cpp).
    """
    total = 0
    for number, row in enumerate(spec.counts()):
        filtered = _can_filter(spec, number) and row.input_shape[0] > 1
        total += (3 if number else 2) * _executed(row.multiply_adds, filtered)
    return total


def executed_answer(spec: Spec = SPEC) -> int:
    """The same for the answer to an image of a batch: there one channel is filtered too."""
    counts = enumerate(spec.counts())
    return sum(_executed(row.multiply_adds, _can_filter(spec, number)) for number, row in counts)


def _can_filter(spec: Spec, number: int) -> bool:
    """Whether squares of 2x2 outputs of a 5x5 convolution fill the layer (`is_minimal`)."""
    layer, (_, rows, columns) = spec.layers[number], spec.counts()[number].output_shape
    even = rows % 2 == columns % 2 == 0
    return layer.operation == "convolution" and layer.window == 5 and even


def _executed(multiply_adds: int, filtered: bool) -> int:
    return multiply_adds * FILTERED_SQUARE // PLAIN_SQUARE if filtered else multiply_adds


def weights(spec: Spec = SPEC) -> dict[str, NDArray[np.float32]]:
    return initial_weights(spec, RECIPE)


def native(threads: int, spec: Spec = SPEC) -> Engine:
    return NativeEngine(spec, RECIPE, weights(spec), threads=threads)


def checkpoint_of(engine: Engine) -> Checkpoint:
    """The network in `engine` with the pictures of Fashion-MNIST, as a training begins with it."""
    source = DataSource.of(data.load("fashion-mnist"))
    return Checkpoint(SPEC, RECIPE, source, engine.state(), Position())


def torch_module() -> Any:
    """The note's network as PyTorch has it; takes pixels in [0, 1]."""
    from lenet.engines.module import build_module

    return build_module(SPEC, weights())


def images_and_labels() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The real Fashion-MNIST's train split."""
    train = data.load("fashion-mnist").train
    return train.images, train.labels


def onnx_session(threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """ONNX Runtime on the network, its graph optimised as it does by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        onnx_model(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(None, {"images": images})[0]


def onnx_model() -> bytes:
    """The network over pixels in [0, 1], float32 (n, 1, 28, 28), as `lenet export` writes it."""
    engine = native(1)
    checkpoint = checkpoint_of(engine)
    trained = Trained(checkpoint, engine, data.load("fashion-mnist"))
    return build_model(trained, Options(input="float")).SerializeToString()
