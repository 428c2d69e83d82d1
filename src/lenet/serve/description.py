"""`/openapi.json`: what can be asked here, with every status that may come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lenet.serve.inference import INPUT, OUTPUTS
from lenet.serve.models import Served
from lenet.system.version import VERSION

Schema = dict[str, Any]

REASONS = {
    400: "The request is not in the form of the protocol.",
    401: "The token is missing or wrong.",
    404: "There is no such network or version.",
    405: "The path does not know this method.",
    408: "The request did not arrive in time.",
    413: "Too many bytes, images or files.",
    415: "Not a type, an encoding or a picture's format that is taken.",
    421: "The Host is not one of this service.",
    422: "It can be read, but not be answered: shape, numbers, picture, query.",
    429: "Too much is waiting; come again after Retry-After seconds.",
    431: "The headers are too long.",
    503: "About to end, or no answer in time; come again after Retry-After seconds.",
}
"""Of each status that is no success; a connection may also see 400, 408, 431 and 503 before its
request is known."""

ALWAYS = (400, 401, 405, 408, 421, 431, 503)
OF_NETWORKS = (404,)
OF_QUERIES = 422
OF_BODIES = (413, 415, 422, 429)

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
FILE: Schema = {"type": "string", "format": "binary"}
NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}


def describe(networks: Sequence[Served], *, with_token: bool) -> Schema:
    """The description in OpenAPI 3.1, with the shapes of the networks in service.

    A request of `infer` is described with one image, for which a schema can say how many numbers
    there are; the protocol's text says the rest.
    """
    paths: Schema = {
        "/": _front(),
        "/v2": _get(
            "Server metadata.", _json(_object(name=TEXT, version=TEXT, extensions=_list(TEXT)))
        ),
        "/v2/health/live": _get("Server live.", _json(_object(live={"const": True})), free=True),
        "/v2/health/ready": _get(
            "Server ready.", _json(_object(live={"const": True}, ready={"const": True})), free=True
        ),
        "/metrics": _get("For Prometheus.", {"text/plain": {"schema": TEXT}}),
        "/openapi.json": _get("This description.", _json({"type": "object"})),
    }
    for each in networks:
        for place in (f"/v2/models/{each.name}", f"/v2/models/{each.name}/versions/{each.version}"):
            paths |= _of_network(place, each)
    described: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "lenet serve",
            "version": VERSION,
            "description": "The Open Inference Protocol with binary tensor data, and pictures.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _object(error=TEXT)}},
    }
    if with_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _front() -> Schema:
    found = _get(
        "The networks as a page: drawn for, watched, trained.",
        {"text/html": {"schema": TEXT}},
        (*OF_NETWORKS, 429),
    )
    chosen: Schema = {"name": "networks", "in": "query", "schema": TEXT}
    found["get"]["parameters"] = [chosen]
    return found


def _of_network(place: str, served: Served) -> Schema:
    return {
        place: _get("Model metadata.", _json(_metadata()), OF_NETWORKS),
        f"{place}/ready": _get(
            "Model ready.", _json(_object(name=TEXT, ready={"const": True})), OF_NETWORKS
        ),
        f"{place}/infer": {
            "post": {
                "summary": "Inference on tensors.",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _question(served)}},
                },
                "responses": _responses(
                    {**_json(_tensors()), "application/octet-stream": {"schema": FILE}},
                    (*OF_NETWORKS, *OF_BODIES),
                ),
            }
        },
        f"{place}/predict": {
            "post": {
                "summary": "Prediction on pictures, prepared as the training's were.",
                "parameters": _query(len(served.class_names)),
                "requestBody": {"required": True, "content": _pictures()},
                "responses": _responses(_json(_predictions()), (*OF_NETWORKS, *OF_BODIES)),
            }
        },
    }


def _get(
    summary: str, content: Schema, statuses: Sequence[int] = (), *, free: bool = False
) -> Schema:
    if not free:
        statuses = (*statuses, OF_QUERIES)
    found: Schema = {"summary": summary, "responses": _responses(content, statuses)}
    if free:
        found["security"] = []
    return {"get": found}


def _responses(content: Schema, statuses: Sequence[int]) -> Schema:
    error = _json({"$ref": "#/components/schemas/Error"})
    refused: Schema = {
        str(status): {"description": REASONS[status], "content": error}
        for status in sorted({*ALWAYS, *statuses})
    }
    return {"200": {"description": "The answer.", "content": content}, **refused}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _metadata() -> Schema:
    tensor = _object(name=TEXT, datatype=TEXT, shape=_list(WHOLE))
    return _object(
        name=TEXT, versions=_list(TEXT), platform=TEXT, inputs=_list(tensor), outputs=_list(tensor)
    )


def _question(served: Served) -> Schema:
    size = math.prod(served.shape)
    level: Schema = {"type": "integer", "minimum": 0, "maximum": 255}
    images = _object(
        name={"const": INPUT},
        shape={"const": [1, *served.shape]},
        datatype={"const": "UINT8"},
        data={"type": "array", "items": level, "minItems": size, "maxItems": size},
    )
    output = _object(name={"enum": list(OUTPUTS)})
    # Parameters of a request may be anybody's; those of an output are ours.
    output["properties"]["parameters"] = {**_flag("binary_data"), "additionalProperties": False}
    question = _object(inputs={"type": "array", "items": images, "minItems": 1, "maxItems": 1})
    question["properties"] |= {
        "id": TEXT,
        "parameters": _flag("binary_data_output"),
        "outputs": {"type": "array", "items": output, "maxItems": 1},
    }
    return question


def _flag(name: str) -> Schema:
    return {"type": "object", "properties": {name: {"type": "boolean"}}}


def _tensors() -> Schema:
    output = _object(name=TEXT, datatype=TEXT, shape=_list(WHOLE))
    output["properties"] |= {"data": {"type": "array"}, "parameters": {"type": "object"}}
    found = _object(model_name=TEXT, model_version=TEXT, outputs=_list(output))
    found["properties"]["id"] = TEXT
    return found


def _query(classes: int) -> list[Schema]:
    top = {"type": "integer", "minimum": 1, "maximum": classes, "default": 1}
    switch = {"type": "integer", "enum": [0, 1]}
    return [
        {"name": "top", "in": "query", "schema": top},
        {"name": "explain", "in": "query", "schema": switch},
        {"name": "each", "in": "query", "schema": switch},
    ]


def _pictures() -> Schema:
    several = {"type": "array", "items": FILE, "minItems": 1}
    return {
        "image/*": {"schema": FILE},
        "application/octet-stream": {"schema": FILE},
        "multipart/form-data": {"schema": _object(file=several)},
    }


def _predictions() -> Schema:
    ranked = {"class": TEXT, "probability": {"type": "number"}}
    layer = _object(name=TEXT, shape=_list(WHOLE), values=NUMBERS)
    explanation = _object(
        image={"type": "array"},
        layers=_list(layer),
        logits=NUMBERS,
        probabilities=NUMBERS,
        occlusion=_list(NUMBERS),
    )
    several = _list(_object(**ranked))
    answered = _object(name=TEXT, **ranked, notes=_list(TEXT))
    answered["properties"] |= {"top": several, "explanation": explanation}
    character = _object(**ranked, notes=_list(TEXT))
    box = _object(left=WHOLE, top=WHOLE, width=WHOLE, height=WHOLE)
    character["properties"] |= {"top": several, "box": box}
    line = _object(name=TEXT, characters=_list(character))
    refused = _object(name=TEXT, error=TEXT)
    return _object(
        model_name=TEXT, model_version=TEXT, predictions=_list({"anyOf": [answered, line, refused]})
    )
