"""One process of a service that has several: it serves as a single one does, for its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from lenet.errors import LenetError, MachineError
from lenet.serve import messages, server
from lenet.serve.limits import Limits
from lenet.serve.owner import Orders, Text

GATHER_SECONDS = 5.0
"""In which the parent says what all processes have counted; it waits a shorter time for them."""

WATCH_SECONDS, LAST_SECONDS = 1.0, 10.0

MOST_ASKED = 64
"""Requests for metrics that wait for the parent."""


def main() -> None:
    """Serve until the parent says so or is gone.

    The arguments are numbers of open sockets: that to the parent, and those to listen on.
    """
    _hear_no_signals()
    channel, *sockets = [_inherited(int(word)) for word in sys.argv[1:]]
    first = messages.wait_for(channel)
    if first is None:
        return
    settings = settings_of(first["settings"])
    _outlive(first["parent"], settings.limits.drain_seconds + settings.limits.grace_seconds)
    parent = Parent(channel, talks=first["talks"])
    try:
        with warnings.catch_warnings():  # not to the end of Python, when much is gone already
            warnings.showwarning = parent.warn
            server.answer(server.open_models(first["runs"], settings), settings, sockets, parent)
    except LenetError as error:
        parent.fail(error)
    except MemoryError:
        parent.fail(MachineError("there is not enough memory for this"))


def greeting(runs: Sequence[str], settings: server.Settings, *, talks: bool) -> messages.Message:
    """What a child is told first; the one that `talks` says what happens to all of them."""
    plain = asdict(settings)
    if settings.access_log is not None:
        plain["access_log"] = str(settings.access_log)
    return {"runs": list(runs), "settings": plain, "talks": talks, "parent": os.getpid()}


def settings_of(plain: dict[str, Any]) -> server.Settings:
    """The settings in a greeting."""
    given = {**plain, "limits": Limits(**plain["limits"])}
    if given["access_log"] is not None:
        given["access_log"] = Path(given["access_log"])
    return server.Settings(**given)


@final
class Parent:
    """The owner of a service that is one of several, at the other end of a socket."""

    def __init__(self, channel: socket.socket, *, talks: bool) -> None:
        self._channel, self._talks = channel, talks
        self._send_bytes: Callable[[bytes], object] = channel.sendall
        self._asked: deque[asyncio.Future[str]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def say(self, text: str) -> None:
        """See `Owner`."""
        if self._talks:
            self._send({"say": text})

    def ready(self) -> None:
        """See `Owner`."""
        self._send({"ready": True})

    def fail(self, error: LenetError) -> None:
        """Say why there is no service."""
        self._send({"error": str(error), "code": error.exit_code})

    def warn(self, message: Warning | str, *place: Any, **_: Any) -> None:
        """Hand on a warning, of any thread, in the place of `warnings.showwarning`."""
        found = {"warning": str(message), "file": place[1], "line": place[2]}
        if self._loop is None:
            self._send(found)
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._send, found)

    @contextmanager
    def giving(self, orders: Orders) -> Iterator[None]:
        """See `Owner`; where the parent is gone, that is an order to end."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._hand_on(orders))
        try:
            yield
        finally:
            task.cancel()

    async def metrics(self, own: Text) -> bytes:  # noqa: ARG002 - they are among those of all
        """See `Owner`; those of all processes.

        Raises:
            Refusal: 503 where too many ask, or the parent does not answer.
        """
        from lenet.serve.answers import busy  # it needs the extra, which the parent looks for

        if len(self._asked) >= MOST_ASKED:
            raise busy("too many ask for metrics; come again later", 503)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._send({"gather": True})
        try:
            async with asyncio.timeout(GATHER_SECONDS):
                return (await answer).encode()
        except TimeoutError:
            raise busy("the other processes cannot be asked now; come again later", 503) from None

    def _send(self, message: messages.Message) -> None:
        with suppress(OSError):  # the parent is gone; who reads from it hears of that
            self._send_bytes(messages.encode(message))

    async def _hand_on(self, orders: Orders) -> None:
        ended = False
        async for message in self._messages():
            if "end" in message:
                ended = True
                orders.end()
            elif "reload" in message:
                orders.reload()
            elif "count" in message:
                self._send({"count": message["count"], "text": orders.count().decode()})
            elif "gathered" in message:
                self._answer(message["gathered"])
        if not ended:
            orders.end()

    async def _messages(self) -> AsyncIterator[messages.Message]:
        """From the parent, until it is gone; from now on nothing waits for it to take ours."""
        reader, writer = await asyncio.open_unix_connection(sock=self._channel)
        self._send_bytes = writer.write
        while (message := await messages.read(reader)) is not None:
            yield message

    def _answer(self, text: str) -> None:
        """To the first that has asked, who may be gone: answers come in the order of questions."""
        answer = self._asked.popleft()
        if not answer.done():
            answer.set_result(text)


def _hear_no_signals() -> None:
    """A system that ends a service sends signals to all of its processes: the parent decides."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _outlive(parent: int, seconds: float) -> None:
    """Go on for so long without a parent, and a little: an event loop may be stuck."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        time.sleep(seconds + LAST_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _inherited(number: int) -> socket.socket:
    found = socket.socket(fileno=number)
    found.set_inheritable(False)
    return found
