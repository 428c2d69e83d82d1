"""The real service in a process of its own, on loopback, and what its tests send to it."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import numpy as np
from conftest import start_lenet
from PIL import Image

from lenet import data


@dataclass
class Service:
    """`lenet serve`, running; `lines` is what it has printed so far."""

    process: subprocess.Popen
    port: int
    lines: list = field(default_factory=list)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options):
        return httpx.Client(base_url=self.address, timeout=30, trust_env=False, **options)

    def connect(self):
        """A plain socket, for what no client library sends."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, content):
        """Send raw bytes, and read until the other side ends; the status and the JSON."""
        with self.connect() as connection:
            connection.sendall(content)
            return read_answer(connection)

    def metric(self, name):
        """The sum of the metrics whose line begins so."""
        with self.client() as client:
            text = client.get("/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def memory(self):
        """MiB that it holds now, and the most it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return [
            int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM")
        ]

    def wait_for(self, words, seconds=30):
        """Until it has printed a line with these words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(words in line for line in self.lines):
                return
            time.sleep(0.02)
        raise AssertionError(f"{words!r} was not printed in {seconds} s: {self.lines}")

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def serving(*words, env=None):
    """Start it, wait until it listens, and end it with whatever happens."""
    process = start_lenet(
        "serve", *words, "--port", 0, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )  # fmt: skip
    lines = []
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        service = Service(process, 0, lines)
        service.wait_for("serving at http://", 60)
        service.port = int(re.search(r"serving at http://\S+:(\d+)", "".join(lines))[1])
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(5)
        process.stdout.close()
    assert not any("Traceback" in line for line in lines), "".join(lines)


def _read(stream, lines):
    for line in stream:
        lines.append(line)


def read_answer(connection):
    """The status and the body's JSON of an answer after which the connection ends."""
    content = b""
    try:
        while piece := connection.recv(65536):
            content += piece
    except ConnectionResetError:
        pass
    if not content:
        return None, None
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def request(path, body=b"", *headers, method="POST"):
    """A request as it goes over the wire, after which the connection is to end."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close",
             f"Content-Length: {len(body)}", *headers]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def digits(count):
    """The first test images of the bundled digits, uint8 (count, 1, 28, 28)."""
    return _test_images()[:count]


@cache
def _test_images():
    return data.load("digits").test.images


def tensor(images, **more):
    """A request's input, as JSON."""
    return {
        "name": "images", "shape": list(images.shape), "datatype": "UINT8",
        "data": images.ravel().tolist(), **more,
    }  # fmt: skip


def png(image, size=(100, 100)):
    """A picture of a digit as a person has it: dark ink on light paper."""
    stream = io.BytesIO()
    Image.fromarray(255 - np.asarray(image)[0]).resize(size).save(stream, "PNG")
    return stream.getvalue()
