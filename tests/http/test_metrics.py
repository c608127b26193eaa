"""What is told of requests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from twisted.trial.unittest import TestCase

from synapse_lite.http.metrics import EndpointMetrics, _EndpointCollector


class EndpointMetricsTests(TestCase):
    """Counted in numbers, told in Prometheus' words."""

    def lines(self, servlet: str) -> set[str]:
        """The lines of a servlet."""
        registry = CollectorRegistry()
        registry.register(_EndpointCollector())
        text = generate_latest(registry).decode("utf-8")
        return {line for line in text.splitlines() if f'"{servlet}"' in line}

    def test_answers(self) -> None:
        """Status, time in cumulative buckets, bytes, database."""
        metrics = EndpointMetrics.labelled("TestedServlet", "GET")
        self.assertEqual(self.lines("TestedServlet"), set())
        for status, seconds in ((200, 0.001), (200, 0.002), (404, 100.0)):
            metrics.requests += 1
            metrics.count_answer(status, seconds, 10)
        metrics.requests += 1
        metrics.in_flight += 1
        metrics.db_transactions += 2
        labels = 'method="GET",servlet="TestedServlet"'
        lines = self.lines("TestedServlet")
        for expected in (
            f"synapse_lite_http_requests_total{{{labels}}} 4.0",
            f"synapse_lite_http_in_flight{{{labels}}} 1.0",
            f"synapse_lite_http_response_bytes_total{{{labels}}} 30.0",
            f"synapse_lite_http_db_transactions_total{{{labels}}} 2.0",
            f'synapse_lite_http_responses_total{{code="404",{labels}}} 1.0',
            f'synapse_lite_http_response_seconds_bucket{{le="0.001",{labels}}} 1.0',
            f'synapse_lite_http_response_seconds_bucket{{le="0.0025",{labels}}} 2.0',
            f'synapse_lite_http_response_seconds_bucket{{le="60.0",{labels}}} 2.0',
            f'synapse_lite_http_response_seconds_bucket{{le="+Inf",{labels}}} 3.0',
            f"synapse_lite_http_response_seconds_count{{{labels}}} 3.0",
        ):
            self.assertIn(expected, lines)

    def test_one_for_all_listeners(self) -> None:
        """And unknown methods share one label."""
        one = EndpointMetrics.labelled("Shared", "GET")
        self.assertIs(one, EndpointMetrics.labelled("Shared", "GET"))
        self.assertEqual(EndpointMetrics.labelled("Shared", "BREW").method, "other")
