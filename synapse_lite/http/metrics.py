"""What is measured of requests, by the endpoint's label and method.

Counted in plain numbers, as every request counts, and told when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

import attrs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ..util.metrics import DURATION_BUCKETS, PREFIX, REGISTRY

_LABELS = ("servlet", "method")
_BUCKETS = (*DURATION_BUCKETS, 30, 60)
_BUCKET_NAMES = (*(str(float(bound)) for bound in _BUCKETS), "+Inf")

_KNOWN_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"})


@attrs.define(eq=False)
class EndpointMetrics:
    """The metrics of one label and method. Times are seconds."""

    servlet: str
    method: str
    requests: int = 0
    in_flight: int = 0
    bytes_sent: int = 0
    db_transactions: int = 0
    db_seconds: float = 0.0
    codes: dict[int, int] = attrs.Factory(dict)
    _seconds: float = 0.0
    _buckets: list[int] = attrs.Factory(lambda: [0] * len(_BUCKET_NAMES))

    @staticmethod
    def labelled(servlet: str, method: str) -> EndpointMetrics:
        """The metrics of a servlet in this process; methods that nobody serves share one label."""
        key = (servlet, method if method in _KNOWN_METHODS else "other")
        found = _all.get(key)
        if found is None:
            found = _all[key] = EndpointMetrics(*key)
        return found

    def count_answer(self, status: int, seconds: float, size: int) -> None:
        """Count an answer: its status, the time until it was ready, the bytes of its body."""
        self.codes[status] = self.codes.get(status, 0) + 1
        self._seconds += seconds
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1
        self.bytes_sent += size

    def histogram(self) -> tuple[list[tuple[str, float]], float]:
        """How many answers took at most so long, and all their seconds together."""
        counts = accumulate(self._buckets)
        return list(zip(_BUCKET_NAMES, counts, strict=True)), self._seconds


_all: dict[tuple[str, str], EndpointMetrics] = {}


class _EndpointCollector(Collector):
    """Tells the metrics of all endpoints that have had a request."""

    def collect(self) -> Iterable[Metric]:
        """One family for each thing that is counted."""
        used = [_all[key] for key in sorted(_all) if _all[key].requests]
        yield self._counter("requests", "Requests received.", ((m, m.requests) for m in used))
        yield self._seconds(used)
        in_flight = GaugeMetricFamily(
            f"{PREFIX}http_in_flight", "Requests being answered.", labels=_LABELS
        )
        for one in used:
            in_flight.add_metric((one.servlet, one.method), one.in_flight)
        yield in_flight
        yield self._responses(used)
        yield self._counter(
            "response_bytes", "Bytes of bodies sent.", ((m, m.bytes_sent) for m in used)
        )
        yield self._counter(
            "db_transactions",
            "Database transactions run for requests.",
            ((m, m.db_transactions) for m in used),
        )
        yield self._counter(
            "db_seconds", "Time in the database for requests.", ((m, m.db_seconds) for m in used)
        )

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not collect."""
        return ()

    @staticmethod
    def _counter(
        name: str, text: str, values: Iterable[tuple[EndpointMetrics, float]]
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(f"{PREFIX}http_{name}", text, labels=_LABELS)
        for one, value in values:
            family.add_metric((one.servlet, one.method), value)
        return family

    @staticmethod
    def _responses(used: Iterable[EndpointMetrics]) -> CounterMetricFamily:
        family = CounterMetricFamily(
            f"{PREFIX}http_responses", "Answers by status.", labels=(*_LABELS, "code")
        )
        for one in used:
            for code, count in sorted(one.codes.items()):
                family.add_metric((one.servlet, one.method, str(code)), count)
        return family

    @staticmethod
    def _seconds(used: Iterable[EndpointMetrics]) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            f"{PREFIX}http_response_seconds",
            "Time from the headers of a request until its answer is ready.",
            labels=_LABELS,
        )
        for one in used:
            buckets, total = one.histogram()
            family.add_metric((one.servlet, one.method), buckets, total)
        return family


REGISTRY.register(_EndpointCollector())
