"""What is measured: the registry of this process, and the metrics of its caches and of itself.

What is counted often is counted in plain integers and collected when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol
from weakref import WeakSet

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "synapse_lite_"

REGISTRY = CollectorRegistry(auto_describe=False)
"""Everything that the metrics endpoint of this process shows."""

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; for histograms of how long something takes inside the server."""


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A metric that only rises. `name` is without our prefix and without `_total`."""
    return Counter(PREFIX + name, documentation, labels, registry=REGISTRY)


def gauge(
    name: str,
    documentation: str,
    labels: Sequence[str] = (),
    *,
    read: Callable[[], float] | None = None,
) -> Gauge:
    """A metric that rises and falls; with `read`, a cheap function called when it is collected."""
    metric = Gauge(PREFIX + name, documentation, labels, registry=REGISTRY)
    if read is not None:
        metric.set_function(read)
    return metric


def histogram(
    name: str,
    documentation: str,
    labels: Sequence[str] = (),
    buckets: Sequence[float] = DURATION_BUCKETS,
) -> Histogram:
    """A metric of how values spread; `buckets` are the upper bounds."""
    return Histogram(PREFIX + name, documentation, labels, buckets=buckets, registry=REGISTRY)


class CacheCounts(Protocol):
    """What a cache counts about itself. Evicted is what had to make room, not what was stale."""

    name: str
    hits: int
    misses: int
    evictions: int
    size_bytes: int

    def __len__(self) -> int:
        """How many entries it holds."""


class CacheCollector(Collector):
    """The metrics of all caches that are alive; caches of one name count together."""

    def __init__(self) -> None:
        self._caches: WeakSet[CacheCounts] = WeakSet()

    def track(self, cache: CacheCounts) -> None:
        """Show a cache as long as it lives."""
        self._caches.add(cache)

    def collect(self) -> Iterable[Metric]:
        """One family for each thing that is counted, labelled with the name of the cache."""
        totals: dict[str, list[int]] = {}
        for cache in self._caches:
            total = totals.setdefault(cache.name, [0, 0, 0, 0, 0])
            counts = (len(cache), cache.size_bytes, cache.hits, cache.misses, cache.evictions)
            for index, count in enumerate(counts):
                total[index] += count
        return self._families(totals)

    @staticmethod
    def _families(totals: dict[str, list[int]]) -> Iterator[Metric]:
        prefix = PREFIX + "cache_"
        families: tuple[GaugeMetricFamily | CounterMetricFamily, ...] = (
            GaugeMetricFamily(prefix + "entries", "Entries in a cache.", labels=("name",)),
            GaugeMetricFamily(prefix + "bytes", "Estimated size of a cache.", labels=("name",)),
            CounterMetricFamily(prefix + "hits", "Questions answered.", labels=("name",)),
            CounterMetricFamily(prefix + "misses", "Questions not answered.", labels=("name",)),
            CounterMetricFamily(prefix + "evictions", "Entries that made room.", labels=("name",)),
        )
        for index, family in enumerate(families):
            for name in sorted(totals):
                family.add_metric((name,), totals[name][index])
            yield family


_cache_collector = CacheCollector()
REGISTRY.register(_cache_collector)

# CPU time, memory, open and allowed file descriptors, and start time, under the names that
# every Prometheus client uses (process_cpu_seconds_total, process_open_fds, …).
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def track_cache(cache: CacheCounts) -> None:
    """Show a cache in the metrics of this process as long as it lives."""
    _cache_collector.track(cache)
