"""Standard streams that never stand in the way of the work, and text that they can show."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
from typing import TextIO, final

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)

NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)
"""A pipe whose reader has left, a terminal that is closed: nobody misses what is not written."""


def printable(text: str) -> str:
    """`text` with control characters, but for newlines and tabs, and lone surrogates escaped.

    So are marks that nobody sees; not joiners, with which some scripts are written.

    Names of files may hold any byte, and a terminal obeys some of them.
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@final
class _Forgiving(io.RawIOBase):
    """Writes to `inner` as long as that can be written; `lost` is why something was not."""

    def __init__(self, inner: io.RawIOBase, owner: TextIO) -> None:
        self._inner, self._owner = inner, owner  # which closes it when nobody holds it any more
        self.lost: OSError | None = None
        self._broken = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._inner.fileno()

    def isatty(self) -> bool:
        return self._inner.isatty()

    def write(self, content: bytes) -> int:  # type: ignore[override]
        size = memoryview(content).nbytes
        if self._broken:
            return size
        try:
            written = self._inner.write(content)
            while written is None:  # the other side is slow, and the stream does not wait
                select.select([], [self._inner], [])
                written = self._inner.write(content)
        except OSError as error:
            self._broken = True
            self.lost = None if error.errno in NOBODY_READS else error
            return size
        return written


_closed: set[str] = set()


def open_streams() -> None:
    """Give this process three standard streams, whatever it was started with.

    One that is closed becomes the null device, so that no other file takes its number.  Writing to
    the other two raises no error; letters that they cannot encode are written as escapes.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
            setattr(sys, name, None)
            _closed.add(name)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stdout = _forgive(sys.stdout)
    sys.stderr = _forgive(sys.stderr)


def input_was_closed() -> bool:
    """Whether this process was started without a standard input."""
    return "stdin" in _closed


def lost_output() -> OSError | None:
    """Why something that was written to the standard output is not there, or None."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Forgiving) else None


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)


def _forgive(stream: TextIO) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.RawIOBase):
        return stream  # not a file: a notebook's stream, or that of a test
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(raw, stream)),  # type: ignore[type-var]
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", False) or raw.isatty(),
        write_through=getattr(stream, "write_through", False),
    )
