"""What the pool has done can be seen."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from synapse_lite.storage.metrics import DatabaseCollector
from tests.harness.databases import MemoryDatabase


class TestDatabaseMetrics(MemoryDatabase):
    """By name of the transaction."""

    def test_transactions_are_shown_by_name(self) -> None:
        registry = CollectorRegistry()
        registry.register(DatabaseCollector(self.db))
        for _ in range(3):
            self.await_now(self.db.read("get_x", lambda txn: txn.query("SELECT 1")))

        def value(name: str) -> float | None:
            return registry.get_sample_value(f"synapse_lite_database_{name}", {"name": "get_x"})

        self.assertEqual((value("transactions_total"), value("statements_total")), (3, 3))
        self.assertEqual(value("failures_total"), 0)
        self.assertGreater(value("seconds_total") or 0, 0)
        self.assertEqual(registry.get_sample_value("synapse_lite_database_waiting"), 0)
