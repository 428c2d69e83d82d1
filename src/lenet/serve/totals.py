"""The metrics of several processes as those of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Sample

COUNTED = ("counter", "histogram")
"""Kinds of metrics that never sink, whatever becomes of the process that has counted."""

NO_SUMS: dict[str, Callable[[float, float], float]] = {
    "lenet_ready": min,
    "lenet_model": max,
    "lenet_reloads_total": max,
    "lenet_reload_failures_total": max,
    "process_start_time_seconds": min,
    "process_open_fds": max,
    "process_max_fds": min,
}
"""What is added up for all others; of open files, those of the process that is nearest its end."""


def together(answers: Sequence[str], others: Sequence[str] = ()) -> list[Metric]:
    """Add up the texts of those that answer now; of `others` what they have counted."""
    found: dict[str, Metric] = {}
    for family in [*_families(answers), *counted(others)]:
        if family.name in found:
            found[family.name].samples += family.samples
        else:
            found[family.name] = family
    for family in found.values():
        family.samples = _add_up(family.samples)
    return list(found.values())


def counted(texts: Iterable[str]) -> Iterator[Metric]:
    """The counters and histograms in texts."""
    return (family for family in _families(texts) if family.type in COUNTED)


def write(families: Sequence[Metric]) -> str:
    """As Prometheus reads it."""
    from prometheus_client import generate_latest

    return generate_latest(_Collected(families)).decode()


def number_of(processes: int) -> Metric:
    """How many processes a text is of, as a metric."""
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily("lenet_processes", "Those that have answered.", processes)


def of_this_process() -> str:
    """The metrics of a process without a service."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True)
class _Collected:
    families: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _families(texts: Iterable[str]) -> Iterator[Metric]:
    from prometheus_client.parser import text_string_to_metric_families

    for text in texts:
        yield from text_string_to_metric_families(text)


def _add_up(samples: Iterable[Sample]) -> list[Sample]:
    found: dict[tuple[object, ...], Sample] = {}
    for sample in samples:
        key = (sample.name, *sample.labels.items())
        before = found.get(key)
        if before is not None:
            both = NO_SUMS.get(sample.name, _plus)(before.value, sample.value)
            sample = sample._replace(value=both)
        found[key] = sample
    return list(found.values())


def _plus(one: float, other: float) -> float:
    return one + other
