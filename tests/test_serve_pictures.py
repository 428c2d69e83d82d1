"""`predict`: pictures as they come, over HTTP."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import run_lenet
from PIL import Image
from predicting import dark_digit
from serving import digits, png

from lenet.prediction.bulk import formats

PREDICT = "/v2/models/digits/predict"


@pytest.fixture(scope="module")
def client(service):
    with service.client() as found:
        yield found


@pytest.fixture(scope="module")
def pictures():
    return [png(image) for image in digits(9)]


def predictions(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["model_name"] == "digits"
    return found["predictions"]


def test_a_picture_is_answered_as_lenet_predict_does(client, digits_run, pictures, tmp_path):
    for index, content in enumerate(pictures):
        (tmp_path / f"{index}.png").write_bytes(content)
    code, out, err = run_lenet(
        "predict", digits_run.path, tmp_path, "--format", "jsonl", "--top", 2
    )
    assert code == 0, err
    for row, content in zip(map(json.loads, out.splitlines()), pictures, strict=True):
        (found,) = predictions(client.post(f"{PREDICT}?top=2", content=content))
        assert found["class"] == row["class"]
        assert found["notes"] == [row["notes"]]
        # `lenet predict` asks in batches of 256, which rounds the last digits otherwise.
        assert found["probability"] == pytest.approx(row["probability"], rel=1e-4)
        assert [each["class"] for each in found["top"]] == [row["class"], row["class_2"]]
        assert found["top"][1]["probability"] == pytest.approx(row["probability_2"], rel=1e-4)


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "application/octet-stream",
             "application/x-www-form-urlencoded", ""],
)  # fmt: skip
def test_the_format_is_known_by_the_content_and_not_by_its_type(client, pictures, kind):
    (found,) = predictions(
        client.post(PREDICT, content=pictures[0], headers={"content-type": kind})
    )
    assert found["name"] == "picture"


def test_several_files_are_answered_in_their_order_each_as_if_it_were_alone(client, pictures):
    files = [("file", (f"{index}.png", content)) for index, content in enumerate(pictures)]
    found = predictions(client.post(PREDICT, files=files))
    assert [each["name"] for each in found] == [f"{index}.png" for index in range(len(pictures))]
    for each, content in zip(found, pictures, strict=True):
        (alone,) = predictions(client.post(PREDICT, content=content))
        assert {**each, "name": "picture"} == alone


def test_a_file_that_is_no_picture_is_said_beside_the_others(client, pictures):
    files = [("file", ("a.png", pictures[0])), ("file", ("../../etc/passwd", b"root:x:0:0"))]
    good, bad = predictions(client.post(PREDICT, files=files))
    assert good["name"] == "a.png"
    assert bad == {
        "name": "../../etc/passwd",
        "error": "../../etc/passwd: not a picture in a format that is known",
    }


def test_a_name_is_never_looked_for_on_the_disk(client, pictures, tmp_path):
    (tmp_path / "one.png").write_bytes(pictures[0])
    for body in (str(tmp_path / "one.png").encode(), f"file://{tmp_path}/one.png".encode()):
        assert client.post(PREDICT, content=body).status_code == 415


def test_an_explanation_has_every_layer(client, digits_model, pictures):
    (found,) = predictions(client.post(f"{PREDICT}?explain=1", content=pictures[0]))
    explained = found["explanation"]
    want = digits_model.explain(pictures[0]).explanation
    assert np.array_equal(explained["image"], want.image)
    assert [layer["name"] for layer in explained["layers"]] == list(want.activations)
    for layer in explained["layers"]:
        array = want.activations[layer["name"]]
        assert layer["shape"] == list(array.shape)
        np.testing.assert_allclose(layer["values"], array.ravel(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(explained["occlusion"], want.occlusion, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(explained["probabilities"], want.probabilities, rtol=1e-4)


def test_an_explanation_is_of_one_picture(client, pictures):
    files = [("file", ("a.png", pictures[0])), ("file", ("b.png", pictures[1]))]
    answer = client.post(f"{PREDICT}?explain=1", files=files)
    assert answer.status_code == 422
    assert answer.json() == {"error": "explain=1 is about one picture, and there are 2"}


def test_a_query_beside_the_files_is_said_to_stand_in_the_address(client, pictures):
    answer = client.post(PREDICT, files=[("file", pictures[0]), ("top", (None, b"3"))])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("top is no file: top=N, explain=1 and each=1 stand in")


def test_every_character_of_a_line_is_answered_with_its_place(client, digits_model, pictures):
    page = Image.new("L", (300, 120), 255)
    for index in (1, 2, 3):
        page.paste(dark_digit(index).resize((48, 48)), (70 * index - 24, 36))
    line = save(page, "PNG")
    files = [("file", ("line.png", line)), ("file", ("no.png", b"root")),
             ("file", ("one.png", pictures[0]))]  # fmt: skip
    found = predictions(client.post(f"{PREDICT}?each=1&top=2", files=files))
    want = digits_model.predict_each(line, top=2)
    assert len(want) == 3
    assert found[0] == {
        "name": "line.png",
        "characters": [
            {
                "class": answer.class_name,
                "probability": pytest.approx(answer.probability, rel=1e-5),
                "notes": list(answer.notes),
                "top": [
                    {"class": name, "probability": pytest.approx(value, rel=1e-4)}
                    for name, value in zip(answer.classes, answer.probabilities, strict=True)
                ],
                "box": {name: getattr(answer.box, name) for name in formats.PLACE},
            }
            for answer in want
        ],
    }
    assert found[1]["error"] == "no.png: not a picture in a format that is known"
    (alone,) = predictions(client.post(f"{PREDICT}?top=2", content=pictures[0]))
    (character,) = found[2]["characters"]
    assert {**character, "name": "picture"}.items() >= alone.items()


def save(picture, form, **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


REFUSED = {
    "there is no picture in this request": (400, b""),
    "picture: not a picture in a format that is known": (415, b"a letter, and no picture"),
    "picture: blank: nothing stands out from the ground": (
        422, save(Image.new("L", (64, 64), 255), "PNG"),
    ),
    "picture: 5000x5000 pixels are too many; make it smaller than 16,000,000": (
        422, save(Image.new("L", (5000, 5000)), "PNG"),
    ),
    "picture: this picture cannot be read": (
        422, save(Image.radial_gradient("L"), "PNG")[:5000],
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_a_picture_that_cannot_be_used_is_refused_with_its_reason(client, reason):
    status, body = REFUSED[reason]
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"].startswith(reason)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("top=0", "top is 1 to 10"),
        ("top=11", "top is 1 to 10"),
        ("top=x", "top is 1 to 10"),
        ("explain=2", "explain is 0 or 1"),
        ("each=yes", "each is 0 or 1"),
        ("explain=1&each=1", "leave out each=1"),
        ("topp=1", "the query knows top=N, explain=1 and each=1"),
        ("top=1&top=2", "the query knows top=N, explain=1 and each=1"),
        ("top", "the query cannot be read"),
    ],
)
def test_a_query_that_is_not_known_is_refused(client, pictures, query, reason):
    answer = client.post(f"{PREDICT}?{query}", content=pictures[0])
    assert answer.status_code == 422
    assert reason in answer.json()["error"]


def test_a_type_that_is_no_picture_is_refused(client):
    for kind in ("application/json", "text/html", "multipart/mixed; boundary=x"):
        answer = client.post(PREDICT, content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
        assert "send a picture as image/*" in answer.json()["error"]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("multipart/form-data", b"x", "needs a boundary"),
        ("multipart/form-data; boundary=b", b"no parts", "multipart/form-data: "),
        ("multipart/form-data; boundary=b", b"--b--\r\n", "there is no picture"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf',
            "the last boundary is missing",
        ),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\n" + b"X" * 100_000 + b": y\r\n\r\nz\r\n--b--\r\n",
            "multipart/form-data: ",
        ),
    ],
)
def test_parts_that_are_damaged_are_refused(client, kind, body, reason):
    answer = client.post(PREDICT, content=body, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["error"]


def test_more_files_than_a_request_may_have_are_refused(client, pictures):
    files = [("file", ("a.png", pictures[0]))] * 65
    answer = client.post(PREDICT, files=files)
    assert answer.status_code == 413
    assert answer.json() == {"error": "send at most 64 files in a request"}


@pytest.mark.thorough
def test_a_thousand_hostile_files_are_answered_or_refused_and_nothing_grows(service, tmp_path):
    import hostile

    kinds = hostile.make(tmp_path)
    statuses, before = {}, service.memory()[0]
    with service.client() as client:
        for path in map(Path, kinds):
            if not path.is_file() or path.stat().st_size > 20 << 20:
                continue  # what is no file has no content; a body that is too long has its own test
            answer = client.post(PREDICT, content=path.read_bytes())
            statuses.setdefault(answer.status_code, []).append(kinds[str(path)])
            if answer.status_code != 200:
                assert list(answer.json()) == ["error"]
    assert set(statuses) == {200, 400, 415, 422}
    assert set(statuses[400]) == {"empty"}
    assert len(statuses[200]) > 300
    assert "a header of 2^31 pixels a side" in statuses[422]
    held, most = service.memory()
    assert most < 1500
    assert held - before < 300
