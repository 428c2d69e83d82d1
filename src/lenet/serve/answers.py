"""What goes back to a client: an answer, or a refusal with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import orjson

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"


@dataclass(slots=True)
class Seen:
    """What an answer was about, for metrics and log.

    `labels` and `probabilities` are of the likeliest class of each image, (images,).
    """

    model: str = ""
    version: str = ""
    labels: Sequence[int] = ()
    probabilities: Sequence[float] = ()


@dataclass(slots=True)
class Answer:
    """An HTTP response, whole."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()
    seen: Seen | None = None


@final
class Refusal(Exception):  # noqa: N818 - it is an answer
    """Ends a request with an HTTP status and a sentence."""

    def __init__(self, status: int, reason: str, headers: Headers = ()) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers

    def answer(self) -> Answer:
        """As JSON, in the form of the protocol."""
        return Answer(self.status, to_json({"error": self.reason}), headers=self.headers)


def busy(reason: str, status: int = 429) -> Refusal:
    """A refusal that asks to come again in a second."""
    return Refusal(status, reason, ((b"retry-after", b"1"),))


def no_network(names: Iterable[str]) -> str:
    """What is said to who asks for another network than those of `names`."""
    return f"no network here has that name; there are {', '.join(names)}"


def to_json(content: Any) -> bytes:
    """`content` as JSON; NumPy's arrays and lone surrogates in names may be in it."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:  # a lone surrogate, as a name of a file may hold
        return orjson.dumps(_printable(content), option=orjson.OPT_SERIALIZE_NUMPY)


def ok(content: Any) -> Answer:
    """200, as JSON."""
    return Answer(200, to_json(content))


def _printable(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    if isinstance(content, dict):
        return {_printable(name): _printable(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_printable(value) for value in content]
    return content
