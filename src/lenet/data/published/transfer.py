"""One file from one mirror: over HTTPS, within limits of time and size."""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from lenet.data.progress import Progress
from lenet.data.published.limits import Limits
from lenet.errors import DownloadError, SlowMirrorError

REDIRECTS = 5

CHECK_SECONDS = 0.1
"""Between two looks at how fast a transfer is."""

CUT_SECONDS = 1.0
"""How long a transfer that was cut off may take to end."""


def transfer(
    url: str,
    path: Path,
    name: str,
    limit: int,
    progress: Progress,
    limits: Limits,
    seconds: float = math.inf,
) -> None:
    """Write what `url` serves, at most `limit` bytes, to `path`; tell `progress` about `name`.

    Proxies come from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, and certificates from
    SSL_CERT_FILE and SSL_CERT_DIR, where the environment sets them.  After `seconds` it ends in any
    case.

    Raises:
        SlowMirrorError: if the server is slower than `limits` have it.
        DownloadError: if the server cannot be reached or does not deliver.
        OSError: if `path` cannot be written.
    """
    pace = _Pace(limits, seconds)
    thread = _Thread(lambda: _receive(url, path, name, limit, progress, limits, pace))
    try:
        while not thread.ended.wait(CHECK_SECONDS):
            if pace.is_lost():
                raise SlowMirrorError(pace.describe())
    except BaseException:  # a signal too
        pace.cut()
        thread.ended.wait(CUT_SECONDS)  # it ends by itself, unless it waits for a name server
        raise
    if thread.error is not None:
        raise thread.error


def _receive(
    url: str,
    path: Path,
    name: str,
    limit: int,
    progress: Progress,
    limits: Limits,
    pace: _Pace,
) -> None:
    with _open_client(url, limits) as client:
        try:
            with client.stream("GET", url, extensions={"trace": pace.watch}) as response:
                _store(response, path, name, limit, progress, pace)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not pace.passed:
                raise DownloadError(str(error) or type(error).__name__) from error


@contextmanager
def _open_client(url: str, limits: Limits) -> Iterator[httpx.Client]:
    def refuse_insecure(request: httpx.Request) -> None:
        _check_url(request.url, httpx.URL(url))

    try:
        client = httpx.Client(
            timeout=httpx.Timeout(limits.read, connect=limits.connect),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=True,
            max_redirects=REDIRECTS,
            event_hooks={"request": [refuse_insecure]},
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        # httpx reads proxies and certificates when the client is made.
        raise DownloadError(
            f"the proxy or certificates that the environment names cannot be used: {error}"
        ) from error
    with client:
        yield client


def _check_url(url: httpx.URL, mirror: httpx.URL) -> None:
    """Only HTTPS.  Plain HTTP only from and to this machine's loopback, where nobody listens in."""
    if url.scheme == "https" or (_is_plain_loopback(url) and _is_plain_loopback(mirror)):
        return
    raise DownloadError(f"{url} is not https: refused")


def _is_plain_loopback(url: httpx.URL) -> bool:
    try:
        return url.scheme == "http" and ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False


def _store(
    response: httpx.Response,
    path: Path,
    name: str,
    limit: int,
    progress: Progress,
    pace: _Pace,
) -> None:
    if response.status_code != 200:
        raise DownloadError(f"it answered {response.status_code} {response.reason_phrase}")
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    done = 0
    with open(path, "wb") as file:
        for block in response.iter_raw():
            if not done and block.lstrip()[:1] == b"<":
                raise DownloadError(f"it sent a web page instead of the file: {block[:40]!r}")
            done += len(block)
            if done > limit:
                raise DownloadError(f"it sent more than the {limit} bytes that the file can have")
            if pace.passed:
                return
            file.write(block)
            pace.done = done
            progress(name, done, total)


class _Pace:
    """How fast a transfer is; cuts it off, wherever it waits.

    httpx bounds each wait for bytes but not their sum, so a server that sends a byte now and then,
    even in its headers, could hold on for ever.
    """

    def __init__(self, limits: Limits, seconds: float) -> None:
        self.passed = False
        self.done = 0
        self._limits, self._seconds = limits, seconds
        self._started = time.monotonic()
        self._connections: list[socket.socket] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the transfer began."""
        return time.monotonic() - self._started

    def is_lost(self) -> bool:
        """Whether it is too slow, or its time is over."""
        over = self.elapsed - self._limits.overall
        return self.elapsed > self._seconds or self.done < over * self._limits.slowest

    def describe(self) -> str:
        """How slow it was."""
        return f"too slow: not whole after {self.elapsed:.0f} s, {self.done:,} bytes are here"

    def watch(self, _event: str, details: dict[str, Any]) -> None:
        """Remember each connection that httpx opens; it calls this at every step of a request."""
        stream = details.get("return_value")
        if stream is not None and hasattr(stream, "get_extra_info"):
            self._connections.append(stream.get_extra_info("socket"))
            if self.passed:
                self.cut()

    def cut(self) -> None:
        """End it."""
        self.passed = True
        for connection in self._connections:
            with suppress(OSError):  # It may be closed already.
                connection.shutdown(socket.SHUT_RDWR)


class _Thread:
    """A call in a thread, so that a signal reaches the one that waits for it at any moment.

    A look-up of a name cannot be interrupted, and takes minutes where no server answers.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self.ended = threading.Event()
        self.error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # raised again by the thread that waits
            self.error = error
        finally:
            self.ended.set()
