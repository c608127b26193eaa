"""What is read of logs and metrics, and how growth is told."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.watch import MemorySample, growth, lines_of_log, parse_metrics, under_way


class GrowthTests(SynchronousTestCase):
    """Memory over time."""

    def test_only_the_last_minutes_count(self) -> None:
        """What caches took in at first is no growth."""
        samples = [MemorySample(t, {"main": min(t, 600) + 1}) for t in range(0, 1201, 15)]
        (grown,) = growth(samples, 600, 60)
        self.assertEqual(grown.process, "main")
        self.assertAlmostEqual(grown.share, 0.0)

    def test_growth_is_a_part_of_what_it_was(self) -> None:
        """From 100 to 110, with one sample that lies far out in the middle."""
        sizes = [100, 100, 500, 110, 110]
        samples = [MemorySample(t * 10, {"main": size}) for t, size in enumerate(sizes)]
        (grown,) = growth(samples, 40, 10)
        self.assertAlmostEqual(grown.share, 0.1)

    def test_needs_samples(self) -> None:
        """One look tells nothing."""
        for samples in ([], [MemorySample(0, {"main": 1})]):
            with self.assertRaises(ValueError):
                growth(samples, 600, 60)


class LogTests(SynchronousTestCase):
    """Lines of logs."""

    def test_counts_by_level(self) -> None:
        """The level counts, not the word in a message."""
        path = Path(self.mktemp())
        begin = "2026-11-29 10:00:00,000 - main - synapse_lite.x - 12 -"
        path.write_text(
            f"{begin} INFO - GET-1 - no ERROR here\n"
            f"{begin} WARNING - - - slow\n"
            f"{begin} ERROR - - - broken\nTraceback (most recent call last):\n",
            "utf-8",
        )
        found = lines_of_log(path)
        self.assertEqual(dict(found.counts), {"WARNING": 1, "ERROR": 1})
        self.assertEqual(found.errors, [f"{begin} ERROR - - - broken"])
        self.assertEqual(found.warnings, [f"{begin} WARNING - - - slow"])


class MetricsTests(SynchronousTestCase):
    """Work under way."""

    def test_is_what_is_not_zero(self) -> None:
        """The request for the metrics itself does not count, nor do other metrics."""
        values = parse_metrics(
            [
                "# HELP synapse_lite_http_in_flight Requests being answered.",
                'synapse_lite_http_in_flight{method="GET",servlet="Metrics"} 1.0',
                'synapse_lite_http_in_flight{method="GET",servlet="Sync"} 2.0',
                "synapse_lite_sync_waiting 0.0",
                "synapse_lite_sync_woken_total 7.0",
            ]
        )
        self.assertEqual(values["synapse_lite_sync_woken_total{}"], 7)
        self.assertEqual(
            under_way(values), ['synapse_lite_http_in_flight{method="GET",servlet="Sync"} 2']
        )
