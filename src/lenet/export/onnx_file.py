"""ONNX: one graph over pixels, written with the `onnx` package alone, judged by ONNX Runtime.

Opset 13 and IR version 7 are read by every runtime that was tried; the scaling of pixels is in the
graph, so that no preparation stays behind; there is one output, since OpenCV's plain `forward()`
gives any one of several; the batch is dynamic; nothing is kept in a second file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.errors import UsageError
from lenet.export.base import Format, Images, Options, Reference, Trained
from lenet.export.description import describe
from lenet.export.needs import need
from lenet.export.rounding import float_reference
from lenet.network import Layer, Spec
from lenet.network.layers import LEAKY_RELU_SLOPE, SCALED_TANH
from lenet.system.version import VERSION

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 13, 7

BATCH = 256
"""Images that ONNX Runtime answers at once in the proof."""

INPUT = "images"


class _Graph:
    """Nodes and initial values, in the order that they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initial: list[Any] = []

    def value(self, name: str, array: Any) -> str:
        """A constant float32 array; its name."""
        from onnx import numpy_helper

        self.initial.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(self, kind: str, output: str, *inputs: str, **attributes: Any) -> str:
        """One operation; the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output


def build_model(trained: Trained, options: Options) -> ModelProto:
    """The network as an ONNX model, checked in full."""
    from onnx import TensorProto, checker, helper

    spec, graph = trained.spec, _Graph()
    last = _add_layers(graph, trained, _add_pixels(graph, spec, options))
    output = "probabilities" if options.probabilities else "logits"
    if options.probabilities:
        graph.node("Softmax", output, last, axis=1)
    else:
        graph.nodes[-1].output[0] = graph.nodes[-1].name = output
    kind = TensorProto.UINT8 if options.input == "uint8" else TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            spec.name,
            [helper.make_tensor_value_info(INPUT, kind, ["n", *spec.input_shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", spec.classes])],
            graph.initial,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lenet",
        producer_version=VERSION,
    )
    helper.set_model_props(model, describe(trained, options))
    checker.check_model(model, full_check=True)
    return model


def _add_pixels(graph: _Graph, spec: Spec, options: Options) -> str:
    """The input, scaled as the network reads it."""
    last, scale = INPUT, spec.pixel_scale
    if options.input == "uint8":
        last = graph.node("Cast", "pixels", last, to=1)
    else:
        scale *= 255.0
    if scale != 1.0:
        last = graph.node("Mul", "scaled", last, graph.value("pixel_scale", [scale]))
    if spec.pixel_shift:
        last = graph.node("Add", "shifted", last, graph.value("pixel_shift", [spec.pixel_shift]))
    return last


def _add_layers(graph: _Graph, trained: Trained, last: str) -> str:
    flat = False
    for layer in trained.spec.layers:
        if layer.operation not in _LAYERS:
            raise UsageError(f"layer {layer.name}: ONNX export knows no {layer.operation!r}")
        if layer.operation == "dense" and not flat:
            last, flat = graph.node("Flatten", "features", last, axis=1), True
        kind, attributes = _LAYERS[layer.operation](layer)
        parts = _parts(graph, trained, layer)
        last = graph.node(kind, layer.name, last, *parts, **attributes)
        last = _add_activation(graph, layer, last)
    return last


def _parts(graph: _Graph, trained: Trained, layer: Layer) -> Iterator[str]:
    for part in ("weight", "bias"):
        name = f"{layer.name}.{part}"
        if name in trained.weights:
            yield graph.value(name, trained.weights[name])


def _add_activation(graph: _Graph, layer: Layer, last: str) -> str:
    name = f"{layer.name}.{layer.activation}"
    if layer.activation == "identity":
        return last
    if layer.activation == "leaky_relu":
        return graph.node("LeakyRelu", name, last, alpha=LEAKY_RELU_SLOPE)
    if layer.activation == "scaled_tanh":
        amplitude, slope = SCALED_TANH
        last = graph.node("Mul", f"{name}.in", last, graph.value(f"{name}.slope", [slope]))
        last = graph.node("Tanh", f"{name}.tanh", last)
        return graph.node("Mul", name, last, graph.value(f"{name}.amplitude", [amplitude]))
    if layer.activation == "silu":
        share = graph.node("Sigmoid", f"{name}.sigmoid", last)
        return graph.node("Mul", name, last, share)
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
    return graph.node(kinds[layer.activation], name, last)


def _convolution(layer: Layer) -> tuple[str, dict[str, Any]]:
    window = [layer.window] * 2
    return "Conv", {"kernel_shape": window, "pads": [layer.padding] * 4}


def _dense(layer: Layer) -> tuple[str, dict[str, Any]]:
    return "Gemm", {"transB": 1}


def _average(layer: Layer) -> tuple[str, dict[str, Any]]:
    return "AveragePool", {"kernel_shape": [layer.window] * 2, "strides": [layer.window] * 2}


def _max(layer: Layer) -> tuple[str, dict[str, Any]]:
    return "MaxPool", {"kernel_shape": [layer.window] * 2, "strides": [layer.window] * 2}


_LAYERS: dict[str, Callable[[Layer], tuple[str, dict[str, Any]]]] = {
    "convolution": _convolution,
    "dense": _dense,
    "average": _average,
    "max": _max,
}


def _need() -> None:
    need("export to ONNX", "onnx", {"onnx": "onnx", "onnxruntime": "ONNX Runtime"})


def _write(trained: Trained, options: Options, path: Path) -> None:
    path.write_bytes(build_model(trained, options).SerializeToString(deterministic=True))


def _answer(trained: Trained, options: Options, path: Path, images: Images) -> NDArray[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    answers = []
    for start in range(0, len(images), BATCH):
        given = given_as(options, images[start : start + BATCH])
        answers.append(session.run(None, {INPUT: given})[0])
    return np.concatenate(answers)


def _stored(trained: Trained, path: Path) -> Weights:
    import onnx

    values = onnx.load(path, load_external_data=False).graph.initializer
    return {value.name: onnx.numpy_helper.to_array(value) for value in values}


def given_as(options: Options, images: Images) -> NDArray[Any]:
    """Images as a file with these options takes them."""
    return images if options.input == "uint8" else images.astype(np.float32) / np.float32(255)


def _reference(trained: Trained, options: Options) -> Reference:
    return float_reference(trained.spec, trained.weights, probabilities=options.probabilities)


FORMAT = Format(
    title="ONNX: ONNX Runtime in Python, JavaScript, C++; OpenCV; OpenVINO",
    file_name="{model}.onnx",
    takes=frozenset({"input", "probabilities", "licence"}),
    write=_write,
    answer=_answer,
    reference=_reference,
    stored=_stored,
    need=_need,
    judge=lambda: f"ONNX Runtime {metadata.version('onnxruntime')}",
)
