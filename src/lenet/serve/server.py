"""A service from its start to its end: loads, listens, hears signals, and ends when told to."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lenet.errors import LenetError, MissingExtraError, UsageError
from lenet.serve.guard import EVERY
from lenet.serve.limits import Limits
from lenet.system.machine import cores

if TYPE_CHECKING:
    from lenet.serve.application import Application
    from lenet.serve.models import Served

NEEDED = ("uvicorn", "httptools", "orjson", "prometheus_client", "python_multipart")

BACKLOG = 1024
SHORTEST_TOKEN = 16
SWEEP_SECONDS = 1.0
LULL_SECONDS = 0.5
"""After the listening has ended: requests of connections that were open are still taken."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve.

    `hosts` are names that requests may be for, beside `localhost` and addresses; `origins` are
    those of pages that may read answers; `access_log` is a file, or `-`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    insecure: bool = False
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    access_log: Path | None = None
    which: str | None = None
    engine: str = "auto"
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)


def check_extra() -> None:
    """Raises `MissingExtraError` where one of the libraries is missing."""
    for name in NEEDED:
        if find_spec(name) is None:
            raise MissingExtraError("lenet serve", name.replace("_", "-"), "serve")


def serve(runs: Sequence[str], settings: Settings, say: Callable[[str], None]) -> None:
    """Serve the networks of `runs` until SIGTERM or Ctrl-C, and end with all answers given.

    `say` is told in a sentence where the service listens, and what happens to it.

    Raises:
        MissingExtraError: without the extra.
        UsageError: if the settings are not safe, or nobody can listen there.
        LenetError: as `Models.open`.
    """
    check_extra()
    _check_safe(settings)
    from lenet.serve.application import Application
    from lenet.serve.guard import Guard
    from lenet.serve.journal import Journal
    from lenet.serve.models import Choice, Models

    models = Models(Choice(settings.which, settings.engine, settings.threads))
    models.open(runs)
    sockets = listen(settings.host, settings.port)
    journal = None if settings.access_log is None else Journal(settings.access_log)
    _allow_many_files(settings.limits.connections)
    application = Application(
        models,
        settings.limits,
        Guard(settings.hosts, settings.token, settings.origins),
        settings.threads or cores(),
        journal,
    )
    for each in models.newest():
        say(f"{each.name}: {each.network.spec.name}, version {each.version}")
    port = sockets[0].getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    hello = f"serving at http://{host}:{port} (Ctrl-C ends)"
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(application, sockets, say, hello))
    finally:
        if journal is not None:
            journal.close()


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets at all addresses of `host`; with port 0 at any free one.

    Raises:
        UsageError: if there is no such host, or the port is taken.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            free = port or sockets[0].getsockname()[1] if len(sockets) > 1 else port
            one.bind((address, free))
    except (OSError, OverflowError) as error:
        for one in sockets:
            one.close()
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{host}:{port}: cannot listen here: {reason}; choose another --host or --port"
        ) from error
    return sockets


def _addresses(host: str, port: int) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _check_safe(settings: Settings) -> None:
    """Refuse to be open to other machines without a token, unless that is wanted."""
    token = settings.token
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii()):
        raise UsageError(
            f"a token has at least {SHORTEST_TOKEN} letters of ASCII; make one with: "
            "openssl rand -hex 24"
        )
    if token is None and not settings.insecure and not _is_loopback(settings.host, settings.port):
        raise UsageError(
            f"--host {settings.host} lets other machines ask: set a --token that they must know, "
            "or say --insecure if something before this service checks them"
        )
    for origin in settings.origins:
        if origin == EVERY or "://" not in origin:
            raise UsageError(f"--cors {origin}: name one page's origin, as https://example.org")


def _is_loopback(host: str, port: int) -> bool:
    try:
        found = _addresses(host, port)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"--host {host}: there is no such host here") from error
    return all(ipaddress.ip_address(place.partition("%")[0]).is_loopback for _, place in found)


def _allow_many_files(connections: int) -> None:
    """Raise this process's own limit of open files, as far as the system lets it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 100
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where there is one."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


async def _serve(
    application: Application, sockets: list[socket.socket], say: Callable[[str], None], hello: str
) -> None:
    import uvicorn

    from lenet.serve.connection import Connection, sweep
    from lenet.serve.models import Watch

    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what clients do is no warning
    limits = application.limits
    config = uvicorn.Config(
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
    application.start()
    server = _server(config, application, say, hello)
    connections = server.server_state.connections
    application.connections = lambda: len(connections)

    def installed(served: Served) -> None:
        application.find_routes()
        say(f"{served.name}: version {served.version} answers from now on")

    def failed(name: str, error: LenetError) -> None:
        say(f"{name}: the version of before stays: {error}")

    loop = asyncio.get_running_loop()
    watch = Watch(application.models, loop.call_soon_threadsafe, installed, failed)
    sweeping = asyncio.create_task(sweep(connections, SWEEP_SECONDS))
    try:
        with _hearing(server, watch.reload):
            await server.serve(sockets)
    finally:
        sweeping.cancel()
        watch.close()
        application.close()


def _server(config: Any, application: Application, say: Callable[[str], None], hello: str) -> Any:
    import uvicorn

    from lenet.serve.connection import Connection

    @final
    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Nothing: uvicorn's own would raise the signal again at the end; see `_hearing`."""
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Say that all is ready when it is."""
            await super().startup(sockets)
            say(hello)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Say it to probes and clients, listen on for a while, and then let uvicorn end."""
            application.draining = True
            say("ending: what is in flight is answered")
            await self._pause(application.limits.drain_seconds)
            queues = [one.dup() for one in sockets or ()]
            for listening in self.servers:
                listening.close()
            for queue in queues:
                await self._take_all(queue)
            await self._pause(LULL_SECONDS)
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
            end = asyncio.get_running_loop().time() + seconds
            while not self.force_exit and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.05)

    return Server(config)


@contextmanager
def _hearing(server: Any, reload: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the service, a second one at once; SIGHUP loads all again."""

    def end(_number: int, _frame: Any) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    heard: dict[int, Callable[[int, Any], None]] = {signal.SIGTERM: end, signal.SIGINT: end}
    if hasattr(signal, "SIGHUP"):
        heard[signal.SIGHUP] = lambda _number, _frame: reload()
    before = {number: signal.signal(number, handler) for number, handler in heard.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
