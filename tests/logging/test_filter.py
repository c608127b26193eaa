"""What the filter gives to records."""

from __future__ import annotations

import logging

from twisted.trial import unittest

from synapse_lite.logging import context
from synapse_lite.logging.filter import LogContextFilter


def record() -> logging.LogRecord:
    """A record like any other."""
    return logging.LogRecord("a", logging.INFO, "a.py", 1, "Hello %s", ("you",), None)


class FilterTestCase(unittest.TestCase):
    """Fields, in and outside of a request."""

    def test_fields_of_a_request(self) -> None:
        filtered = record()
        with context.bind(request_id="GET-7", requester="@a:b", servlet="Sync", tag="initial"):
            self.assertTrue(LogContextFilter("reader1").filter(filtered))
        form = "%(process_name)s %(request)s %(requester)s %(servlet)s %(tag)s %(message)s"
        self.assertEqual(
            logging.Formatter(form).format(filtered),
            "reader1 GET-7 @a:b Sync initial Hello you",
        )

    def test_outside_of_requests(self) -> None:
        filtered = record()
        LogContextFilter("master", request="none").filter(filtered)
        self.assertEqual(logging.Formatter("%(request)s").format(filtered), "none")

    def test_the_first_filter_decides_the_request_the_last_the_process(self) -> None:
        filtered = record()
        with context.bind(request_id="GET-7"):
            LogContextFilter().filter(filtered)
        with context.bind(request_id="GET-8"):
            LogContextFilter("master").filter(filtered)
        form = logging.Formatter("%(request)s %(process_name)s")
        self.assertEqual(form.format(filtered), "GET-7 master")
