"""How a service is started: what it needs, what would not be safe, where it listens."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lenet.errors import MissingExtraError, UsageError
from lenet.serve.limits import Limits
from lenet.serve.owner import Owner, Say, User
from lenet.system.machine import cores

if TYPE_CHECKING:
    from lenet.serve.models import Models

NEEDED = ("uvicorn", "httptools", "orjson", "prometheus_client", "python_multipart")

SHORTEST_TOKEN = 16


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
    processes: int = 1
    limits: Limits = field(default_factory=Limits)


def serve(runs: Sequence[str], settings: Settings, say: Say) -> None:
    """Serve the networks of `runs` until SIGTERM or Ctrl-C, and end with all answers given.

    `say` is told in a sentence where the service listens, and what happens to it.

    Raises:
        MissingExtraError: without the extra.
        UsageError: if the settings are not safe, or nobody can listen there.
        LenetError: as `Models.open`.
    """
    check(settings)
    models = open_models(runs, settings)
    sockets = listen(settings.host, settings.port)
    answer(models, settings, sockets, User(say, hello(settings.host, sockets)))


def check(settings: Settings) -> None:
    """Whether there can be such a service.

    Raises:
        MissingExtraError: without the extra.
        UsageError: if the settings are not safe, or name a host or an origin that there cannot be.
    """
    _check_extra()
    _check_safe(settings)


def open_models(runs: Sequence[str], settings: Settings) -> Models:
    """The networks of `runs`.

    Raises:
        LenetError: as `Models.open`.
    """
    from lenet.serve.models import Choice, Models

    models = Models(Choice(settings.which, settings.engine, settings.threads))
    models.open(runs)
    return models


def answer(models: Models, settings: Settings, sockets: list[socket.socket], owner: Owner) -> None:
    """Answer with `models` on `sockets` until `owner` ends it.

    Raises:
        MachineError: if the access log cannot be opened.
    """
    from lenet.serve.application import Application
    from lenet.serve.guard import Guard
    from lenet.serve.journal import Journal
    from lenet.serve.running import run

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
        owner.say(f"{each.name}: {each.network.spec.name}, version {each.version}")
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run(application, sockets, owner))
    finally:
        if journal is not None:
            journal.close()


def hello(host: str, sockets: Sequence[socket.socket]) -> str:
    """Where the service listens, as a sentence."""
    port = sockets[0].getsockname()[1]
    place = f"[{host}]" if ":" in host else host
    return f"serving at http://{place}:{port} (Ctrl-C ends)"


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets at all addresses of `host`; with port 0 at any free one.

    Raises:
        UsageError: if there is no such host, or the port is taken.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            one = _socket(family)
            sockets.append(one)
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


def beside(one: socket.socket) -> socket.socket:
    """Another socket at the address and port of `one`, which shares them."""
    other = _socket(one.family)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    other.bind(one.getsockname())
    return other


def _socket(family: int) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return found


def _addresses(host: str, port: int) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _check_extra() -> None:
    for name in NEEDED:
        if find_spec(name) is None:
            raise MissingExtraError("lenet serve", name.replace("_", "-"), "serve")


def _check_safe(settings: Settings) -> None:
    """Refuse to be open to other machines without a token, unless that is wanted."""
    from lenet.serve.guard import Guard

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
    Guard(settings.hosts, token, settings.origins)  # what can never match is said at the start


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
