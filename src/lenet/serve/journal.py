"""The access log: a line of JSON for each request, written aside and never waited for."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Any, final

import orjson

from lenet.errors import MachineError

MOST_LINES = 20_000
"""That wait to be written; where the disk or the pipe is slower than this, the oldest are lost."""

PAUSE = 0.2
"""Seconds between two writes."""

STANDARD_OUTPUT = Path("-")


@final
class Journal:
    """Appends lines to a file, or to the standard output for `-`.

    Raises:
        MachineError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = (
                os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
                if path != STANDARD_OUTPUT
                else os.dup(1)
            )
        except OSError as error:
            raise MachineError(
                f"{path}: cannot write an access log here: {error.strerror}"
            ) from error
        self._lines: deque[dict[str, Any]] = deque()
        self.lost = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def add(self, line: dict[str, Any]) -> None:
        """Remember one line."""
        if len(self._lines) >= MOST_LINES:
            self._lines.popleft()
            self.lost += 1
        self._lines.append(line)

    def close(self) -> None:
        """Write what is left, if that takes no longer than a few seconds."""
        self._ended.set()
        self._thread.join(5.0)

    def _write(self) -> None:
        while not self._ended.wait(PAUSE):
            self._flush()
        self._flush()
        os.close(self._file)

    def _flush(self) -> None:
        some = []
        while self._lines:
            some.append(orjson.dumps(self._lines.popleft(), option=orjson.OPT_APPEND_NEWLINE))
        content = memoryview(b"".join(some))
        try:
            while content:
                content = content[os.write(self._file, content) :]
        except OSError:  # a full disk, a reader that has left
            self.lost += len(some)
