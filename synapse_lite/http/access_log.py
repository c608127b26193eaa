"""The line that each request leaves in the access log, without secrets and on one line."""

from __future__ import annotations

import logging

from ..logging.context import LogContext
from ..logging.redact import redact_uri

_MAX_USER_AGENT = 256
_FORMAT = '%s - {%s} %.3fs db(%d/%d %.3fs) %dB %d%s "%s %s" "%s"'
_LINE_NUMBER = 1


def log_access(
    logger: logging.Logger,
    level: int,
    *,
    client_ip: str,
    seconds: float,
    size: int,
    status: int,
    is_gone: bool,
    method: str,
    uri: bytes,
    user_agent: str,
    log_context: LogContext,
) -> None:
    """Write it: address, requester, time, database (transactions/statements, time), bytes, status.

    A status with `!` was not sent, because the client had gone.
    """
    arguments = (
        client_ip,
        log_context.requester or "-",
        seconds,
        log_context.db_transactions,
        log_context.db_statements,
        log_context.db_time,
        size,
        status,
        "!" if is_gone else "",
        method,
        _safe_uri(uri),
        _printable(user_agent),
    )
    # Not `logger.log`, which would look at the stack for who calls.
    record = logger.makeRecord(
        logger.name, level, __file__, _LINE_NUMBER, _FORMAT, arguments, exc_info=None
    )
    logger.handle(record)


def _safe_uri(uri: bytes) -> str:
    # Most paths have nothing to hide, and this is on the way of every request.
    text = uri.decode("latin-1")
    if "?" not in text and text.isascii() and text.isprintable():
        return text
    return redact_uri(uri)


def _printable(user_agent: str) -> str:
    text = user_agent[:_MAX_USER_AGENT]
    return text if text.isprintable() else repr(text)
