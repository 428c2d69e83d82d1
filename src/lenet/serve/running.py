"""A service while it runs: hears its owner, sees checkpoints, and ends with all answers given."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import final

import uvicorn

from lenet.errors import LenetError
from lenet.serve.application import Application
from lenet.serve.connection import Connection, sweep
from lenet.serve.models import Served, Watch
from lenet.serve.owner import Orders, Owner

BACKLOG = 1024
SWEEP_SECONDS = 1.0
SO_ATTACH_FILTER = 26
"""Of Linux; Python has no name for it."""

PASS_OVER_FIRST_PACKETS = (
    (0x30, 0, 0, 13),  # load the byte of a TCP header that holds its flags,
    (0x54, 0, 0, 0x12),  # of these SYN and ACK;
    (0x15, 0, 1, 0x02),  # SYN alone begins a handshake:
    (0x06, 0, 0, 0),  # keep nothing of it,
    (0x06, 0, 0, 0xFFFFFFFF),  # and all of any other
)
"""A filter of packets (BPF): code, jumps if true and if false, operand."""

HANDSHAKE_SECONDS = 0.1
"""For the handshakes that have begun before listening ends."""

LOOKS = 3
"""Turns of the event loop that cover one whole look at all sockets, wherever the first begins."""

LULL_SECONDS = 0.5
"""After the listening has ended: requests of connections that were open are still taken."""

FAULTS = logging.getLogger("uvicorn.error")


async def run(application: Application, sockets: list[socket.socket], owner: Owner) -> None:
    """Serve on `sockets` until `owner` ends it, who hears when all is ready."""
    application.start()
    server = Server(application, owner)
    connections = server.server_state.connections
    application.connections = lambda: len(connections)
    application.gather = owner.metrics

    def installed(served: Served) -> None:
        application.find_routes()
        owner.say(f"{served.name}: version {served.version} answers from now on")

    def failed(name: str, error: LenetError) -> None:
        owner.say(f"{name}: the version of before stays: {error}")

    loop = asyncio.get_running_loop()
    watch = Watch(application.models, loop.call_soon_threadsafe, installed, failed)
    sweeping = asyncio.create_task(sweep(connections, SWEEP_SECONDS))
    try:
        with owner.giving(Orders(server.end, watch.reload, application.count)):
            await server.serve(sockets)
    finally:
        sweeping.cancel()
        watch.close()
        application.close()


@final
class Server(uvicorn.Server):
    """uvicorn's, with an end at which nothing is lost."""

    def __init__(self, application: Application, owner: Owner) -> None:
        limits = application.limits
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=int(2 * limits.idle_seconds),  # the sweep is what closes
                timeout_graceful_shutdown=int(limits.grace_seconds),
            )
        )
        FAULTS.setLevel(logging.ERROR)  # clients' doings are no news
        self._application, self._owner = application, owner

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn's own would raise the signal again at the end; see `User`."""
        yield

    def end(self) -> None:
        """Answer what is in flight; asked again, cut it off."""
        if self.should_exit:
            self.force_exit = True
            FAULTS.setLevel(logging.CRITICAL)  # what is cut off is none
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn; says it."""
        await super().startup(sockets)
        self._owner.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say it to probes and clients, listen on for a while, and then let uvicorn end."""
        self._application.draining = True
        self._owner.say("ending: what is in flight is answered")
        await self._pause(self._application.limits.drain_seconds)
        queues = [one.dup() for one in sockets or ()]
        for listening in self.servers:
            listening.close()
        for queue in queues:
            _take_no_more(queue)
        await self._pause(HANDSHAKE_SECONDS)
        for queue in queues:
            await self._take_all(queue)
        await self._pause(LULL_SECONDS)
        await _hear_all()
        await super().shutdown(sockets)

    async def _take_all(self, queue: socket.socket) -> None:
        """Take the connections that the system has accepted and nobody here has seen.

        Where a socket that listens is closed, the system resets them, with their requests.
        """
        loop = asyncio.get_running_loop()
        queue.setblocking(False)
        taken = []
        with queue, suppress(OSError):  # there is none any more
            while True:
                taken.append(queue.accept()[0])
        for one in taken:
            await loop.connect_accepted_socket(self._connection, one)

    def _connection(self) -> asyncio.Protocol:
        return Connection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.force_exit and loop.time() < end:
            await asyncio.sleep(0.05)


async def _hear_all() -> None:
    """Let the loop read what has come meanwhile: after a stall it looks at clocks before sockets.

    A connection that is closed with a request unread is reset.
    """
    for _ in range(LOOKS):
        await asyncio.sleep(0)


def _take_no_more(listening: socket.socket) -> None:
    """Let the system pass over who connects from now on: they try again, and are refused.

    Otherwise who comes between the last one taken and the end of listening is reset. A filter of
    first packets does it (socket(7), SO_ATTACH_FILTER); a handshake that has begun still ends, and
    who is in the queue keeps its data.
    """
    if sys.platform == "linux":
        code = b"".join(struct.pack("HBBI", *each) for each in PASS_OVER_FIRST_PACKETS)
        kept = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("HL", len(PASS_OVER_FIRST_PACKETS), ctypes.addressof(kept))
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
