"""Limits of a download: seconds to connect, without a byte and in all, and how often to try."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a download is.

    `connect`, `read` (the next bytes), `overall` and `pause` (before the second round, then
    doubling) are seconds; one file from one mirror may take `overall`, and as long again as its
    size takes at `slowest` bytes a second.  `rounds` counts the passes over the mirrors.
    """

    connect: float = 5.0
    read: float = 20.0
    overall: float = 60.0
    slowest: float = 50_000.0
    rounds: int = 2
    pause: float = 1.0
