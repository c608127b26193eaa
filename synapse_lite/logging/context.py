"""The log context: what the work going on belongs to, and what it has cost so far.

One ContextVar holds it. Awaiting keeps it, `ensureDeferred` copies it, plain Deferred callbacks do
not carry it, and threads get it through `contextvars.copy_context().run`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import attrs


@attrs.define(eq=False)
class LogContext:
    """One request, replication row or background task.

    Times are seconds. Counters are touched in the reactor thread only.
    """

    request_id: str = "-"
    requester: str | None = None
    servlet: str | None = None
    tag: str | None = None
    db_transactions: int = 0
    db_statements: int = 0
    db_rows: int = 0
    db_time: float = 0.0

    def describe(
        self, *, requester: str | None = None, servlet: str | None = None, tag: str | None = None
    ) -> None:
        """Add what has become known since the context was bound."""
        self.requester = requester if requester is not None else self.requester
        self.servlet = servlet if servlet is not None else self.servlet
        self.tag = tag if tag is not None else self.tag

    def count_database(
        self, *, transactions: int = 0, statements: int = 0, rows: int = 0, seconds: float = 0.0
    ) -> None:
        """Charge use of the database to this context."""
        self.db_transactions += transactions
        self.db_statements += statements
        self.db_rows += rows
        self.db_time += seconds


class _NeutralContext(LogContext):
    """Stands where nothing is bound. Shared by everything outside, so it remembers nothing."""

    def describe(
        self, *, requester: str | None = None, servlet: str | None = None, tag: str | None = None
    ) -> None:
        """Forget it."""

    def count_database(
        self, *, transactions: int = 0, statements: int = 0, rows: int = 0, seconds: float = 0.0
    ) -> None:
        """Forget it."""


_NEUTRAL = _NeutralContext()

_current: ContextVar[LogContext] = ContextVar("synapse_lite_log_context", default=_NEUTRAL)


def current() -> LogContext:
    """The bound context, or a neutral one with the request id `-` that counts nothing."""
    return _current.get()


@contextlib.contextmanager
def bind(
    *,
    request_id: str | None = None,
    requester: str | None = None,
    servlet: str | None = None,
    tag: str | None = None,
) -> Iterator[LogContext]:
    """Work inside a new context. What is not given is taken from the outer one.

    At the end the outer context is back, and is charged with what the inner one has cost.
    """
    outer = _current.get()
    inner = LogContext(
        request_id=outer.request_id if request_id is None else request_id,
        requester=outer.requester if requester is None else requester,
        servlet=outer.servlet if servlet is None else servlet,
        tag=outer.tag if tag is None else tag,
    )
    token = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(token)
        outer.count_database(
            transactions=inner.db_transactions,
            statements=inner.db_statements,
            rows=inner.db_rows,
            seconds=inner.db_time,
        )


@contextlib.contextmanager
def bind_neutral() -> Iterator[None]:
    """Work outside of any context: for background work that one request happens to start."""
    token = _current.set(_NEUTRAL)
    try:
        yield
    finally:
        _current.reset(token)
