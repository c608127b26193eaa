"""The arithmetic of the benchmarks."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from benchmarks.figures import Sample, figures_of, percentile, ratio


class FiguresTestCase(TestCase):
    """From samples to figures."""

    def test_percentiles_are_values_that_were_measured(self) -> None:
        values = [float(n) for n in range(100, 0, -1)]
        self.assertEqual(percentile(values, 50), 50)
        self.assertEqual(percentile(values, 99), 99)
        self.assertEqual(percentile(values, 100), 100)
        self.assertEqual(percentile([7.0], 1), 7)
        for values, percent in (([], 50.0), ([1.0], 0.0), ([1.0], 101.0)):
            self.assertRaises(ValueError, percentile, values, percent)

    def test_costs_are_for_each_operation_and_the_median_of_runs(self) -> None:
        runs = [
            Sample(count=10, cpu_seconds=cpu, latencies=[0.002] * 10, grown_bytes=5000)
            for cpu in (0.01, 0.5, 0.02)
        ]
        figures = figures_of(runs)
        self.assertAlmostEqual(figures.cpu_ms, 2)
        self.assertAlmostEqual(figures.cpu_ms_least, 1)
        self.assertAlmostEqual(figures.cpu_ms_most, 50)
        self.assertAlmostEqual(figures.p50_ms, 2)
        self.assertEqual(figures.bytes_each, 500)
        self.assertRaises(ValueError, figures_of, [])

    def test_ratios(self) -> None:
        self.assertEqual(ratio(1, 4), 0.25)
        self.assertIsNone(ratio(1, 0))
