"""A service in several processes, each of which has its own socket at the same port.

The system spreads connections over the sockets.  The parent keeps all of them open and has nothing
to do with a request: it starts the others, hears signals and says sentences for all of them, adds
up what they have counted, and starts one again that has died.  Connections that wait in the socket
of that one are then answered.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, final

from lenet.errors import LenetError, MachineError, UsageError
from lenet.serve import child, messages, server
from lenet.serve.gathering import Gathering
from lenet.serve.owner import Say
from lenet.serve.process import Process
from lenet.serve.server import Settings
from lenet.system.machine import cores

MOST_FAILURES = 5
"""Times in a row that a process may end before it serves."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before one is started again that has died twice and more often in a row."""

STEADY_SECONDS = 30.0
"""Of a life, after which it is not one of a row."""

LAST_SECONDS = 10.0
"""Beyond the limits of an end, or after an order to end at once; then processes are killed."""


def serve(runs: Sequence[str], settings: Settings, say: Say) -> None:
    """As `server.serve`, in as many processes as the settings say.

    Raises:
        UsageError: for more than one process on another system than Linux; as `server.serve`.
        MachineError: if a process ends again and again before it serves.
        LenetError: as `server.serve`.
    """
    if settings.processes == 1:
        server.serve(runs, settings, say)
        return
    if sys.platform != "linux":
        raise UsageError(
            f"--processes {settings.processes}: more than one needs Linux, which spreads "
            "connections over them; leave it out here"
        )
    server.check(settings)
    sockets = listen(settings.host, settings.port, settings.processes)
    asyncio.run(Processes(runs, settings, sockets, say).serve())


def listen(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """So many times the sockets at all addresses of `host`, all at the same port.

    Raises:
        UsageError: if there is no such host, or the port is taken.
    """
    first = server.listen(host, port)
    # Not earlier: a port that another service shares among its own processes would be no error.
    for one in first:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [first, *([server.beside(one) for one in first] for _ in range(count - 1))]


@final
class Processes:
    """All processes of one service; `sockets` are those of each."""

    def __init__(
        self,
        runs: Sequence[str],
        settings: Settings,
        sockets: Sequence[Sequence[socket.socket]],
        say: Say,
    ) -> None:
        self._runs, self._sockets, self._say = runs, sockets, say
        self._hello = server.hello(settings.host, sockets[0])
        threads = max(1, (settings.threads or cores()) // len(sockets))
        self._settings = replace(settings, processes=1, threads=threads)
        self._alive: dict[int, Process] = {}
        self._gathering = Gathering(self._alive.values)
        self._warned: dict[Any, Any] = {}
        self._all_were_ready = False
        self._ending = asyncio.Event()
        self._error: LenetError | None = None

    async def serve(self) -> None:
        """Keep all in service until SIGTERM or Ctrl-C; see the module's `serve`."""
        with self._hearing():
            try:
                await asyncio.gather(*map(self._keep, range(len(self._sockets))))
            finally:
                self._kill()
        if self._error is not None:
            raise self._error

    async def _keep(self, number: int) -> None:
        """Start a process, and again where it dies."""
        loop = asyncio.get_running_loop()
        deaths = failures = 0
        while not self._ending.is_set():
            begun = loop.time()
            has_served, reason = await self._live(number)
            if self._ending.is_set():
                return
            failures = 0 if has_served else failures + 1
            deaths = 0 if loop.time() - begun > STEADY_SECONDS else deaths + 1
            name = f"process {number + 1} of {len(self._sockets)} {reason}"
            if failures == MOST_FAILURES:
                self._fail(_hopeless(name))
                return
            self._say(f"{name}; it is started again")
            await self._pause(deaths)

    async def _live(self, number: int) -> tuple[bool, str]:
        """A process from its start to its end: whether it has served, and how it ended."""
        first = child.greeting(self._runs, self._settings, talks=number == 0)
        try:
            process = await Process.start(self._sockets[number], first)
        except OSError as error:
            return False, f"cannot be started ({error.strerror})"
        self._alive[number] = process
        if self._ending.is_set():  # it could not be told
            process.kill()
        has_served, reason = False, ""
        async for message in process.messages():
            if "ready" in message:
                has_served = True
            if "error" in message:
                reason = message["error"]
                self._fail_at_start(message)
            else:
                self._hear(process, message)
        code = await process.ended()
        del self._alive[number]
        self._gathering.forget(process)
        return has_served, f"has ended ({reason or _describe(code)})"

    def _hear(self, process: Process, message: messages.Message) -> None:
        if "say" in message:
            self._say(message["say"])
        elif "warning" in message:
            self._warn(message)
        elif "gather" in message:
            self._gathering.ask(process)
        elif "count" in message:
            self._gathering.hear(process, message)
        elif "ready" in message:
            process.is_ready = True
            self._say_hello()

    def _warn(self, message: messages.Message) -> None:
        """As if it were of this process, once for all of them."""
        warnings.warn_explicit(
            message["warning"],
            UserWarning,
            message["file"],
            message["line"],
            registry=self._warned,
        )

    def _say_hello(self) -> None:
        ready = [each.is_ready for each in self._alive.values()]
        if ready.count(True) == len(self._sockets) and not self._all_were_ready:
            self._all_were_ready = True
            self._say(self._hello)

    def _end(self) -> None:
        """Let all answer what is in flight; a second time, or before all are ready, end at once."""
        settings = self._settings
        seconds = LAST_SECONDS
        if not self._ending.is_set():
            seconds += settings.limits.drain_seconds + settings.limits.grace_seconds
        self._ending.set()
        for one in (one for each in self._sockets for one in each):
            one.close()  # where nobody listens any more, who connects is to be refused
        for process in self._alive.values():
            process.send({"end": True})
        if not self._all_were_ready:
            self._kill()
        asyncio.get_running_loop().call_later(seconds, self._kill)

    def _reload(self) -> None:
        for process in self._alive.values():
            process.send({"reload": True})

    def _kill(self) -> None:
        for process in self._alive.values():
            process.kill()

    def _fail_at_start(self, message: messages.Message) -> None:
        """What keeps one process from serving the first time keeps all of them."""
        if not self._all_were_ready:
            error = LenetError(message["error"])
            error.exit_code = message["code"]
            self._fail(error)

    def _fail(self, error: LenetError) -> None:
        if not self._ending.is_set():
            self._error = error
            self._end()

    async def _pause(self, deaths: int) -> None:
        seconds = 0.0 if deaths < 2 else min(FIRST_PAUSE * 2.0 ** (deaths - 2), LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the service, a second one at once; SIGHUP loads all again."""
        loop = asyncio.get_running_loop()
        heard = {
            signal.SIGTERM: self._end,
            signal.SIGINT: self._end,
            signal.SIGHUP: self._reload,
        }
        before = {number: signal.getsignal(number) for number in heard}
        for number, called in heard.items():
            loop.add_signal_handler(number, called)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _hopeless(name: str) -> MachineError:
    return MachineError(
        f"{name}, {MOST_FAILURES} times before it served anybody; "
        "see whether it can serve alone, without --processes"
    )
