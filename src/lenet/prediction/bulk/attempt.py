"""Which input a process was at when it died: kept where a killed process leaves it."""

from __future__ import annotations

import json
import math
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import final

import numpy as np

from lenet.data.pictures.convention import Convention
from lenet.data.pictures.picture import read_picture
from lenet.errors import FormatError
from lenet.system.tasks import program

MOST_SUSPECTS = 2
"""Inputs at which processes died, after which none is trusted any more."""

MOST_SECONDS = 60.0
"""A picture that takes longer is given up; the slowest real ones take a few."""

SET_SECONDS = 1.0
"""Between two settings of the clock that ends one that takes longer."""


class Attempt:
    """One process's try at a shard.

    The inputs at which earlier tries ended are `suspects`: one of them may have killed its process,
    or it was killed by chance while it was there.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        try:
            before = np.frombuffer(path.read_bytes(), np.int64)
        except (OSError, ValueError):
            before = np.zeros(0, np.int64)
        self.suspects = frozenset(before[before >= 0].tolist())
        path.write_bytes(np.array([-1, *sorted(self.suspects)], np.int64).tobytes())
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def suspects_row(self, row: int) -> bool:
        """Whether input `row` is better read in a process of its own.

        After two deaths at different inputs that is every one that no process has survived yet: a
        shard may hold more pictures that kill than it has tries.
        """
        is_mined = len(self.suspects) >= MOST_SUSPECTS and row > min(self.suspects)
        return is_mined or row in self.suspects

    def at(self, row: int) -> None:
        """The next thing that happens is the reading of input `row` of the shard."""
        struct.pack_into("=q", self._memory, 0, row)

    def end(self) -> None:
        """The shard is done."""
        self._memory.close()
        self._path.unlink(missing_ok=True)


@final
class TimeLimit:
    """Lets the system end this process if one picture takes `MOST_SECONDS`, if it `is_ours`.

    A decoder may never come back to Python, so that nothing milder would do.  The system's clock is
    set at most once a second: for each small picture that would take a tenth of its time.
    """

    def __init__(self, is_ours: bool) -> None:
        self._is_kept = is_ours and hasattr(signal, "setitimer")
        self._set_at = -math.inf

    def __enter__(self) -> TimeLimit:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """A picture begins."""
        now = time.monotonic()
        if self._is_kept and now - self._set_at > SET_SECONDS:
            signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS + SET_SECONDS)
            self._set_at = now

    def stop(self) -> None:
        """What comes now may take as long as it takes."""
        if self._is_kept:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            self._set_at = -math.inf


def try_apart(content: bytes, name: str, shape: tuple[int, ...], convention: Convention) -> None:
    """Read a picture in a process of its own, to see whether it survives.

    Raises:
        FormatError: if it does not.
    """
    words = program(__name__, json.dumps([shape, asdict(convention)]))
    try:
        done = subprocess.run(
            words,
            input=content,
            timeout=MOST_SECONDS,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise FormatError(f"{name}: reading it takes more than {MOST_SECONDS:g} s") from error
    if done.returncode:
        raise FormatError(f"{name}: reading it kills the process (exit {done.returncode})")


def main() -> None:
    """The other side of `try_apart`: a picture on the standard input."""
    shape, convention = json.loads(sys.argv[1])
    try:
        read_picture(sys.stdin.buffer.read(), tuple(shape), Convention(**convention))
    except FormatError:
        os._exit(0)  # bad, but harmless
