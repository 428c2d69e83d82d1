"""One HTML file that needs nothing but itself: where one may be written, and writing it whole."""

from __future__ import annotations

from pathlib import Path

from lenet.errors import UsageError
from lenet.system.files import write_whole
from lenet.system.marks import check_mark

ENDINGS = ("", ".html", ".htm")


def check_place(path: Path, mark: str, what: str) -> None:
    """Refuse what will not do before the work is done; `what` is its command's name.

    Raises:
        UsageError: if the name ends as another kind of file does, or what is there has no `mark`.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path}: a {what} is an HTML file; name one that ends in .html")
    check_mark(path, mark, f"written by lenet {what}")


def write(path: Path, text: str, what: str) -> None:
    """Write it, whole or not at all.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(
            f"{path}: the {what} cannot be written: {error.strerror}; name another place"
        ) from error
