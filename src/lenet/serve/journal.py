"""The access log: a line of JSON for each request, written aside and never waited for."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import orjson

from lenet.errors import MachineError

MOST_LINES = 20_000
"""That wait to be written; where the disk or the pipe is slower than this, the oldest are lost."""

MOST_BYTES = 4096
"""That a pipe takes as a whole (PIPE_BUF of Linux); a line has a fraction of it."""

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
        self._is_pipe = not stat.S_ISREG(os.fstat(self._file).st_mode)
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
        try:
            for piece in self._pieces(some):
                content = memoryview(piece)
                while content:
                    content = content[os.write(self._file, content) :]
        except OSError:  # a full disk, a reader that has left
            self.lost += len(some)

    def _pieces(self, lines: list[bytes]) -> Iterator[bytes]:
        """What is written at once, so that no line of another process comes between."""
        if not self._is_pipe:  # a file takes any number of bytes as a whole
            yield b"".join(lines)
            return
        piece = b""
        for line in lines:
            if len(piece) + len(line) > MOST_BYTES:
                yield piece
                piece = b""
            piece += line
        yield piece
