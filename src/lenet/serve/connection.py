"""Connections: uvicorn's protocol with the limits that it does not have.

httptools bounds neither the length of headers nor how long they may take, and uvicorn closes a
connection only between two requests.  Here each connection knows what it waits for and since when,
and one look a second at all of them (`sweep`) drops those that are too slow.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from lenet.serve.answers import to_json
from lenet.serve.application import Application

IDLE, HEAD, BODY, ANSWER = "idle", "head", "body", "answer"
"""What a connection waits for: a request, the rest of its head, of its body, or our answer."""


MOST_PIPELINED = 64
"""Requests that a client may send ahead of their answers; more end the connection."""


@final
class TooLongError(Exception):
    """Ends the parsing of what is too long: a head, or a row of requests."""


@final
class Connection(HttpToolsProtocol):
    """One client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.application: Application = self.config.app  # type: ignore[assignment]
        self.limits = self.application.limits
        self.state = IDLE
        self.since = time.monotonic()
        self._head_bytes, self._messages = 0, 0
        self._unsent, self._unsent_since = 0, self.since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`; a new client may cost the longest idle one its connection."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._drop_idle():
            self._end(503, "too many connections are open; come again later", "too many")

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        state, messages = self.state, self._messages
        if state is IDLE:
            self._enter(HEAD)
        super().data_received(data)
        # The parser hands over whole headers alone, and keeps one that goes on and on.
        if state is self.state is HEAD and messages == self._messages:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """See httptools."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooLongError
        super().on_message_begin()
        self._enter(HEAD)
        self._head_bytes = 0
        self._messages += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > self.limits.head_bytes:
            raise TooLongError
        super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        self._head_bytes += len(url)
        if self._head_bytes > self.limits.head_bytes:
            raise TooLongError
        super().on_url(url)

    def on_headers_complete(self) -> None:
        """See httptools."""
        super().on_headers_complete()
        self._enter(BODY)

    def on_message_complete(self) -> None:
        """See httptools."""
        super().on_message_complete()
        self._enter(IDLE if self.cycle.response_complete else ANSWER)

    def on_response_complete(self) -> None:
        """See uvicorn; what comes next is another request."""
        super().on_response_complete()
        if self.pipeline:  # uvicorn reads on, whatever waits already
            self.flow.pause_reading()
        if self.state is ANSWER and self.cycle.response_complete:
            self._enter(IDLE)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Instead of uvicorn's text, for whatever the parser did not take."""
        if len(self.pipeline) >= MOST_PIPELINED:
            self._end(429, "", "too many at once")
        elif self._head_bytes > self.limits.head_bytes:
            self._refuse_head()
        else:
            self._end(400, "this is no HTTP request", "malformed")

    def sweep(self, now: float) -> None:
        """Drop a client that is too slow to send, or to take what it asked for."""
        if self.parser is None:  # the connection is lost, and about to be forgotten
            return
        if self._reads_too_slowly(now):
            self.application.metrics.dropped["slow to read"] += 1
            self.transport.abort()
            return
        waited, limits = now - self.since, self.limits
        idle = limits.head_seconds if self.cycle is None else limits.idle_seconds
        if self.state is IDLE and waited > idle:
            self.application.metrics.dropped["idle"] += 1
            self.transport.close()
        elif self.state is HEAD and waited > limits.head_seconds:
            self._end(408, f"no whole head within {limits.head_seconds:g} seconds", "slow head")
        elif self.state is BODY and waited > limits.seconds:
            self._end(408, f"no whole body within {limits.seconds:g} seconds", "slow body")

    def _enter(self, state: str) -> None:
        self.state, self.since = state, time.monotonic()

    def _reads_too_slowly(self, now: float) -> bool:
        """Whether none of what is to be sent has gone for so long."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > self.limits.seconds

    def _drop_idle(self) -> bool:
        """Close the connection that waits longest for a request, or for all of its head."""
        others: list[Any] = [each for each in self.connections if each is not self]
        idle = [each for each in others if each.state in (IDLE, HEAD)]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each.since)
        self.application.metrics.dropped["made room"] += 1
        longest.transport.abort()
        self.connections.discard(longest)
        return True

    def _refuse_head(self) -> None:
        most = self.limits.head_bytes
        self._end(431, f"a request's line and headers have at most {most:,} bytes", "long head")

    def _end(self, status: int, reason: str, counted: str) -> None:
        """Answer, unless another answer is on its way, and close."""
        if self.transport.is_closing():
            return
        self.application.metrics.dropped[counted] += 1
        cycle = self.cycle
        begun = cycle is not None and cycle.response_started and not cycle.response_complete
        if not begun and not self.pipeline:
            body = to_json({"error": reason})
            head = (
                b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
                % len(body)
            )
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


async def sweep(connections: set[Any], seconds: float) -> None:
    """Look at all connections, again and again."""
    while True:
        await asyncio.sleep(seconds)
        now = time.monotonic()
        for each in list(connections):
            try:
                each.sweep(now)
            except RuntimeError:  # its transport ended at this moment
                connections.discard(each)
