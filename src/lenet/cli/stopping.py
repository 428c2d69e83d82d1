"""What a command that is told to stop says besides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lenet.errors import StoppedError


@contextmanager
def stopping(sentence: str) -> Iterator[None]:
    """Where a signal ends the block, what it holds is given back, and `sentence` is said.

    Raises:
        StoppedError: instead of the one that came.
    """
    try:
        yield
    except StoppedError as error:
        raise StoppedError(f"{error}; {sentence}", error.exit_code - 128) from error
