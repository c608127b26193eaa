"""The log context: what is bound where, and who pays."""

from __future__ import annotations

import contextvars
import threading

from twisted.internet import defer
from twisted.trial import unittest

from synapse_lite.logging import context


class ContextTestCase(unittest.TestCase):
    """Binding, nesting, and work that interleaves."""

    def test_outside_there_is_a_neutral_one_that_remembers_nothing(self) -> None:
        context.current().describe(requester="@a:b", servlet="Send", tag="x")
        context.current().count_database(transactions=1, statements=2, rows=3, seconds=4)
        neutral = context.current()
        self.assertEqual(
            (neutral.request_id, neutral.requester, neutral.servlet), ("-", None, None)
        )
        self.assertEqual((neutral.db_transactions, neutral.db_time), (0, 0.0))

    def test_bound_and_gone(self) -> None:
        with context.bind(request_id="GET-1", requester="@a:b") as bound:
            self.assertIs(context.current(), bound)
            bound.describe(servlet="Send")
            self.assertEqual((bound.requester, bound.servlet), ("@a:b", "Send"))
        self.assertEqual(context.current().request_id, "-")

    def test_gone_after_a_failure(self) -> None:
        def fail() -> None:
            with context.bind(request_id="GET-1"):
                raise KeyError

        self.assertRaises(KeyError, fail)
        self.assertEqual(context.current().request_id, "-")

    def test_an_inner_one_inherits_and_charges_the_outer(self) -> None:
        with context.bind(request_id="GET-1", servlet="Sync") as outer:
            outer.count_database(transactions=1)
            with context.bind(tag="initial") as inner:
                self.assertEqual((inner.request_id, inner.servlet), ("GET-1", "Sync"))
                inner.count_database(transactions=2, statements=5, rows=7, seconds=0.5)
            self.assertIs(context.current(), outer)
            self.assertIsNone(outer.tag)
            self.assertEqual((outer.db_transactions, outer.db_statements), (3, 5))
            self.assertEqual((outer.db_rows, outer.db_time), (7, 0.5))

    def test_neutral_inside_of_a_request(self) -> None:
        with context.bind(request_id="GET-1"):
            with context.bind_neutral():
                self.assertEqual(context.current().request_id, "-")
            self.assertEqual(context.current().request_id, "GET-1")

    def test_interleaved_requests_keep_their_own(self) -> None:
        seen: list[str] = []
        gates: list[defer.Deferred[None]] = [defer.Deferred(), defer.Deferred()]

        async def serve(request_id: str, gate: defer.Deferred[None]) -> None:
            with context.bind(request_id=request_id):
                await gate
                seen.append(context.current().request_id)

        served = [
            defer.ensureDeferred(serve(name, gate))
            for name, gate in zip(("one", "two"), gates, strict=True)
        ]
        self.assertEqual(context.current().request_id, "-")
        gates[1].callback(None)
        gates[0].callback(None)
        for done in served:
            self.successResultOf(done)
        self.assertEqual(seen, ["two", "one"])
        self.assertEqual(context.current().request_id, "-")

    def test_a_copied_context_reaches_a_thread(self) -> None:
        seen: list[str] = []

        def work() -> None:
            seen.append(context.current().request_id)

        with context.bind(request_id="GET-1"):
            copied = contextvars.copy_context()
        thread = threading.Thread(target=copied.run, args=(work,))
        thread.start()
        thread.join()
        self.assertEqual(seen, ["GET-1"])
