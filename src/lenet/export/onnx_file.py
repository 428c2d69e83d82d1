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
from lenet.export.base import Format, Images, Options, Reference, Trained
from lenet.export.description import describe
from lenet.export.needs import need
from lenet.export.rounding import float_reference
from lenet.network import Layer, Spec
from lenet.network.layers import FLAT, LEAKY_RELU_SLOPE, SCALED_TANH, RadialBasis
from lenet.network.preparation import MARGIN, shrinking
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

    def value(self, name: str, array: Any, kind: type[np.generic] = np.float32) -> str:
        """A constant array, float32 where nothing else is said; its name."""
        from onnx import numpy_helper

        self.initial.append(numpy_helper.from_array(np.asarray(array, kind), name))
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
    """The input, prepared and scaled as the network reads it."""
    last, scale = INPUT, spec.pixel_scale
    if options.input == "uint8":
        last = graph.node("Cast", "pixels", last, to=1)
    elif spec.preparation:
        last = graph.node("Mul", "pixels", last, graph.value("white", [255.0]))
    else:
        scale *= 255.0
    for step in spec.preparation:
        last = _PREPARATION[step](graph, spec, last)
    if scale != 1.0:
        last = graph.node("Mul", "scaled", last, graph.value("pixel_scale", [scale]))
    if spec.pixel_shift:
        last = graph.node("Add", "shifted", last, graph.value("pixel_shift", [spec.pixel_shift]))
    return last


def _add_frame(graph: _Graph, spec: Spec, last: str) -> str:
    sides = graph.value("frame.sides", [0, 0, MARGIN, MARGIN] * 2, np.int64)
    return graph.node("Pad", "frame", last, sides)


def _add_shrinking(graph: _Graph, spec: Spec, last: str) -> str:
    """Sums of whole numbers in hundredths, which are exact, to the nearest whole one.

    With a half more than the rounding needs no quotient comes near a whole number: how a runtime
    divides does not matter.
    """
    down, across = (shrinking(side) for side in spec.input_shape[1:])
    last = graph.node("MatMul", "shrink.rows", graph.value("shrink.down", down), last)
    last = graph.node("MatMul", "shrink.sums", last, graph.value("shrink.across", across.T))
    last = graph.node("Add", "shrink.halves", last, graph.value("shrink.half", [50.5]))
    last = graph.node("Div", "shrink.means", last, graph.value("shrink.hundred", [100.0]))
    return graph.node("Floor", "shrink", last)


_PREPARATION: dict[str, Callable[[_Graph, Spec, str], str]] = {
    "frame": _add_frame,
    "shrink": _add_shrinking,
}


def _add_layers(graph: _Graph, trained: Trained, last: str) -> str:
    flat = False
    for layer in trained.spec.layers:
        if layer.operation in FLAT and not flat:
            last, flat = graph.node("Flatten", "features", last, axis=1), True
        if layer.operation in _LAYERS:
            kind, attributes = _LAYERS[layer.operation](layer)
            parts = _parts(graph, trained, layer)
            last = graph.node(kind, layer.name, last, *parts, **attributes)
        else:
            last = _LAYERS_OF_1998[layer.operation](graph, trained, layer, last)
        last = _add_activation(graph, layer, last)
    return last


def _add_subsampling(graph: _Graph, trained: Trained, layer: Layer, last: str) -> str:
    """The mean times the number of pixels, a power of two where squares are of 2x2."""
    name, (factor, bias) = layer.name, _parts(graph, trained, layer)
    axes = graph.value(f"{name}.axes", [0, 2, 3], np.int64)
    kind, attributes = _average(layer)
    last = graph.node(kind, f"{name}.means", last, **attributes)
    if layer.outputs > 1:
        maps = len(trained.weights[bias]) // layer.outputs
        copied = graph.value(f"{name}.maps", np.repeat(np.arange(maps), layer.outputs), np.int64)
        last = graph.node("Gather", f"{name}.copies", last, copied, axis=1)
    last = graph.node("Mul", f"{name}.sums", last, graph.value(f"{name}.pixels", layer.window**2))
    factor = graph.node("Unsqueeze", f"{name}.factors", factor, axes)
    last = graph.node("Mul", f"{name}.products", last, factor)
    return graph.node("Add", name, last, graph.node("Unsqueeze", f"{name}.biases", bias, axes))


def _add_distances(graph: _Graph, trained: Trained, layer: Layer, last: str) -> str:
    assert isinstance(layer, RadialBasis)
    name, axis = layer.name, graph.value(f"{layer.name}.axis", [1], np.int64)
    last = graph.node("Unsqueeze", f"{name}.each", last, axis)
    last = graph.node("Sub", f"{name}.apart", last, graph.value(f"{name}.centres", layer.centres()))
    last = graph.node("Mul", f"{name}.squares", last, last)
    pixels = graph.value(f"{name}.pixels", [2], np.int64)
    last = graph.node("ReduceSum", f"{name}.sums", last, pixels, keepdims=0)
    return graph.node("Mul", name, last, graph.value(f"{name}.scale", -layer.scale))


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

_LAYERS_OF_1998: dict[str, Callable[[_Graph, Trained, Layer, str], str]] = {
    "subsampling": _add_subsampling,
    "radial_basis": _add_distances,
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
