"""Every number that keeps a service from growing, waiting or working without bound."""

from __future__ import annotations

from dataclasses import dataclass, fields

from lenet.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request, a connection and the whole service may take; all on by default.

    Raises:
        UsageError: if a number is not above 0.
    """

    body_bytes: int = 16 << 20
    """Of one request; more is 413."""
    json_bytes: int = 4 << 20
    """Of JSON in a request: parsing holds Python's lock, at about 10 milliseconds for all of it."""
    bodies_bytes: int = 256 << 20
    """Of all requests at hand together; more is 429."""
    pixels: int = 16_000_000
    """Of a picture, before it is decoded; more is 422."""
    images: int = 1024
    """In one request of tensors; more is 413."""
    pictures: int = 64
    """Files in one request; more is 413."""
    queue: int = 64
    """Requests that wait for a worker; more is 429."""
    seconds: float = 30.0
    """For a body to arrive (else 408), an answer to be made (else 503) and to be taken."""
    head_seconds: float = 10.0
    """For a request's line and headers to arrive, from its first byte or the connection's start."""
    idle_seconds: float = 60.0
    """Between two requests of a connection."""
    head_bytes: int = 16 << 10
    """Of a request's line and headers; more is 431."""
    connections: int = 2000
    """Open at once; for a further one the longest idle one is closed, or it is answered 503."""
    drain_seconds: float = 1.0
    """After SIGTERM, in which new connections are still taken while ready says 503."""
    grace_seconds: float = 30.0
    """After those, for what is in flight."""
    stuck_seconds: float = 120.0
    """Of one piece of work, after which the service is not live any more."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                value = getattr(self, field.name)
                raise UsageError(f"{field.name} = {value}: a limit must be above 0")
