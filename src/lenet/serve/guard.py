"""Who may ask: the host that a request names, its token, and the pages that may read answers."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from lenet.errors import UsageError
from lenet.serve.answers import Answer, Headers, Refusal

LOCAL = "localhost"
EVERY = "*"

ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\w[\w.-]*|\[[\da-f:.]+\])(?::(\d{1,5}))?/?", re.ASCII)
HOST = re.compile(r"\w[\w.-]*(:\d{1,5})?", re.ASCII)

LARGEST_PORT = 65535
USUAL_PORTS = {"http": 80, "https": 443}
"""Which no browser names."""

MOST_KNOWN = 1000
"""Values of Host whose check is remembered."""

METHODS, HEADERS = (
    b"GET, HEAD, POST",
    b"authorization, content-type, inference-header-content-length",
)


@dataclass(slots=True)
class Guard:
    """The rules of one service.

    `hosts` are names beside `localhost` and IP addresses, which no foreign page can take for its
    own (DNS rebinding); `origins` are those of pages that may read answers (CORS).  Both are kept
    as `read_host` and `read_origin` give them, which raise `UsageError`.
    """

    hosts: Sequence[str] = ()
    token: str | None = None
    origins: Sequence[str] = ()
    _known: dict[bytes, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hosts = [read_host(each) for each in self.hosts]
        self.origins = [read_origin(each) for each in self.origins]

    def check_host(self, host: bytes) -> None:
        """Raises `Refusal` 421 if a request is for another host."""
        known = self._known.get(host)
        if known is None:
            known = self._is_ours(host)
            if len(self._known) < MOST_KNOWN:
                self._known[host] = known
        if not known:
            raise Refusal(
                421,
                "this service does not answer to that Host; it is told of more with --allow-host",
            )

    def check_token(self, authorization: bytes) -> None:
        """Raises `Refusal` 401 unless it is the token, which takes the same time for any other."""
        if self.token is None:
            return
        scheme, _, given = authorization.partition(b" ")
        right = hmac.compare_digest(given.strip(), self.token.encode())
        if scheme.lower() != b"bearer" or not right:
            raise Refusal(
                401,
                "send the token of this service: Authorization: Bearer TOKEN",
                ((b"www-authenticate", b"Bearer"),),
            )

    def headers(self, origin: bytes) -> Headers:
        """For an answer to a page of `origin`; none unless that is allowed."""
        if origin.decode("latin-1") not in self.origins:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"inference-header-content-length, retry-after"),
            (b"vary", b"origin"),
        )

    def preflight(self, origin: bytes) -> Answer | None:
        """To a browser that asks first, beside `headers`; None for a page that is not allowed."""
        if not self.headers(origin):
            return None
        more = (
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", HEADERS),
            (b"access-control-max-age", b"600"),
        )
        return Answer(HTTPStatus.NO_CONTENT, b"", headers=more)

    def _is_ours(self, host: bytes) -> bool:
        name = _plain(host.decode("latin-1"))
        return EVERY in self.hosts or name == LOCAL or name in self.hosts or is_address(name)


def read_host(text: str) -> str:
    """The name of a host in the one way in which requests are compared with it.

    Raises:
        UsageError: if no request can be for it.
    """
    name = _plain(text)
    if text != EVERY and not HOST.fullmatch(text) and not is_address(name):
        raise UsageError(
            f"--allow-host {text}: name a host alone, as example.org, in ASCII; {EVERY} is any"
        )
    return name


def read_origin(text: str) -> str:
    """An origin as browsers send it: in small letters, without its scheme's usual port.

    Raises:
        UsageError: if no page can have it.
    """
    found = ORIGIN.fullmatch(text.lower())
    scheme, host, port = found.groups("") if found else ("", "", "")
    if not host or int(port or 0) > LARGEST_PORT:
        raise UsageError(
            f"--cors {text}: name one page's origin, as https://example.org or "
            "http://localhost:3000, in ASCII and without a path"
        )
    shown = port and int(port) != USUAL_PORTS.get(scheme)
    return f"{scheme}://{host}:{int(port)}" if shown else f"{scheme}://{host}"


def _plain(host: str) -> str:
    return _without_port(host).lower().rstrip(".")


def _without_port(host: str) -> str:
    if host.startswith("["):
        inside, bracket, _ = host[1:].partition("]")
        return inside if bracket else ""
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_address(name: str) -> bool:
    """Whether it is an IP address and not a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
