"""`infer` of the Open Inference Protocol: tensors in, tensors out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from lenet.engines.base import Engine
from lenet.prediction.metrics import log_probabilities, probabilities_of_few
from lenet.serve.answers import JSON, Answer, Refusal, Seen, to_json
from lenet.serve.limits import Limits
from lenet.serve.models import FEW, Served
from lenet.serve.tensors import (
    DATATYPES,
    Pixels,
    check_shape,
    from_bytes,
    from_json,
    texts_to_bytes,
)

INPUT = "images"
"""The one input of every network."""

PLATFORM = "lenet"

HEAD_LENGTH = b"inference-header-content-length"
"""Of the JSON that stands before binary tensors."""

BINARY = b"application/octet-stream"

OUTPUTS = {
    "logits": "FP32",
    "probabilities": "FP32",
    "labels": "INT64",
    "classes": "BYTES",
}
"""Name -> data type: (n, classes) the first two, (n,) the likeliest class by number and by name."""

_OF_CLASSES = ("logits", "probabilities")


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read: its images, and for each output that is wanted whether it is in bytes."""

    images: Pixels
    outputs: tuple[tuple[str, bool], ...]
    id: str | None = None


def metadata(versions: list[Served]) -> dict[str, Any]:
    """Of a network, as the protocol has it."""
    newest = versions[-1]
    classes = len(newest.class_names)
    return {
        "name": newest.name,
        "versions": [each.version for each in versions],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *newest.shape]}],
        "outputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": [-1, classes] if name in _OF_CLASSES else [-1],
            }
            for name, datatype in OUTPUTS.items()
        ],
    }


def read_question(
    body: bytes, head_length: bytes | None, shape: tuple[int, ...], limits: Limits
) -> Question:
    """The body of a request to a network of that input `shape`.

    `head_length` is the value of the header of that name, if there is one: so many bytes are JSON,
    the rest is binary; with 0 all of it is one tensor of UINT8.

    Raises:
        Refusal: 400 if it is not in the form of the protocol, 413 if it is too much, 422 if it is
            not for this network.
    """
    if head_length is None:
        length = len(body)
    elif head_length.isdigit() and len(head_length) < 16:
        length = int(head_length)
    else:
        raise Refusal(400, "Inference-Header-Content-Length is a number of bytes")
    if length > len(body):
        raise Refusal(
            400, f"Inference-Header-Content-Length is {length:,}, and the body has {len(body):,}"
        )
    if head_length is not None and length == 0:
        return _raw(body, shape, limits)
    found = parse_json(body if length == len(body) else body[:length], limits)
    return _question(found, memoryview(body)[length:], shape, limits)


def parse_json(content: bytes, limits: Limits) -> dict[str, Any]:
    """An object.

    Raises:
        Refusal: 400 if it is none (nested deeper than 1,024 levels included), 413 if it is long.
    """
    if len(content) > limits.json_bytes:
        raise Refusal(
            413,
            f"{len(content):,} bytes of JSON are too many, {limits.json_bytes:,} are allowed; "
            "send binary tensors",
        )
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refusal(400, "the body is a JSON object")
    return found


def answer(served: Served, engine: Engine, question: Question) -> Answer:
    """The answer of `engine`, which is one of `served`."""
    logits = engine.logits(engine.place(question.images))
    probabilities, labels, best = likeliest(logits)
    values: dict[str, Any] = {"logits": logits, "probabilities": probabilities, "labels": labels}
    if any(name == "classes" for name, _ in question.outputs):
        values["classes"] = [served.class_names[label] for label in labels]
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, in_bytes in question.outputs:
        shape = logits.shape if name in _OF_CLASSES else logits.shape[:1]
        described: dict[str, Any] = {"name": name, "datatype": OUTPUTS[name], "shape": shape}
        if in_bytes:
            content = _to_bytes(name, values[name])
            described["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            described["data"] = values[name].ravel() if name in _OF_CLASSES else values[name]
        outputs.append(described)
    said: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if question.id is not None:
        said["id"] = question.id
    said["outputs"] = outputs
    head, seen = to_json(said), Seen(served.name, served.version, labels, best)
    if not binary:
        return Answer(200, head, JSON, seen=seen)
    length = str(len(head)).encode()
    return Answer(200, b"".join([head, *binary]), BINARY, ((HEAD_LENGTH, length),), seen)


def _to_bytes(name: str, values: Any) -> bytes:
    """An output as binary tensor data."""
    if name == "classes":
        return texts_to_bytes(values)
    return np.asarray(values, "<i8" if name == "labels" else "<f4").tobytes()


def likeliest(
    logits: NDArray[np.float32],
) -> tuple[NDArray[np.float32], list[int], list[float]]:
    """Probabilities float32 (n, classes), and of each image the likeliest class with its own."""
    if len(logits) <= FEW:
        rows = probabilities_of_few(logits.tolist())
        best = [max(row) for row in rows]
        labels = [row.index(value) for row, value in zip(rows, best, strict=True)]
        return np.array(rows, np.float32), labels, best
    found = np.exp(log_probabilities(logits))
    return found.astype(np.float32), logits.argmax(axis=1).tolist(), found.max(axis=1).tolist()


def _raw(body: bytes, shape: tuple[int, ...], limits: Limits) -> Question:
    """Nothing but the pixels of one or more images; all outputs, as JSON."""
    size = math.prod(shape)
    count, rest = divmod(len(body), size)
    if rest or not count:
        raise Refusal(400, f"{len(body):,} bytes are no images of {list(shape)}, {size:,} bytes")
    check_shape([count, *shape], shape, limits.images, INPUT)
    images = from_bytes(memoryview(body), "UINT8", (count, *shape), INPUT)
    return Question(images, tuple((name, False) for name in OUTPUTS))


def _question(
    found: dict[str, Any], binary: memoryview, shape: tuple[int, ...], limits: Limits
) -> Question:
    identity = found.get("id")
    if "id" in found and not isinstance(identity, str):
        raise Refusal(400, "id is a string")
    parameters = _parameters(found, "the request")
    in_bytes = _flag(parameters, "binary_data_output", "the request")
    given = found.get("inputs")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise Refusal(400, f"inputs is a list with one object: the tensor {INPUT}")
    outputs = _outputs(found.get("outputs", []), in_bytes)
    return Question(_images(given[0], binary, shape, limits), outputs, identity)


def _images(
    given: dict[str, Any], binary: memoryview, shape: tuple[int, ...], limits: Limits
) -> Pixels:
    if given.get("name") != INPUT:
        raise Refusal(400, f"this network has one input, {INPUT}, and none of another name")
    datatype = given.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Refusal(400, f"{INPUT}: its datatype is one of {', '.join(DATATYPES)}")
    count = check_shape(given.get("shape"), shape, limits.images, INPUT)
    size = _parameters(given, INPUT).get("binary_data_size")
    if size is None:
        if len(binary):
            raise Refusal(400, f"{len(binary):,} bytes follow the JSON that belong to no input")
        if datatype == "FP16":
            raise Refusal(400, f"{INPUT}: FP16 has no form in JSON; send it as binary data")
        return from_json(given.get("data"), datatype, (count, *shape), INPUT)
    if "data" in given:
        raise Refusal(400, f"{INPUT}: its data is in JSON or binary, and not both")
    if type(size) is not int or size != len(binary):
        raise Refusal(
            400, f"{INPUT}: binary_data_size is not the {len(binary):,} bytes after the JSON"
        )
    return from_bytes(binary, datatype, (count, *shape), INPUT)


def _outputs(wanted: Any, in_bytes: bool) -> tuple[tuple[str, bool], ...]:
    """All outputs, if none is named."""
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise Refusal(400, "outputs is a list of objects")
    if len(wanted) > len(OUTPUTS):
        raise Refusal(400, f"there are {len(OUTPUTS)} outputs; each can be asked for once")
    chosen = {}
    for each in wanted:
        name = each.get("name")
        if not isinstance(name, str) or name not in OUTPUTS or name in chosen:
            raise Refusal(400, f"outputs are {', '.join(OUTPUTS)}, each once")
        parameters = _parameters(each, name)
        unknown = sorted(set(parameters) - {"binary_data"})
        if unknown:
            raise Refusal(400, f"{name}: the parameter {unknown[0][:60]} is not known here")
        chosen[name] = _flag(parameters, "binary_data", name, in_bytes)
    return tuple(chosen.items()) or tuple((name, in_bytes) for name in OUTPUTS)


def _parameters(found: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = found.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refusal(400, f"{place}: parameters is an object")
    return parameters


def _flag(parameters: dict[str, Any], name: str, place: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise Refusal(400, f"{place}: {name} is true or false")
    return value
