"""Measuring several things in one run: alternating, warmed up, medians with their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

REST = 0.3
"""Seconds of quiet before each measurement: other libraries' threads go on spinning for a while."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one subject over the rounds, in the unit that the section states."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, figures: list[float]) -> Sample:
        """Median and range."""
        return cls(float(np.median(figures)), min(figures), max(figures), len(figures))

    def as_row(self) -> dict[str, float]:
        return asdict(self)


def alternate(
    subjects: Mapping[str, Callable[[], float]],
    rounds: int,
    say: Callable[[str], None],
    warm_up: bool = True,
) -> dict[str, Sample]:
    """Call each subject in turn, `rounds` times over, after one warm-up call of each.

    A subject does its work and returns its figure.
    """
    figures: dict[str, list[float]] = {name: [] for name in subjects}
    for name, subject in subjects.items() if warm_up else ():
        say(f"warm-up: {name}")
        subject()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, subject in subjects.items():
            time.sleep(REST)
            figures[name].append(subject())
    return {name: Sample.of(values) for name, values in figures.items()}


def rate(work: Callable[[], int], seconds: float) -> float:
    """Units a second of `work`, which returns how many it did, repeated for about `seconds`."""
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


def latency(work: Callable[[], object], count: int) -> float:
    """Median seconds of one call of `work`, over `count` calls."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
