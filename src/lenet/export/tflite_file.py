"""TensorFlow Lite, written with `flatbuffers` and `tflite` alone, judged by LiteRT.

The layout is that of the format: images (n, rows, columns, channels), and filters with their
channels last; the dense layer behind the maps has its inputs in that order too.  Pixels are scaled
in the file, the batch is dynamic, and what the file says of itself is in its metadata, a text by
name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet.engines.base import Weights
from lenet.export.base import Format, Images, Options, Reference, Trained
from lenet.export.description import describe
from lenet.export.needs import need
from lenet.export.rounding import float_reference
from lenet.export.tflite_graph import DYNAMIC, Graph, to_bytes
from lenet.network import Layer, Shape, Spec
from lenet.network.layers import FLAT, LEAKY_RELU_SLOPE, SCALED_TANH, RadialBasis
from lenet.network.preparation import MARGIN, shrinking

BATCH = 256
"""Images that LiteRT answers at once in the proof."""


def build_model(trained: Trained, options: Options) -> bytes:
    """The network as the bytes of a TensorFlow Lite file."""
    import tflite

    graph, spec = Graph(), trained.spec
    channels, rows, columns = spec.input_shape
    kind = tflite.TensorType.UINT8 if options.input == "uint8" else tflite.TensorType.FLOAT32
    images = graph.tensor("images", (DYNAMIC, rows, columns, channels), kind)
    last = _add_pixels(graph, trained, options, images)
    last = _add_layers(graph, trained, last)
    if options.probabilities:
        last = graph.node(
            "SOFTMAX", "probabilities", [last], [spec.classes], "SoftmaxOptions", Beta=1.0
        )
    else:
        graph.tensors[last] = replace(graph.tensors[last], name="logits")
    return to_bytes(graph, images, last, describe(trained, options), spec.name)


def _add_layers(graph: Graph, trained: Trained, last: int) -> int:
    spec, flat = trained.spec, False
    for layer, row in zip(spec.layers, spec.counts(), strict=True):
        if layer.operation in FLAT and not flat:
            last, flat = _flatten(graph, last, row.input_shape), True
        last = _LAYERS[layer.operation](graph, trained, layer, row.input_shape, last)
        last = _add_activation(graph, layer, _last_shape(row.output_shape, flat), last)
    return last


def _last_shape(shape: Shape, flat: bool) -> tuple[int, ...]:
    return (shape[0],) if flat else (*shape[1:], shape[0])


def _add_pixels(graph: Graph, trained: Trained, options: Options, last: int) -> int:
    spec, shape = trained.spec, _last_shape(trained.spec.input_shape, False)
    scale = spec.pixel_scale
    if options.input == "uint8":
        last = graph.node("CAST", "pixels", [last], shape)
    elif spec.preparation:
        white = graph.values("white", [255.0])
        last = graph.node("MUL", "pixels", [last, white], shape, "MulOptions")
    else:
        scale *= 255.0
    for step in spec.preparation:
        last = _PREPARATION[step](graph, spec, last)
    shape = _last_shape(spec.prepared_shape, False)
    if scale != 1.0:
        value = graph.values("pixel_scale", [scale])
        last = graph.node("MUL", "scaled", [last, value], shape, "MulOptions")
    if spec.pixel_shift:
        value = graph.values("pixel_shift", [spec.pixel_shift])
        last = graph.node("ADD", "shifted", [last, value], shape, "AddOptions")
    return last


def _add_frame(graph: Graph, spec: Spec, last: int) -> int:
    return _surround(graph, "frame", MARGIN, spec.input_shape, last)


def _add_shrinking(graph: Graph, spec: Spec, last: int) -> int:
    """See `onnx_file`: the same arithmetic."""
    channels, rows, columns = shape = spec.input_shape
    down, across = shrinking(rows)[None, None], shrinking(columns).T[None, None]

    def turn(name: str, axes: list[int], turned: Sequence[int], given: int) -> int:
        order = graph.whole(f"shrink.{name}.axes", axes)
        return graph.node("TRANSPOSE", f"shrink.{name}", [given, order], turned, "TransposeOptions")

    last = turn("first", [0, 3, 1, 2], shape, last)
    pair = [graph.values("shrink.down", down), last]
    last = graph.node("BATCH_MATMUL", "shrink.rows", pair, shape, "BatchMatMulOptions")
    pair = [last, graph.values("shrink.across", across)]
    last = graph.node("BATCH_MATMUL", "shrink.sums", pair, shape, "BatchMatMulOptions")
    half = graph.values("shrink.half", [50.5])
    last = graph.node("ADD", "shrink.halves", [last, half], shape, "AddOptions")
    hundred = graph.values("shrink.hundred", [100.0])
    last = graph.node("DIV", "shrink.means", [last, hundred], shape, "DivOptions")
    last = graph.node("FLOOR", "shrink", [last], shape)
    return turn("last", [0, 2, 3, 1], (rows, columns, channels), last)


_PREPARATION: dict[str, Callable[[Graph, Spec, int], int]] = {
    "frame": _add_frame,
    "shrink": _add_shrinking,
}


def _flatten(graph: Graph, last: int, shape: Shape) -> int:
    features = int(np.prod(shape))
    to = graph.whole("features.shape", [DYNAMIC, features])
    return graph.node("RESHAPE", "features", [last, to], [features], "ReshapeOptions")


def _add_activation(graph: Graph, layer: Layer, shape: Sequence[int], last: int) -> int:
    name = f"{layer.name}.{layer.activation}"
    if layer.activation == "identity":
        return last
    if layer.activation == "leaky_relu":
        return graph.node(
            "LEAKY_RELU", name, [last], shape, "LeakyReluOptions", Alpha=LEAKY_RELU_SLOPE
        )
    if layer.activation == "scaled_tanh":
        amplitude, slope = SCALED_TANH
        value = graph.values(f"{name}.slope", [slope])
        last = graph.node("MUL", f"{name}.in", [last, value], shape, "MulOptions")
        last = graph.node("TANH", f"{name}.tanh", [last], shape)
        value = graph.values(f"{name}.amplitude", [amplitude])
        return graph.node("MUL", name, [last, value], shape, "MulOptions")
    if layer.activation == "silu":
        share = graph.node("LOGISTIC", f"{name}.sigmoid", [last], shape)
        return graph.node("MUL", name, [last, share], shape, "MulOptions")
    kinds = {"relu": "RELU", "sigmoid": "LOGISTIC", "tanh": "TANH"}
    return graph.node(kinds[layer.activation], name, [last], shape)


def _convolution(graph: Graph, trained: Trained, layer: Layer, shape: Shape, last: int) -> int:
    import tflite

    if layer.padding:
        last = _pad(graph, layer, shape, last)
    kernels = trained.weights[f"{layer.name}.weight"].transpose(0, 2, 3, 1)
    return graph.node(
        "CONV_2D",
        layer.name,
        [
            last,
            graph.values(f"{layer.name}.weight", kernels),
            graph.values(f"{layer.name}.bias", trained.weights[f"{layer.name}.bias"]),
        ],
        _last_shape(layer.output_shape(shape), False),
        "Conv2DOptions",
        Padding=tflite.Padding.VALID,
        StrideW=1,
        StrideH=1,
        DilationWFactor=1,
        DilationHFactor=1,
    )


def _pad(graph: Graph, layer: Layer, shape: Shape, last: int) -> int:
    """Zeros around the maps; the format's own padding of a convolution has no number."""
    return _surround(graph, layer.name, layer.padding, shape, last)


def _surround(graph: Graph, name: str, width: int, shape: Shape, last: int) -> int:
    sides = graph.whole(f"{name}.padding", [[0, 0], [width] * 2, [width] * 2, [0, 0]])
    grown = (shape[1] + 2 * width, shape[2] + 2 * width, shape[0])
    return graph.node("PAD", f"{name}.padded", [last, sides], grown, "PadOptions")


def _pooling(graph: Graph, trained: Trained, layer: Layer, shape: Shape, last: int) -> int:
    kind = "AVERAGE_POOL_2D" if layer.operation == "average" else "MAX_POOL_2D"
    return _pool(graph, kind, layer.name, layer.window, shape, last)


def _pool(graph: Graph, kind: str, name: str, window: int, shape: Shape, last: int) -> int:
    import tflite

    return graph.node(
        kind,
        name,
        [last],
        (shape[1] // window, shape[2] // window, shape[0]),
        "Pool2DOptions",
        Padding=tflite.Padding.VALID,
        StrideW=window,
        StrideH=window,
        FilterWidth=window,
        FilterHeight=window,
    )


def _subsampling(graph: Graph, trained: Trained, layer: Layer, shape: Shape, last: int) -> int:
    """The mean times the number of pixels, a power of two where squares are of 2x2."""
    name, after = layer.name, _last_shape(layer.output_shape(shape), False)
    last = _pool(graph, "AVERAGE_POOL_2D", f"{name}.means", layer.window, shape, last)
    if layer.outputs > 1:
        maps = graph.whole(f"{name}.maps", np.repeat(np.arange(shape[0]), layer.outputs))
        last = graph.node("GATHER", f"{name}.copies", [last, maps], after, "GatherOptions", Axis=3)
    pixels = graph.values(f"{name}.pixels", [layer.window**2])
    last = graph.node("MUL", f"{name}.sums", [last, pixels], after, "MulOptions")
    factor, bias = (
        graph.values(f"{name}.{part}", trained.weights[f"{name}.{part}"])
        for part in ("weight", "bias")
    )
    last = graph.node("MUL", f"{name}.products", [last, factor], after, "MulOptions")
    return graph.node("ADD", name, [last, bias], after, "AddOptions")


def _distances(graph: Graph, trained: Trained, layer: Layer, shape: Shape, last: int) -> int:
    assert isinstance(layer, RadialBasis)
    name, centres = layer.name, _features_last(layer.centres(), shape)
    count, features = centres.shape
    one = graph.whole(f"{name}.one", [DYNAMIC, 1, features])
    last = graph.node("RESHAPE", f"{name}.each", [last, one], [1, features], "ReshapeOptions")
    apart = [last, graph.values(f"{name}.centres", centres)]
    last = graph.node(
        "SQUARED_DIFFERENCE", f"{name}.squares", apart, centres.shape, "SquaredDifferenceOptions"
    )
    axis = graph.whole(f"{name}.axis", [2])
    last = graph.node("SUM", f"{name}.sums", [last, axis], [count], "ReducerOptions")
    scale = graph.values(f"{name}.scale", [-layer.scale])
    return graph.node("MUL", name, [last, scale], [count], "MulOptions")


def _dense(graph: Graph, trained: Trained, layer: Layer, shape: Shape, last: int) -> int:
    matrix = trained.weights[f"{layer.name}.weight"]
    return graph.node(
        "FULLY_CONNECTED",
        layer.name,
        [
            last,
            graph.values(f"{layer.name}.weight", _features_last(matrix, shape)),
            graph.values(f"{layer.name}.bias", trained.weights[f"{layer.name}.bias"]),
        ],
        [layer.outputs],
        "FullyConnectedOptions",
    )


_LAYERS: dict[str, Callable[[Graph, Trained, Layer, Shape, int], int]] = {
    "convolution": _convolution,
    "dense": _dense,
    "average": _pooling,
    "max": _pooling,
    "subsampling": _subsampling,
    "radial_basis": _distances,
}


def _features_last(matrix: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """(units, inputs), with the inputs of maps of that shape in the order of the format."""
    return matrix.reshape(-1, *shape).transpose(0, 2, 3, 1).reshape(matrix.shape)


def _need() -> None:
    packages = {"flatbuffers": "flatbuffers", "tflite": "tflite", "ai_edge_litert": "LiteRT"}
    need("export to TFLite", "tflite", packages)


def _write(trained: Trained, options: Options, path: Path) -> None:
    path.write_bytes(build_model(trained, options))


def _answer(trained: Trained, options: Options, path: Path, images: Images) -> NDArray[Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes())
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for start in range(0, len(images), BATCH):
        part = given_as(options, images[start : start + BATCH])
        interpreter.resize_tensor_input(given["index"], part.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], part)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(answer["index"]))
    return np.concatenate(answers)


def _stored(trained: Trained, path: Path) -> Weights:
    """Its arrays by name, channels first again."""
    import tflite

    read = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph, found = read.Subgraphs(0), {}
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        content = read.Buffers(tensor.Buffer())
        if tensor.Type() == tflite.TensorType.FLOAT32 and content.DataLength():
            array = content.DataAsNumpy().view("<f4").reshape(tensor.ShapeAsNumpy())
            found[tensor.Name().decode()] = array
    return {
        name: np.ascontiguousarray(_channels_first(trained, name, array))
        for name, array in found.items()
    }


def _channels_first(trained: Trained, name: str, array: NDArray[Any]) -> NDArray[Any]:
    layer, _, part = name.partition(".")
    shape = {row.name: row.input_shape for row in trained.spec.counts()}.get(layer)
    if part != "weight" or shape is None or array.ndim == 1:
        return array
    if array.ndim == 4:
        return array.transpose(0, 3, 1, 2)
    last = array.reshape(-1, *_last_shape(shape, False))
    return last.transpose(0, 3, 1, 2).reshape(array.shape)


def given_as(options: Options, images: Images) -> NDArray[Any]:
    """Images as a file with these options takes them: channels last."""
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return last if options.input == "uint8" else last.astype(np.float32) / np.float32(255)


def _reference(trained: Trained, options: Options) -> Reference:
    return float_reference(trained.spec, trained.weights, probabilities=options.probabilities)


FORMAT = Format(
    title="TensorFlow Lite: LiteRT on phones and small computers",
    file_name="{model}.tflite",
    takes=frozenset({"input", "probabilities", "licence"}),
    write=_write,
    answer=_answer,
    reference=_reference,
    stored=_stored,
    need=_need,
    judge=lambda: f"LiteRT {metadata.version('ai-edge-litert')}",
)
