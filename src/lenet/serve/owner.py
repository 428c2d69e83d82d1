"""Whoever has started a service: is told what becomes of it, and says when it is to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

Say = Callable[[str], None]

Text = Callable[[], bytes]
"""What a process has counted, as Prometheus reads it."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a running service can be told."""

    end: Callable[[], None]
    """With all answers given; a second time, at once."""
    reload: Callable[[], None]
    """All networks, now."""
    count: Text


class Owner(Protocol):
    """What a service needs of whoever has started it."""

    def say(self, text: str) -> None:
        """Hear a sentence about the service."""

    def ready(self) -> None:
        """Hear that it listens from now on."""

    def giving(self, orders: Orders) -> AbstractContextManager[None]:
        """Give `orders` while this is entered, on the event loop."""

    async def metrics(self, own: Text) -> bytes:
        """The answer to who asks for metrics; those of the process that is asked are `own`."""


@final
class User:
    """Reads sentences, and sends signals."""

    def __init__(self, say: Say, hello: str) -> None:
        self._say, self._hello = say, hello

    def say(self, text: str) -> None:
        """See `Owner`."""
        self._say(text)

    def ready(self) -> None:
        """See `Owner`."""
        self._say(self._hello)

    @contextmanager
    def giving(self, orders: Orders) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the service, a second one at once; SIGHUP loads all again."""
        heard: dict[int, Callable[[int, Any], None]] = {
            signal.SIGTERM: lambda _number, _frame: orders.end(),
            signal.SIGINT: lambda _number, _frame: orders.end(),
        }
        if hasattr(signal, "SIGHUP"):
            heard[signal.SIGHUP] = lambda _number, _frame: orders.reload()
        before = {number: signal.signal(number, handler) for number, handler in heard.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def metrics(self, own: Text) -> bytes:
        """See `Owner`; there are no others."""
        return own()
