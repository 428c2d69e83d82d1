"""A request as ASGI gives it, its body not yet read, and its line in the access log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from lenet.serve.answers import Answer, Refusal

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

LINGER_BYTES, LINGER_SECONDS = 64 << 20, 2.0
"""Of a body that is not wanted: so much is still taken, so that its sender gets to read why."""


class ClientGoneError(Exception):
    """The client left before it had sent its request."""


@dataclass(slots=True)
class Request:
    """One request, its body not yet read."""

    method: str
    path: str
    query: bytes
    version: str
    client: str
    headers: dict[bytes, bytes]
    receive: Receive
    has_body: bool
    """There is one, and its end has not been seen."""
    waits: bool
    """The client sends its body only when it is told to (100-continue)."""
    hosts: int
    """How often it names a Host."""
    size: int = 0
    """Bytes of its body that are at hand."""

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        """What an ASGI server says of it."""
        headers = dict(scope["headers"])
        client = scope["client"]
        return cls(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            version=scope["http_version"],
            client=client[0] if client else "",
            headers=headers,
            receive=receive,
            has_body=headers.get(b"content-length", b"0") != b"0"
            or b"transfer-encoding" in headers,
            waits=headers.get(b"expect", b"").lower() == b"100-continue",
            hosts=sum(name == b"host" for name, _ in scope["headers"]),
        )

    @property
    def content_type(self) -> str:
        return self.headers.get(b"content-type", b"").decode("latin-1")


def read_query(query: bytes, names: Collection[str], known: str) -> dict[str, str]:
    """The words after the question mark, by their `names`; `known` says these to people.

    Raises:
        Refusal: 422 if one is not known, or there twice.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=9
        )
    except ValueError as error:
        raise Refusal(422, f"the query cannot be read; it knows {known}") from error
    found = dict(pairs)
    if len(found) < len(pairs) or found.keys() - names:
        raise Refusal(422, f"the query knows {known}, and none of it twice")
    return found


async def linger(request: Request) -> None:
    """Take what the client still sends, for a while: it would not read an answer otherwise."""
    size = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while size < LINGER_BYTES:
                message = await request.receive()
                if message["type"] == "http.disconnect" or not message["more_body"]:
                    return
                size += len(message["body"])
    except TimeoutError:
        return


def log_line(request: Request, answer: Answer, seconds: float) -> dict[str, Any]:
    """What the access log says of it."""
    line: dict[str, Any] = {
        "time": time.time(),
        "client": request.client,
        "method": request.method,
        "path": request.path[:200].encode("utf-8", "backslashreplace").decode(),
        "status": answer.status,
        "milliseconds": round(1e3 * seconds, 3),
        "bytes_in": request.size,
        "bytes_out": len(answer.body),
    }
    if answer.seen is not None:
        line |= {
            "model": answer.seen.model,
            "version": answer.seen.version,
            "images": len(answer.seen.labels),
        }
    return line
