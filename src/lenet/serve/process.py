"""One of the processes of a service, as its parent sees it; `child` is its own side."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import final

from lenet.serve import messages
from lenet.system.tasks import program

END_SECONDS = 10.0
"""For a process that does not speak any more, to be gone; then it is killed."""


@final
class Process:
    """From its start to its end."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.is_ready = False
        self.text, self.turn = "", 0
        """What it has counted, and when it was asked for that."""

    @classmethod
    async def start(cls, sockets: Sequence[socket.socket], first: messages.Message) -> Process:
        """A new one that has `sockets` to listen on, and is told `first`.

        Raises:
            OSError: where the system starts none.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # Nothing is waited for before it has them: an end may close ours at any time.
                numbers = [one.fileno() for one in (theirs, *sockets)]
                process = await asyncio.create_subprocess_exec(
                    *program("lenet.serve.child", *map(str, numbers)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=numbers,
                    start_new_session=True,  # what a terminal sends is for the parent
                )
        except OSError:
            ours.close()
            raise
        started = cls(process, *await asyncio.open_unix_connection(sock=ours))
        started.send(first)
        return started

    def send(self, message: messages.Message) -> None:
        """Write to it, if it is there."""
        if not self._writer.is_closing():
            self._writer.write(messages.encode(message))

    async def messages(self) -> AsyncIterator[messages.Message]:
        """What it says, until its end."""
        while (message := await messages.read(self._reader)) is not None:
            yield message

    async def ended(self) -> int:
        """Its exit code, or less than 0 where a signal has ended it."""
        self.is_ready = False
        self._writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                return await self._process.wait()
        self.kill()
        return await self._process.wait()

    def kill(self) -> None:
        """End it, wherever it is."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
