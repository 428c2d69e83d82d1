"""`predict`: pictures as files, prepared as the training's were, with the answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lenet.data.pictures.picture import Picture, read_every, read_picture
from lenet.errors import FormatError
from lenet.prediction.explanation import explain_image
from lenet.prediction.network import Answer as Likeliest
from lenet.prediction.network import Prepared, rank_one
from lenet.prediction.reading import is_picture
from lenet.serve.answers import Answer, Refusal, Seen, ok
from lenet.serve.limits import Limits
from lenet.serve.models import FEW, Served
from lenet.serve.request import read_query

LONGEST_NAME = 200
"""Letters of a file's name that are sent back; it is never looked for."""

MULTIPART = "multipart/form-data"

PLAIN = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types of a body that is one picture, beside all of `image/`; curl sends the last one if it is
told of none."""

DIGITS = 5
"""Significant digits of an activation in an explanation."""


QUERIES = {"top", "explain", "each"}
KNOWN = "top=N, explain=1 and each=1"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for besides the answer to each picture.

    `top` likeliest classes, what every layer of its one picture holds, `each` character of a line.
    """

    top: int = 1
    explain: bool = False
    each: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A picture as it came."""

    name: str
    content: bytes


def read_wanted(query: bytes, classes: int) -> Wanted:
    """The words after the question mark.

    Raises:
        Refusal: 422 if one is not known, there twice, or out of range.
    """
    found = read_query(query, QUERIES, KNOWN)
    top = found.get("top", "1")
    if not (top.isascii() and top.isdigit() and len(top) < 6 and 1 <= int(top) <= classes):
        raise Refusal(422, f"top is 1 to {classes}: so many classes has this network")
    flags = {name: found.get(name, "0") for name in ("explain", "each")}
    for name, value in flags.items():
        if value not in ("0", "1"):
            raise Refusal(422, f"{name} is 0 or 1")
    wanted = Wanted(int(top), **{name: value == "1" for name, value in flags.items()})
    if wanted.explain and wanted.each:
        raise Refusal(422, "explain=1 is about one picture as a whole: leave out each=1")
    return wanted


def check_type(content_type: str) -> str:
    """The boundary of a body of several parts; empty for one that is a picture.

    Raises:
        Refusal: 415 if it is neither.
    """
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    if kind.startswith("image/") or kind in PLAIN:
        return ""
    if kind != MULTIPART:
        raise Refusal(415, f"{kind[:60]}: send a picture as image/* or files as {MULTIPART}")
    from python_multipart.multipart import parse_options_header

    boundary = parse_options_header(f"{kind};{rest}")[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Refusal(400, f"{MULTIPART} needs a boundary of 1 to 70 characters")
    return boundary.decode("latin-1")


def read_files(body: bytes, boundary: str, limits: Limits) -> list[File]:
    """The pictures of a body.

    Raises:
        Refusal: 400 if there is none or the parts are damaged, 413 if there are too many.
    """
    files = _parts(body, boundary, limits) if boundary else [File("picture", body)]
    if not files or not any(file.content for file in files):
        raise Refusal(400, "there is no picture in this request")
    return files


def _parts(body: bytes, boundary: str, limits: Limits) -> list[File]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    files: list[File] = []
    pieces: list[bytes] = []
    head: list[bytes] = []
    headers: dict[bytes, bytes] = {}

    def begin() -> None:
        if len(files) == limits.pictures:
            raise Refusal(413, f"send at most {limits.pictures} files in a request")
        pieces.clear()
        headers.clear()

    def end_header() -> None:
        name, _, value = b"".join(head).partition(b"\0")
        headers[name.lower()] = value
        head.clear()

    def end_part() -> None:
        options = parse_options_header(headers.get(b"content-disposition", b""))[1]
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field in QUERIES and b"filename" not in options:
            raise Refusal(
                422, f"{field} is no file: {KNOWN} stand in the address, behind a question mark"
            )
        name = options.get(b"filename") or options.get(b"name") or b"picture"
        text = name.decode("utf-8", "replace")[:LONGEST_NAME]
        files.append(File(text, b"".join(pieces)))

    ended: list[bool] = []
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": lambda data, start, stop: head.append(data[start:stop]),
            "on_header_value": lambda data, start, stop: head.append(b"\0" + data[start:stop]),
            "on_header_end": end_header,
            "on_part_data": lambda data, start, stop: pieces.append(data[start:stop]),
            "on_part_end": end_part,
            "on_end": lambda: ended.append(True),
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"{MULTIPART}: {error}") from error
    if not ended:
        raise Refusal(400, f"{MULTIPART}: the last boundary is missing")
    return files


def predict(served: Served, files: Sequence[File], wanted: Wanted, limits: Limits) -> Answer:
    """Decode, prepare and answer; the pictures that cannot be used are said beside the others.

    Raises:
        Refusal: 415 or 422 if none of the pictures can be used.
    """
    if wanted.explain and len(files) > 1:
        raise Refusal(422, f"explain=1 is about one picture, and there are {len(files)}")
    read = [_read(served, file, limits, wanted.each) for file in files]
    prepared = [
        Prepared(file.name, picture.image, picture.notes)
        for file, found in zip(files, read, strict=True)
        if not isinstance(found, FormatError)
        for picture in found
    ]
    if not prepared:
        raise _refused(files[0], str(read[0]))
    given = _answer(served, prepared, wanted.top)
    answers, entries = iter(given), list[dict[str, Any]]()
    for file, found in zip(files, read, strict=True):
        if isinstance(found, FormatError):
            entries.append({"name": file.name, "error": str(found)})
        elif wanted.each:
            characters = [_character(each, next(answers), wanted.top) for each in found]
            entries.append({"name": file.name, "characters": characters})
        else:
            entries.append({"name": file.name, **_entry(next(answers), wanted.top)})
    if wanted.explain:
        entries[0]["explanation"] = _explain(served, prepared[0])
    known = {name: label for label, name in enumerate(served.class_names)}
    seen = Seen(
        served.name,
        served.version,
        [known[each.class_name] for each in given],
        [each.probability for each in given],
    )
    answer = ok(
        {"model_name": served.name, "model_version": served.version, "predictions": entries}
    )
    answer.seen = seen
    return answer


def _read(served: Served, file: File, limits: Limits, each: bool) -> list[Picture] | FormatError:
    """The one that a picture shows, or each of a line."""
    given = file.content, served.shape, served.network.convention, file.name
    try:
        if not file.content:
            raise FormatError(f"{file.name}: empty")
        if each:
            return read_every(*given, most_pixels=limits.pixels)
        return [read_picture(*given, most_pixels=limits.pixels)]
    except FormatError as error:
        return error


def _refused(file: File, reason: str) -> Refusal:
    return Refusal(422 if is_picture(file.content) else 415, reason)


def _answer(served: Served, prepared: Sequence[Prepared], top: int) -> list[Likeliest]:
    """In so small batches that each image is answered alone, whatever stands beside it."""
    answers: list[Likeliest] = []
    for start in range(0, len(prepared), FEW):
        some = prepared[start : start + FEW]
        images = np.stack([each.image for each in some])
        logits = served.engine.logits(served.engine.place(images)).tolist()
        answers += [
            rank_one(row, each, served.class_names, top)
            for row, each in zip(logits, some, strict=True)
        ]
    return answers


def _entry(found: Likeliest, top: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "class": found.class_name,
        "probability": found.probability,
        "notes": list(found.notes),
    }
    if top > 1:
        entry["top"] = [
            {"class": name, "probability": value}
            for name, value in zip(found.classes, found.probabilities, strict=True)
        ]
    return entry


def _character(picture: Picture, found: Likeliest, top: int) -> dict[str, Any]:
    """Where it stands, in pixels, unless the whole picture is it."""
    entry, box = _entry(found, top), picture.box
    if box is not None:
        entry["box"] = {
            "left": box.left, "top": box.top, "width": box.width, "height": box.height,
        }  # fmt: skip
    return entry


def _explain(served: Served, prepared: Prepared) -> dict[str, Any]:
    """What every layer made of the picture (see `prediction.explanation`), as lists."""
    found = explain_image(served.engine, served.checkpoint, prepared.image)
    return {
        "image": found.image.tolist(),
        "layers": [
            {"name": name, "shape": list(array.shape), "values": _short(array)}
            for name, array in found.activations.items()
        ],
        "logits": _short(found.logits),
        "probabilities": _short(found.probabilities),
        "occlusion": [_short(row) for row in found.occlusion],
    }


def _short(values: np.ndarray[Any, Any]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.ravel().tolist()]
