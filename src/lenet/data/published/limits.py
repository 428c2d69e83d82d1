"""Limits of a download: seconds to connect, without a byte and in all, and how often to try."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a download is.

    `connect`, `read` (the next bytes), `overall` and `pause` (before the second round, then
    doubling) are seconds.  After `overall` one file from one mirror must have come at `slowest`
    bytes a second; a mirror that is slower is not asked again.  `rounds` counts the passes over the
    mirrors, and all of them together may take `whole` seconds, and as long again as the file's size
    takes at `slowest`.
    """

    connect: float = 5.0
    read: float = 20.0
    overall: float = 30.0
    whole: float = 180.0
    slowest: float = 50_000.0
    rounds: int = 2
    pause: float = 1.0
