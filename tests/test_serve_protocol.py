"""The Open Inference Protocol, in the order and the words of its text.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, and its
extension "Binary Tensor Data".  Each test is about one sentence; real requests to a real process.
"""

import json
import struct

import numpy as np
import pytest
from conftest import need_module
from serving import digits, tensor

import lenet

INFER = "/v2/models/digits/infer"
HEAD = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def client(service):
    with service.client() as found:
        yield found


@pytest.fixture(scope="module")
def version(client):
    (found,) = client.get("/v2/models/digits").json()["versions"]
    return found


def infer(client, question, path=INFER):
    answer = client.post(path, json=question)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def by_name(found):
    return {each["name"]: each for each in found["outputs"]}


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert isinstance(answer.json()["error"], str)
    return answer.json()["error"]


# Health, readiness and liveness


def test_the_server_live_api_can_be_used_directly_as_a_liveness_probe(client):
    answer = client.get("/v2/health/live")
    assert (answer.status_code, answer.json()) == (200, {"live": True})


def test_the_server_ready_api_says_that_all_models_are_ready(client):
    answer = client.get("/v2/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"live": True, "ready": True})


def test_the_model_ready_api_names_the_model(client):
    answer = client.get("/v2/models/digits/ready")
    assert (answer.status_code, answer.json()) == (200, {"name": "digits", "ready": True})


def test_the_model_ready_api_may_name_the_version(client, version):
    answer = client.get(f"/v2/models/digits/versions/{version}/ready")
    assert answer.json() == {"name": "digits", "ready": True}
    error_of(client.get("/v2/models/digits/versions/0-0/ready"), 404)
    error_of(client.get("/v2/models/letters/ready"), 404)


# Server metadata


def test_server_metadata_has_a_name_a_version_and_the_extensions(client):
    answer = client.get("/v2")
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "lenet", "version": lenet.__version__, "extensions": ["binary_tensor_data"],
    }  # fmt: skip


# Model metadata


def test_model_metadata_describes_each_input_and_output_tensor(client, version):
    found = client.get("/v2/models/digits").json()
    assert found == {
        "name": "digits",
        "versions": [version],
        "platform": "lenet",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}],
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "labels", "datatype": "INT64", "shape": [-1]},
            {"name": "classes", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    assert client.get(f"/v2/models/digits/versions/{version}").json() == found


def test_a_failed_metadata_request_has_an_http_error_status_and_an_error_object(client):
    assert "there are digits" in error_of(client.get("/v2/models/letters"), 404)
    assert "no such version" in error_of(client.get("/v2/models/digits/versions/7"), 404)


def test_all_strings_are_case_sensitive(client):
    error_of(client.get("/v2/models/Digits"), 404)
    question = {"inputs": [tensor(digits(1), name="Images")]}
    assert "one input, images" in error_of(client.post(INFER, json=question), 400)


# Inference


def test_if_an_id_is_specified_it_is_returned(client):
    assert infer(client, {"id": "42", "inputs": [tensor(digits(1))]})["id"] == "42"
    assert "id" not in infer(client, {"inputs": [tensor(digits(1))]})


def test_the_response_names_the_model_and_the_version_used(client, version):
    found = infer(client, {"inputs": [tensor(digits(1))]})
    assert (found["model_name"], found["model_version"]) == ("digits", version)
    path = f"/v2/models/digits/versions/{version}/infer"
    assert infer(client, {"inputs": [tensor(digits(1))]}, path) == found


def test_without_outputs_all_outputs_are_returned(client):
    found = by_name(infer(client, {"inputs": [tensor(digits(3))]}))
    shapes = {name: (each["datatype"], each["shape"]) for name, each in found.items()}
    assert shapes == {
        "logits": ("FP32", [3, 10]), "probabilities": ("FP32", [3, 10]), "labels": ("INT64", [3]),
        "classes": ("BYTES", [3]),
    }  # fmt: skip


def test_only_the_requested_outputs_are_returned(client):
    question = {"inputs": [tensor(digits(1))], "outputs": [{"name": "labels"}]}
    assert list(by_name(infer(client, question))) == ["labels"]
    question["outputs"] = [{"name": "votes"}]
    assert "outputs are logits" in error_of(client.post(INFER, json=question), 400)


@pytest.mark.parametrize("count", [1, 4, 5, 300])
def test_the_answers_are_those_of_the_model_at_hand(client, digits_model, count):
    images = digits(count)
    found = by_name(infer(client, {"inputs": [tensor(images)]}))
    logits = np.array(found["logits"]["data"], np.float32).reshape(count, 10)
    assert np.array_equal(logits, digits_model.logits(images))
    probabilities = np.array(found["probabilities"]["data"]).reshape(count, 10)
    np.testing.assert_allclose(probabilities, digits_model(images), atol=1e-7)
    assert found["labels"]["data"] == logits.argmax(axis=1).tolist()
    assert found["classes"]["data"] == [str(label) for label in logits.argmax(axis=1)]


def test_tensor_data_may_be_nested_or_flat(client):
    flat, nested = tensor(digits(2)), {**tensor(digits(2)), "data": digits(2).tolist()}
    assert infer(client, {"inputs": [flat]}) == infer(client, {"inputs": [nested]})


@pytest.mark.parametrize(
    "datatype", ["UINT8", "UINT16", "UINT32", "UINT64", "INT16", "INT32", "INT64"]
)
def test_whole_numbers_of_any_type_are_levels_from_0_to_255(client, datatype):
    question = {"inputs": [tensor(digits(1), datatype=datatype)]}
    assert infer(client, question) == infer(client, {"inputs": [tensor(digits(1))]})


def test_in_json_a_whole_number_may_have_a_point(client):
    values = [float(value) for value in digits(1).ravel()]
    question = {"inputs": [{**tensor(digits(1)), "data": values}]}
    assert infer(client, question) == infer(client, {"inputs": [tensor(digits(1))]})


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_floating_numbers_are_fractions_from_0_to_1(client, datatype):
    values = (digits(1) / 255).ravel().tolist()
    question = {"inputs": [{**tensor(digits(1), datatype=datatype), "data": values}]}
    assert infer(client, question) == infer(client, {"inputs": [tensor(digits(1))]})


def test_bools_are_black_and_white(client):
    bits = digits(1) > 127
    question = {"inputs": [{**tensor(bits, datatype="BOOL")}]}
    white = bits.astype(np.uint8) * np.uint8(255)
    assert infer(client, question) == infer(client, {"inputs": [tensor(white)]})


ONE = tensor(np.zeros((1, 1, 28, 28), np.uint8))
WRONG = {
    "the body is no JSON": (400, b"{"),
    "the body is a JSON object": (400, b"[]"),
    "inputs is a list with one object": (400, {"inputs": []}),
    "id is a string": (400, {"id": 7, "inputs": [ONE]}),
    "parameters is an object": (400, {"parameters": 7, "inputs": [ONE]}),
    "its datatype is one of BOOL, UINT8": (400, {"inputs": [{**ONE, "datatype": "BYTES"}]}),
    "its shape is a list of whole numbers": (400, {"inputs": [{**ONE, "shape": "1"}]}),
    "its shape is [n, 1, 28, 28], and not": (422, {"inputs": [{**ONE, "shape": [1, 784]}]}),
    "1,025 images are too many": (413, {"inputs": [{**ONE, "shape": [1025, 1, 28, 28]}]}),
    "its data is a list": (400, {"inputs": [{**ONE, "data": "x"}]}),
    "its data is of shape [3], and not": (400, {"inputs": [{**ONE, "data": [1, 2, 3]}]}),
    "its data is no tensor": (400, {"inputs": [{**ONE, "data": [[1], [2, 3]]}]}),
    "its data is not UINT8": (422, {"inputs": [{**ONE, "data": [0.5] * 784}]}),
    "its pixels go from 256 to 256": (422, {"inputs": [{**ONE, "data": [256] * 784}]}),
    "its pixels go from 2 to 2": (
        422, {"inputs": [{**ONE, "datatype": "FP32", "data": [2] * 784}]},
    ),
    "FP16 has no form in JSON": (400, {"inputs": [{**ONE, "datatype": "FP16"}]}),
    "each once": (400, {"inputs": [ONE], "outputs": [{"name": "labels"}] * 2}),
    "the parameter classification is not known": (
        400,
        {"inputs": [ONE], "outputs": [{"name": "labels", "parameters": {"classification": 3}}]},
    ),
    "binary_data is true or false": (
        400,
        {"inputs": [ONE], "outputs": [{"name": "labels", "parameters": {"binary_data": 1}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", WRONG)
def test_a_failed_inference_has_an_http_error_status_and_an_error_object(client, reason):
    status, question = WRONG[reason]
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    assert reason in error_of(client.post(INFER, content=body), status)


@pytest.mark.parametrize("values", [[True] * 784, [True, *[1] * 783], [None] * 784, ["1"] * 784])
def test_what_is_no_number_is_refused(client, values):
    question = {"inputs": [{**ONE, "data": values}]}
    answer = client.post(INFER, json=question)
    assert error_of(answer, 422) == "images: its data is not UINT8"


def test_an_image_type_of_content_is_none_of_the_protocol(client):
    answer = client.post(INFER, content=b"x", headers={"content-type": "image/png"})
    assert "infer takes application/json" in error_of(answer, 415)
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert "without Content-Encoding" in error_of(
        client.post(INFER, content=b"x", headers=packed), 415
    )


@pytest.mark.parametrize(("method", "path"), [("GET", INFER), ("POST", "/v2"), ("PUT", "/metrics")])
def test_a_path_that_does_not_know_a_method_says_which_it_knows(client, method, path):
    answer = client.request(method, path)
    error_of(answer, 405)
    assert answer.headers["allow"] in ("POST", "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/models/digits", "/v2/models/digits/ready", "/metrics", "/openapi.json", INFER],
)
def test_a_query_is_refused_where_none_is_known(client, path):
    method = "POST" if path == INFER else "GET"
    answer = client.request(method, f"{path}?top=3", content=b"{}" if path == INFER else None)
    assert "knows no query" in error_of(answer, 422)


def test_a_health_probe_may_have_any_query(client):
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert client.get(f"{path}?verbose").status_code == 200


def test_the_page_is_of_networks_that_there_are(client):
    for query in ("networks=zzz", "networks=digits,zzz", "networks="):
        assert "there are digits" in error_of(client.get(f"/?{query}"), 404)
    for query in ("foo=1", "networks=digits&foo=1", "networks=digits&networks=digits"):
        assert "the query knows networks=A,B" in error_of(client.get(f"/?{query}"), 422)
    assert client.get("/?networks=digits").text == client.get("/").text


# The extension: binary tensor data


def binary_question(images, **more):
    """The body and the header of a request whose input follows its JSON."""
    head = {
        "inputs": [
            {
                "name": "images", "shape": list(images.shape), "datatype": "UINT8",
                "parameters": {"binary_data_size": images.nbytes},
            }
        ],
        **more,
    }  # fmt: skip
    content = json.dumps(head).encode()
    return content + images.tobytes(), {HEAD: str(len(content))}


def binary_answer(answer):
    """Its JSON, and its binary outputs by name."""
    assert answer.status_code == 200, answer.text
    length = int(answer.headers[HEAD])
    head, rest = json.loads(answer.content[:length]), answer.content[length:]
    found = {}
    for each in head["outputs"]:
        assert "data" not in each
        size = each["parameters"]["binary_data_size"]
        found[each["name"]], rest = rest[:size], rest[size:]
    assert not rest
    return head, found


@pytest.mark.parametrize("count", [1, 256])
def test_binary_tensors_are_little_endian_row_major_without_padding(client, digits_model, count):
    images = digits(count)
    body, headers = binary_question(images, id="b", parameters={"binary_data_output": True})
    head, found = binary_answer(client.post(INFER, content=body, headers=headers))
    assert head["id"] == "b"
    logits = np.frombuffer(found["logits"], "<f4").reshape(count, 10)
    assert np.array_equal(logits, digits_model.logits(images))
    labels = np.frombuffer(found["labels"], "<i8")
    assert np.array_equal(labels, logits.argmax(axis=1))
    names, texts = found["classes"], []
    while names:
        (size,) = struct.unpack("<I", names[:4])  # a 4-byte length, then the bytes
        texts.append(names[4 : 4 + size].decode())
        names = names[4 + size :]
    assert texts == [str(label) for label in labels]


def test_binary_data_may_be_asked_for_one_output_alone(client):
    outputs = [{"name": "labels"}, {"name": "logits", "parameters": {"binary_data": True}}]
    answer = client.post(INFER, json={"inputs": [tensor(digits(2))], "outputs": outputs})
    length = int(answer.headers[HEAD])
    head = json.loads(answer.content[:length])
    assert len(head["outputs"][0]["data"]) == 2
    assert head["outputs"][1]["parameters"] == {"binary_data_size": 80}
    assert len(answer.content) == length + 80


def test_json_data_and_binary_data_give_the_same(client):
    body, headers = binary_question(digits(5))
    answer = client.post(INFER, content=body, headers=headers)
    assert HEAD not in answer.headers
    assert answer.json() == infer(client, {"inputs": [tensor(digits(5))]})


def test_half_floats_come_in_binary(client):
    images = (digits(1) / 255).astype("<f2")
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "images", "shape": [1, 1, 28, 28], "datatype": "FP16",
                    "parameters": {"binary_data_size": 1568},
                }
            ]
        }
    ).encode()  # fmt: skip
    answer = client.post(INFER, content=head + images.tobytes(), headers={HEAD: str(len(head))})
    assert answer.json() == infer(client, {"inputs": [tensor(digits(1))]})


def test_with_a_header_length_of_0_the_whole_body_is_the_tensor(client):
    answer = client.post(INFER, content=digits(3).tobytes(), headers={HEAD: "0"})
    assert answer.json() == infer(client, {"inputs": [tensor(digits(3))]})


def test_what_does_not_fit_its_lengths_is_refused(client):
    body, headers = binary_question(digits(1))
    for content, head, reason in (
        (body, {HEAD: "x"}, "is a number of bytes"),
        (body, {HEAD: str(len(body) + 1)}, "and the body has"),
        (body + b"x", headers, "binary_data_size is not the 785 bytes after the JSON"),
        (b"x" * 785, {HEAD: "0"}, "785 bytes are no images of [1, 28, 28]"),
        (b"", {HEAD: "0"}, "0 bytes are no images of [1, 28, 28]"),
    ):
        answer = client.post(INFER, content=content, headers=head)
        assert reason in error_of(answer, 400)
    both = {**tensor(digits(1)), "parameters": {"binary_data_size": 784}}
    content = json.dumps({"inputs": [both]}).encode()
    answer = client.post(INFER, content=content + bytes(784), headers={HEAD: str(len(content))})
    assert "in JSON or binary, and not both" in error_of(answer, 400)
    content = json.dumps({"inputs": [tensor(digits(1))]}).encode()
    answer = client.post(INFER, content=content + b"xx", headers={HEAD: str(len(content))})
    assert "2 bytes follow the JSON that belong to no input" in error_of(answer, 400)


# A client that others wrote


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_tritons_client_asks_and_understands(service, digits_model, binary):
    triton = need_module("tritonclient.http", "pip install 'tritonclient[http]'")
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
        assert client.get_model_metadata("digits")["inputs"][0]["shape"] == [-1, 1, 28, 28]
        images = digits(7)
        given = triton.InferInput("images", list(images.shape), "UINT8")
        given.set_data_from_numpy(images, binary_data=binary)
        names = ("logits", "probabilities", "labels", "classes")
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
        found = client.infer("digits", [given], outputs=wanted, request_id="7")
        assert found.get_response()["id"] == "7"
        assert np.array_equal(found.as_numpy("logits"), digits_model.logits(images))
        labels = found.as_numpy("labels")
        assert labels.tolist() == digits_model.logits(images).argmax(axis=1).tolist()
        texts = [each.decode() if binary else each for each in found.as_numpy("classes")]
        assert texts == [str(label) for label in labels]
        with pytest.raises(triton.InferenceServerException, match="no network here has that name"):
            client.infer("letters", [given])
    finally:
        client.close()
