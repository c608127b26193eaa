"""What is measured of requests, by the endpoint's label and method."""

from __future__ import annotations

import attrs
from prometheus_client import Counter, Gauge, Histogram

from ..util.metrics import DURATION_BUCKETS, counter, gauge, histogram

_LABELS = ("servlet", "method")

_requests = counter("http_requests", "Requests received.", _LABELS)
_seconds = histogram(
    "http_response_seconds",
    "Time from the headers of a request until its answer is ready.",
    _LABELS,
    buckets=(*DURATION_BUCKETS, 30, 60),
)
_in_flight = gauge("http_in_flight", "Requests being answered.", _LABELS)
_responses = counter("http_responses", "Answers by status.", (*_LABELS, "code"))
_bytes = counter("http_response_bytes", "Bytes of bodies sent.", _LABELS)
_db_transactions = counter(
    "http_db_transactions", "Database transactions run for requests.", _LABELS
)
_db_seconds = counter("http_db_seconds", "Time in the database for requests.", _LABELS)

_KNOWN_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"})


@attrs.define(eq=False)
class EndpointMetrics:
    """The metrics of one label and method, looked up once."""

    servlet: str
    method: str
    requests: Counter
    seconds: Histogram
    in_flight: Gauge
    bytes_sent: Counter
    db_transactions: Counter
    db_seconds: Counter
    _codes: dict[int, Counter] = attrs.Factory(dict)

    @classmethod
    def labelled(cls, servlet: str, method: str) -> EndpointMetrics:
        """The metrics of a servlet; methods that nobody serves share one label."""
        labels = (servlet, method if method in _KNOWN_METHODS else "other")
        return cls(
            *labels,
            _requests.labels(*labels),
            _seconds.labels(*labels),
            _in_flight.labels(*labels),
            _bytes.labels(*labels),
            _db_transactions.labels(*labels),
            _db_seconds.labels(*labels),
        )

    def count_response(self, code: int) -> None:
        """Count one answer of this status."""
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = _responses.labels(self.servlet, self.method, str(code))
        counter.inc()
