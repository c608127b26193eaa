"""What the database pool has done, for the metrics endpoint.

Counted in plain integers while it happens; turned into metrics when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..util.metrics import PREFIX
from .database import DatabasePool

_PREFIX = PREFIX + "database_"


class DatabaseCollector(Collector):
    """Transactions by name, and how long they wait: register it once for a process's pool."""

    def __init__(self, db: DatabasePool) -> None:
        self._db = db

    def collect(self) -> Iterator[Metric]:
        """One family for each thing that is counted, labelled with the transaction's name."""
        families = {
            "transactions": CounterMetricFamily(
                _PREFIX + "transactions", "Attempts of transactions.", labels=("name",)
            ),
            "statements": CounterMetricFamily(
                _PREFIX + "statements", "Statements run.", labels=("name",)
            ),
            "failures": CounterMetricFamily(
                _PREFIX + "failures", "Attempts that failed.", labels=("name",)
            ),
            "seconds": CounterMetricFamily(
                _PREFIX + "seconds", "Time spent in a database thread.", labels=("name",)
            ),
            "queued_seconds": CounterMetricFamily(
                _PREFIX + "queued_seconds", "Time spent waiting for a thread.", labels=("name",)
            ),
        }
        for name, timing in sorted(self._db.timings.items()):
            for field, family in families.items():
                family.add_metric((name,), getattr(timing, field))
        yield from families.values()
        yield CounterMetricFamily(
            _PREFIX + "retries", "Transactions run again.", value=self._db.counts.retries
        )
        yield GaugeMetricFamily(
            _PREFIX + "waiting", "Transactions queued or running.", value=self._db.waiting
        )
