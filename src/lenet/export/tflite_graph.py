"""A graph of TensorFlow Lite, and its bytes: tensors and operators as a flatbuffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SCHEMA = 3
"""The version of the format's schema that all of its readers know."""

ALIGNMENT = 16
"""Bytes; readers use the arrays where they lie."""

DYNAMIC = -1
"""The size of a batch, which each call says."""

Table = Callable[[Any], int]
"""Writes the options of an operator into a builder; its place there."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    content: bytes


@dataclass(frozen=True, slots=True)
class _Operator:
    code: int
    inputs: list[int]
    output: int
    options_kind: int
    options: Table | None


class Graph:
    """Tensors and operators, in the order that they are added; a tensor is known by its number."""

    def __init__(self) -> None:
        self.tensors: list[_Tensor] = []
        self.operators: list[_Operator] = []

    def tensor(self, name: str, shape: Sequence[int], kind: int, content: bytes = b"") -> int:
        self.tensors.append(_Tensor(name, tuple(shape), kind, content))
        return len(self.tensors) - 1

    def values(self, name: str, array: Any) -> int:
        """A constant float32 array."""
        import tflite

        array = np.ascontiguousarray(array, "<f4")
        return self.tensor(name, array.shape, tflite.TensorType.FLOAT32, array.tobytes())

    def whole(self, name: str, numbers: Any) -> int:
        """A constant array of whole numbers, as shapes, axes and sides are."""
        import tflite

        array = np.asarray(numbers, "<i4")
        return self.tensor(name, array.shape, tflite.TensorType.INT32, array.tobytes())

    def node(
        self,
        kind: str,
        name: str,
        inputs: list[int],
        shape: Sequence[int],
        options: str = "",
        **fields: Any,
    ) -> int:
        """One operator; `shape` is that of its output, and `fields` those of its `options`."""
        import tflite

        output = self.tensor(name, (DYNAMIC, *shape), tflite.TensorType.FLOAT32)
        code = getattr(tflite.BuiltinOperator, kind)
        number = getattr(tflite.BuiltinOptions, options) if options else 0
        table = _table(options, fields) if options else None
        self.operators.append(_Operator(code, inputs, output, number, table))
        return output


def _table(kind: str, fields: dict[str, Any]) -> Table:
    import tflite

    def write(builder: Any) -> int:
        getattr(tflite, f"{kind}Start")(builder)
        for field, value in fields.items():
            getattr(tflite, f"{kind}Add{field}")(builder, value)
        place: int = getattr(tflite, f"{kind}End")(builder)
        return place

    return write


def to_bytes(graph: Graph, given: int, answer: int, facts: dict[str, str], name: str) -> bytes:
    """The graph as a flatbuffer, from its leaves up."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 16)
    contents = [b"", *(tensor.content for tensor in graph.tensors if tensor.content)]
    first_fact = len(contents)
    contents += [text.encode() for text in facts.values()]
    buffers = [_write_buffer(builder, content) for content in contents]
    codes = sorted({operator.code for operator in graph.operators})
    operators = [_write_operator(builder, each, codes) for each in graph.operators]
    tensors, number = [], 0
    for tensor in graph.tensors:
        number += bool(tensor.content)
        tensors.append(_write_tensor(builder, tensor, number if tensor.content else 0))
    parts = {
        "Name": builder.CreateString(name),
        "Operators": _offsets(builder, operators),
        "Outputs": _numbers(builder, [answer]),
        "Inputs": _numbers(builder, [given]),
        "Tensors": _offsets(builder, tensors),
    }
    subgraph = _table("SubGraph", parts)(builder)
    entries = [
        _table("Metadata", {"Name": builder.CreateString(key), "Buffer": first_fact + index})(
            builder
        )
        for index, key in enumerate(facts)
    ]
    model = {
        "Version": SCHEMA,
        "OperatorCodes": _offsets(builder, [_write_code(builder, code) for code in codes]),
        "Subgraphs": _offsets(builder, [subgraph]),
        "Description": builder.CreateString(f"{name}, exported by lenet"),
        "Buffers": _offsets(builder, buffers),
        "Metadata": _offsets(builder, entries),
    }
    builder.Finish(_table("Model", model)(builder), b"TFL3")
    return bytes(builder.Output())


def _write_buffer(builder: Any, content: bytes) -> int:
    if not content:
        return _table("Buffer", {})(builder)
    builder.StartVector(1, len(content), ALIGNMENT)
    builder.head -= len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    return _table("Buffer", {"Data": builder.EndVector()})(builder)


def _write_tensor(builder: Any, tensor: _Tensor, buffer: int) -> int:
    fields = {
        "Name": builder.CreateString(tensor.name),
        "Shape": _numbers(builder, [abs(size) for size in tensor.shape]),
        "Type": tensor.kind,
        "Buffer": buffer,
    }
    if DYNAMIC in tensor.shape[:1]:
        fields["ShapeSignature"] = _numbers(builder, tensor.shape)
    return _table("Tensor", fields)(builder)


def _write_operator(builder: Any, operator: _Operator, codes: list[int]) -> int:
    fields: dict[str, Any] = {
        "OpcodeIndex": codes.index(operator.code),
        "Inputs": _numbers(builder, operator.inputs),
        "Outputs": _numbers(builder, [operator.output]),
    }
    if operator.options is not None:
        fields["BuiltinOptions"] = operator.options(builder)
        fields["BuiltinOptionsType"] = operator.options_kind
    return _table("Operator", fields)(builder)


def _write_code(builder: Any, code: int) -> int:
    fields = {"DeprecatedBuiltinCode": code, "BuiltinCode": code, "Version": 1}
    return _table("OperatorCode", fields)(builder)


def _numbers(builder: Any, values: Sequence[int]) -> int:
    place: int = builder.CreateNumpyVector(np.array(values, "<i4"))
    return place


def _offsets(builder: Any, places: Sequence[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    vector: int = builder.EndVector()
    return vector
