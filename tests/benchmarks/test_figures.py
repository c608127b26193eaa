"""The arithmetic of the benchmark."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.figures import Sample, figures_of, percentile, ratio


class PercentileTests(SynchronousTestCase):
    """Percentiles by nearest rank."""

    def test_is_a_value_that_was_measured(self) -> None:
        """Of a hundred values in any order, the 50th and the 99th smallest."""
        values = [float(n) for n in range(100, 0, -1)]
        self.assertEqual([percentile(values, p) for p in (1, 50, 99, 100)], [1, 50, 99, 100])

    def test_of_few_values_the_high_ones_are_the_largest(self) -> None:
        """The 99th percentile of three values is the largest."""
        self.assertEqual(percentile([3.0, 1.0, 2.0], 99), 3.0)
        self.assertEqual(percentile([3.0, 1.0, 2.0], 50), 2.0)

    def test_refuses_what_has_no_percentile(self) -> None:
        """No values, or a percentage that is none."""
        for values, percent in (([], 50.0), ([1.0], 0.0), ([1.0], 100.1)):
            with self.assertRaises(ValueError):
                percentile(values, percent)


class FiguresTests(SynchronousTestCase):
    """What an operation costs."""

    def test_cost_is_for_each_and_the_median_of_the_runs(self) -> None:
        """One run that something disturbed does not move the figure, but is told."""
        runs = [
            Sample(count=10, cpu_seconds=cpu, latencies=[0.001] * 10, grown_bytes=1000)
            for cpu in (0.1, 0.9, 0.2)
        ]
        found = figures_of(runs)
        self.assertAlmostEqual(found.cpu_ms, 20.0)
        self.assertAlmostEqual(found.cpu_ms_least, 10.0)
        self.assertAlmostEqual(found.cpu_ms_most, 90.0)
        self.assertAlmostEqual(found.bytes_each, 100.0)
        self.assertEqual(found.database_cpu_ms, 0.0)

    def test_latencies_of_all_runs_count(self) -> None:
        """The slow half of one run is a quarter of two."""
        quick = Sample(count=2, cpu_seconds=0, latencies=[0.001, 0.001])
        mixed = Sample(count=2, cpu_seconds=0, latencies=[0.001, 0.5])
        found = figures_of([quick, mixed])
        self.assertAlmostEqual(found.p50_ms, 1.0)
        self.assertAlmostEqual(found.p99_ms, 500.0)

    def test_what_was_not_run_has_none(self) -> None:
        """No figure without a measurement."""
        with self.assertRaises(ValueError):
            figures_of([])

    def test_ratio(self) -> None:
        """A part of theirs; unknown when theirs was not measurable."""
        self.assertAlmostEqual(ratio(1.5, 15.0) or 0, 0.1)
        self.assertIsNone(ratio(1.5, 0.0))
