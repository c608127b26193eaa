"""Copies the log context into log records."""

from __future__ import annotations

import logging

from synapse_lite.logging import context


class LogContextFilter(logging.Filter):
    """Gives each record `request`, `requester`, `servlet`, `tag` and `process_name` to format.

    `request` is the request id: operators' formats call it that. `request` as an argument is what
    stands there outside of requests. Without `process_name` that field is left to another filter.
    """

    def __init__(self, process_name: str | None = None, request: str = "-") -> None:
        super().__init__()
        self._process_name = process_name
        self._request = request

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with the fields added."""
        if self._process_name is not None:
            record.process_name = self._process_name
        if hasattr(record, "servlet"):
            # A second handler sees the same record; the first may have run in another context.
            return True
        bound = context.current()
        record.request = bound.request_id if bound.request_id != "-" else self._request
        record.requester = bound.requester or "-"
        record.servlet = bound.servlet or "-"
        record.tag = bound.tag or "-"
        return True
