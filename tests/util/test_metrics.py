"""Metrics of the process and of its caches."""

from __future__ import annotations

from prometheus_client import generate_latest
from twisted.trial.unittest import TestCase

from synapse_lite.util.caches.lru import LruCache
from synapse_lite.util.metrics import PREFIX, REGISTRY, counter, gauge, histogram


def value(metric: str, /, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(metric, labels)


class MetricsTestCase(TestCase):
    def forget_after(self, metric: object) -> None:
        self.addCleanup(REGISTRY.unregister, metric)

    def test_helpers_add_our_prefix(self) -> None:
        count = counter("test_things", "Things.", ("kind",))
        self.forget_after(count)
        count.labels("a").inc()
        level = gauge("test_level", "Level.", read=lambda: 7)
        self.forget_after(level)
        spread = histogram("test_seconds", "Seconds.", buckets=(1, 2))
        self.forget_after(spread)
        spread.observe(1.5)
        self.assertEqual(value(PREFIX + "test_things_total", kind="a"), 1)
        self.assertEqual(value(PREFIX + "test_level"), 7)
        self.assertEqual(value(PREFIX + "test_seconds_bucket", le="1.0"), 0)
        self.assertEqual(value(PREFIX + "test_seconds_bucket", le="2.0"), 1)

    def test_caches_by_name(self) -> None:
        caches = [LruCache[str, int]("test_metrics_cache", max_entries=2) for _ in range(2)]
        for cache in caches:
            for key in "abc":
                cache.set(key, 1)
            cache.get("c")
            cache.get("x")
        name = {"name": "test_metrics_cache"}
        self.assertEqual(value("synapse_lite_cache_entries", **name), 4)
        self.assertEqual(value("synapse_lite_cache_hits_total", **name), 2)
        self.assertEqual(value("synapse_lite_cache_misses_total", **name), 2)
        self.assertEqual(value("synapse_lite_cache_evictions_total", **name), 2)
        self.assertEqual(
            value("synapse_lite_cache_bytes", **name), sum(cache.size_bytes for cache in caches)
        )

    def test_process(self) -> None:
        for name in (
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_start_time_seconds",
        ):
            found = value(name)
            self.assertIsNotNone(found, name)
            self.assertGreater(found, 0, name)
        self.assertIn(b"python_gc_collections_total", generate_latest(REGISTRY))
