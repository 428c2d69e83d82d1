"""The protocol by which a download or the reading of own data says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Takes a file's name, the bytes so far, and all its bytes where they are known."""
