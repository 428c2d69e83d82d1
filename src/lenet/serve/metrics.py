"""What a service counts, and how Prometheus reads it.

The counting is our own, for a request costs about 100 microseconds: a few additions on the event
loop, where the client library takes a lock for each, and one call for each image of a batch.  The
text is the client library's (`prometheus_client`), and so are the metrics of the process.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, final

from lenet.serve.answers import Seen
from lenet.serve.owner import Text

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
PROBABILITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


@final
class Histogram:
    """Counts by upper bound, the last one of which is infinite, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: Sequence[float]) -> None:
        """Many at once: sorted, each bound is looked for and not each value."""
        ranked, below = sorted(values), 0
        for place, bound in enumerate(self.bounds):
            up_to = bisect_right(ranked, bound)
            self.counts[place] += up_to - below
            below = up_to
        self.counts[-1] += len(ranked) - below
        self.total += sum(values)

    def buckets(self) -> list[tuple[str, float]]:
        """Bound -> how many are not above it."""
        found, sofar = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sofar += count
            found.append((bound, float(sofar)))
        return found


@dataclass(slots=True)
class _OfModel:
    labels: Counter[int] = field(default_factory=Counter)
    images: Histogram = field(default_factory=lambda: Histogram(IMAGES))
    probabilities: Histogram = field(default_factory=lambda: Histogram(PROBABILITIES))


@final
@dataclass(slots=True)
class Metrics:
    """Counts, written to by the event loop alone.

    Every label is one of a fixed set: routes as they are described, statuses that are documented,
    the networks in service and their classes.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: dict[str, Histogram] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    of_models: dict[str, _OfModel] = field(default_factory=dict)

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request that was answered."""
        self.requests[route, status] += 1
        found = self.seconds.get(route)
        if found is None:
            found = self.seconds[route] = Histogram(SECONDS)
        found.add(seconds)

    def see(self, seen: Seen) -> None:
        """What was answered to one request."""
        of = self.of_models.get(seen.model)
        if of is None:
            of = self.of_models[seen.model] = _OfModel()
        of.images.add(len(seen.labels))
        if len(seen.labels) == 1:
            of.labels[seen.labels[0]] += 1
            of.probabilities.add(seen.probabilities[0])
        else:
            of.labels.update(seen.labels)
            of.probabilities.add_all(seen.probabilities)


@dataclass(frozen=True, slots=True)
class Now:
    """What is not counted but is so at the moment."""

    classes: Mapping[str, Sequence[str]]
    versions: Mapping[str, str]
    queue: int
    bodies_bytes: int
    connections: int
    ready: bool
    reloads: int
    failures: int
    lost_lines: int


@final
class _Collector:
    def __init__(self, metrics: Metrics, now: Callable[[], Now]) -> None:
        self._metrics, self._now = metrics, now

    def collect(self) -> Iterator[Metric]:
        now = self._now()
        yield from _of_requests(self._metrics)
        yield from _of_models(self._metrics, now)
        yield from _of_now(now)


def exposition(metrics: Metrics, now: Callable[[], Now]) -> Text:
    """A function that gives the text for Prometheus."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics, now))
    ProcessCollector(registry=registry)
    return partial(generate_latest, registry)


def content_type() -> bytes:
    """Of that text."""
    from prometheus_client import CONTENT_TYPE_LATEST

    return CONTENT_TYPE_LATEST.encode()


def _of_requests(metrics: Metrics) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

    requests = CounterMetricFamily(
        "lenet_requests", "Requests that were answered.", labels=["route", "status"]
    )
    for (route, status), count in list(metrics.requests.items()):
        requests.add_metric([route, str(status)], count)
    yield requests
    seconds = HistogramMetricFamily(
        "lenet_request_seconds", "From a request's headers to its answer.", labels=["route"]
    )
    for route, found in list(metrics.seconds.items()):
        seconds.add_metric([route], found.buckets(), found.total)
    yield seconds
    dropped = CounterMetricFamily(
        "lenet_dropped_connections", "Connections that the service closed.", labels=["reason"]
    )
    for reason, count in list(metrics.dropped.items()):
        dropped.add_metric([reason], count)
    yield dropped


def _of_models(metrics: Metrics, now: Now) -> Iterator[Metric]:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    answers = CounterMetricFamily(
        "lenet_answers", "Images by their likeliest class.", labels=["model", "class"]
    )
    images = HistogramMetricFamily("lenet_batch_images", "Images in a request.", labels=["model"])
    sure = HistogramMetricFamily(
        "lenet_answer_probability", "Of the likeliest class.", labels=["model"]
    )
    versions = GaugeMetricFamily(
        "lenet_model", "1 for the version that answers.", labels=["model", "version"]
    )
    for model, version in now.versions.items():
        versions.add_metric([model, version], 1)
    for model, found in list(metrics.of_models.items()):
        names = now.classes[model]
        for label, count in sorted(found.labels.items()):
            # After a reload there may be fewer classes than once were counted.
            answers.add_metric([model, names[label] if label < len(names) else str(label)], count)
        images.add_metric([model], found.images.buckets(), found.images.total)
        sure.add_metric([model], found.probabilities.buckets(), found.probabilities.total)
    yield from (versions, answers, images, sure)


def _of_now(now: Now) -> Iterable[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    return [
        GaugeMetricFamily("lenet_ready", "1 where requests are wanted.", int(now.ready)),
        GaugeMetricFamily("lenet_queue", "Requests with a worker, or waiting for one.", now.queue),
        GaugeMetricFamily("lenet_bodies_bytes", "Of requests at hand.", now.bodies_bytes),
        GaugeMetricFamily("lenet_connections", "Open ones.", now.connections),
        CounterMetricFamily("lenet_reloads", "Newer checkpoints in service.", now.reloads),
        CounterMetricFamily("lenet_reload_failures", "Those that cannot be read.", now.failures),
        CounterMetricFamily("lenet_log_lines_lost", "Of the access log.", now.lost_lines),
    ]
