"""Who may ask: the host that a request names, its token, and the pages that may read answers."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from lenet.serve.answers import Answer, Headers, Refusal

LOCAL = "localhost"
EVERY = "*"

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
    own (DNS rebinding); `origins` are those of pages that may read answers (CORS).
    """

    hosts: Sequence[str] = ()
    token: str | None = None
    origins: Sequence[str] = ()
    _known: dict[bytes, bool] = field(default_factory=dict)

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
        name = _without_port(host.decode("latin-1")).lower().rstrip(".")
        allowed = [each.lower() for each in self.hosts]
        return EVERY in allowed or name == LOCAL or name in allowed or is_address(name)


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
