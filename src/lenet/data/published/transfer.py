"""One file from one mirror: over HTTPS, within limits of time and size."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from lenet.data.progress import Progress
from lenet.data.published.limits import Limits
from lenet.errors import DownloadError

REDIRECTS = 5


def transfer(
    url: str, path: Path, name: str, limit: int, progress: Progress, limits: Limits
) -> None:
    """Write what `url` serves, at most `limit` bytes, to `path`; tell `progress` about `name`.

    Proxies come from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, and certificates from
    SSL_CERT_FILE and SSL_CERT_DIR, where the environment sets them.

    Raises:
        DownloadError: if the server cannot be reached or does not deliver.
        OSError: if `path` cannot be written.
    """
    seconds = limits.overall + limit / limits.slowest
    with _open_client(url, limits) as client, _Deadline(seconds) as deadline:
        try:
            with client.stream("GET", url, extensions={"trace": deadline.watch}) as response:
                _store(response, path, name, limit, progress)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not deadline.passed:
                raise DownloadError(str(error) or type(error).__name__) from error
        if deadline.passed:
            raise DownloadError(f"too slow: not whole after {seconds:.0f} s")


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


def _store(response: httpx.Response, path: Path, name: str, limit: int, progress: Progress) -> None:
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
            file.write(block)
            progress(name, done, total)


class _Deadline:
    """Cuts a transfer off when its time is over, wherever it waits.

    httpx bounds each wait for bytes but not their sum, so a server that sends a byte now and then,
    even in its headers, could hold on for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._connections: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, _event: str, details: dict[str, Any]) -> None:
        """Remember each connection that httpx opens; it calls this at every step of a request."""
        stream = details.get("return_value")
        if stream is not None and hasattr(stream, "get_extra_info"):
            self._connections.append(stream.get_extra_info("socket"))
            if self.passed:
                self._cut()

    def _cut(self) -> None:
        self.passed = True
        for connection in self._connections:
            with suppress(OSError):  # It may be closed already.
                connection.shutdown(socket.SHUT_RDWR)
