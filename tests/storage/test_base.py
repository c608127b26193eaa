"""Stores: rows after commits, positions, listeners, invalidation, and followers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from unittest import mock

from twisted.internet.defer import Deferred

from synapse_lite.crypto.signing import generate_signing_key
from synapse_lite.server import Homeserver
from synapse_lite.storage import _base
from synapse_lite.storage._base import BaseStore, FollowerStore, MasterStore
from synapse_lite.storage._positions import BLOCK
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import (
    CACHES,
    RECEIPTS,
    TYPING,
    CacheRow,
    ReceiptRow,
    Stream,
    TypingRow,
)
from synapse_lite.util.background import start
from synapse_lite.util.caches.cached import cached
from tests.harness.databases import MemoryDatabase
from tests.harness.homeserver import make_config


class NamesWorkerStore(BaseStore):
    """Cached reads of a table, one named by a stream and one that no stream names."""

    streams: ClassVar[tuple[Stream, ...]] = (RECEIPTS,)

    @cached()
    async def get_receipts_for_room(self, room_id: str) -> list[str]:
        """The events that were read."""
        rows = await self.db.read(
            "get_receipts_for_room",
            lambda txn: txn.query(
                "SELECT event_id FROM receipts WHERE room_id = ? ORDER BY event_id", (room_id,)
            ),
        )
        return [row[0] for row in rows]

    @cached()
    async def get_count(self) -> int:
        """How many receipts there are."""
        rows = await self.db.read(
            "get_count", lambda txn: txn.query("SELECT COUNT(*) FROM receipts")
        )
        count: int = rows[0][0]
        return count


class NamesStore(NamesWorkerStore, MasterStore):
    """Writes of the table."""

    async def insert(self, room_id: str, event_id: str, wait: Deferred[None] | None = None) -> int:
        """Write a receipt; `wait` holds the position after the commit."""
        async with self.writing(RECEIPTS) as token:
            await self.db.run("insert", self._insert_txn, token, room_id, event_id)
            if wait is not None:
                await wait
        return token

    def _insert_txn(self, txn: Transaction, token: int, room_id: str, event_id: str) -> None:
        txn.insert(
            "receipts",
            stream_id=token,
            room_id=room_id,
            receipt_type="m.read",
            user_id=f"@{event_id}:test",
            thread_id="",
            event_id=event_id,
            event_stream_ordering=token,
            data='{"ts":1}',
        )
        row = ReceiptRow(room_id, "m.read", f"@{event_id}:test", event_id, {"ts": 1}, "", token)
        txn.changed(RECEIPTS, token, row)
        txn.invalidate(self.get_count, ())


class SlavedNamesStore(NamesWorkerStore, FollowerStore):
    """The reads in a worker."""


class StoresTestCase(MemoryDatabase):
    """A master and a follower over one database."""

    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(start(prepare_database(self.db)))
        hs = Homeserver(
            make_config(),
            self.clock,
            self.reactor,
            signing_key=generate_signing_key("1"),
            process_name="test",
            instance_name="test",
        )
        self.master = NamesStore(hs, self.db)
        self.successResultOf(start(self.master.load_positions()))
        self.told: list[tuple[str, int, list[Any]]] = []
        self.master.follow(self._listen)
        self.follower = SlavedNamesStore(hs, self.db.sharing())
        for stream in self.follower.followed:
            self.follower.start_at(stream, self.master.current_token(stream))

    def _listen(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        self.told.append((stream.name, token, list(rows)))
        if stream in self.follower.followed:
            self.follower.process_rows(stream, token, rows)

    def insert(self, room_id: str, event_id: str) -> int:
        token: int = self.successResultOf(start(self.master.insert(room_id, event_id)))
        return token

    def read(self, store: NamesWorkerStore, room_id: str) -> list[str]:
        events: list[str] = self.successResultOf(start(store.get_receipts_for_room(room_id)))
        return events

    def test_both_sides_give_the_same_answer(self) -> None:
        for event_id in ("$1", "$2"):
            self.insert("!a", event_id)
            for store in (self.master, self.follower):
                self.assertIn(event_id, self.read(store, "!a"))
                self.assertEqual(self.successResultOf(start(store.get_count())), int(event_id[1:]))

    def test_reads_that_no_stream_names_go_stale_before_the_rows_are_told(self) -> None:
        self.insert("!a", "$1")
        names = [name for name, _, _ in self.told]
        self.assertLess(names.index("caches"), names.index("receipts"))
        self.assertEqual(self.told[0][2], [CacheRow("get_count", [], self.clock.time_ms())])

    def test_an_unfinished_write_holds_back_the_rows_of_newer_ones(self) -> None:
        slow: Deferred[None] = Deferred()
        first = start(self.master.insert("!a", "$1", slow))
        second = self.insert("!a", "$2")
        self.assertEqual([t for n, t, _ in self.told if n == "receipts"], [])
        self.assertEqual(self.master.current_token(RECEIPTS), second - 2)
        # The writer's own side knows at once.
        self.assertEqual(self.read(self.master, "!a"), ["$1", "$2"])
        slow.callback(None)
        self.assertEqual(self.successResultOf(first), second - 1)
        self.assertEqual([t for n, t, _ in self.told if n == "receipts"], [second - 1, second])

    def test_a_failed_write_moves_the_position_without_rows(self) -> None:
        token = self.insert("!a", "$1")
        # The same user, room and kind again.
        failed = start(self.master.insert("!a", "$1"))
        self.failureResultOf(failed)
        self.assertEqual(self.told[-1], ("receipts", token + 1, []))
        self.assertEqual(self.follower.current_token(RECEIPTS), token + 1)
        self.assertEqual(self.read(self.follower, "!a"), ["$1"])

    def test_catching_up_gives_the_rows_that_were_told(self) -> None:
        for number in range(5):
            self.insert("!a", f"${number}")
        for stream in (RECEIPTS, CACHES):
            live = [(t, row) for name, t, rows in self.told if name == stream.name for row in rows]
            high = self.master.current_token(stream)
            for low in range(high + 1):
                caught_up = self.successResultOf(
                    start(self.master.rows_between(stream, low, high, 100))
                )
                self.assertEqual(caught_up, [item for item in live if item[0] > low])
            self.assertEqual(
                self.successResultOf(start(self.master.rows_between(stream, 0, high, 2))), live[:2]
            )

    def test_same_position_costs_no_query(self) -> None:
        before = self.db.counts.transactions
        high = self.master.current_token(RECEIPTS)
        rows = self.successResultOf(start(self.master.rows_between(RECEIPTS, high, high, 10)))
        self.assertEqual((rows, self.db.counts.transactions), ([], before))

    def test_positions_go_on_after_a_restart(self) -> None:
        token = self.insert("!a", "$1")
        typing = self.master.current_token(TYPING)
        self.successResultOf(start(self.master.load_positions()))
        self.assertGreater(self.insert("!a", "$2"), token)
        self.assertGreater(self.master.current_token(TYPING), typing + 2**31)

    def test_live_rows(self) -> None:
        before = self.master.current_token(TYPING)
        row = TypingRow("!a", ["@u:test"])
        token = self.master.publish_live(TYPING, [row])
        self.assertEqual(token, before + 1)
        self.assertEqual(self.told[-1], ("typing", token, [row]))

    def test_a_failing_listener_does_not_hinder_others(self) -> None:
        def fail(stream: Stream, token: int, rows: Sequence[Any]) -> None:
            raise RuntimeError("listener")

        heard: list[str] = []
        self.master.follow(fail)
        self.master.follow(lambda stream, token, rows: heard.append(stream.name))
        with self.assertLogs("synapse_lite.storage._base", "ERROR"):
            self.insert("!a", "$1")
        self.assertIn("receipts", heard)

    def test_a_row_that_cannot_be_applied_is_told_and_everything_forgotten(self) -> None:
        self.insert("!a", "$1")
        self.read(self.master, "!a")
        failing = mock.Mock(side_effect=ValueError("broken"))
        with (
            mock.patch.dict(self.master._effects, {RECEIPTS.name: (failing,)}),
            self.assertLogs("synapse_lite.storage._base", "ERROR"),
        ):
            token = self.insert("!a", "$2")
        self.assertEqual(
            [(t, len(rows)) for name, t, rows in self.told if name == "receipts"][-1], (token, 1)
        )
        self.assertEqual(self.read(self.master, "!a"), ["$1", "$2"])
        changes = self.master.change_cache("receipts_changed")
        self.assertTrue(changes.has_changed("!a", token - 1))

    def test_a_position_is_held_until_the_transaction_of_a_cancelled_writer_has_ended(self) -> None:
        held: list[Any] = []
        submit = self.db._writer.submit
        with mock.patch.object(self.db._writer, "submit", lambda *job: held.append(job)):
            writing = start(self.master.insert("!a", "$1"))
        before = self.master.current_token(RECEIPTS)
        writing.cancel()
        self.assertEqual(self.master.current_token(RECEIPTS), before)
        submit(*held[0])
        token: int = self.successResultOf(writing)
        self.assertEqual(self.master.current_token(RECEIPTS), token)
        self.assertEqual([t for name, t, rows in self.told if name == "receipts" and rows], [token])

    def test_a_worker_cannot_make_other_caches_stale(self) -> None:
        writing = start(
            self.follower.db.run("test", lambda txn: txn.invalidate(self.follower.get_count, ()))
        )
        self.failureResultOf(writing, RuntimeError)

    def test_old_rows_of_the_caches_stream_are_forgotten(self) -> None:
        def write_many(txn: Transaction) -> None:
            for _ in range(400):
                txn.invalidate(self.master.get_count, ())

        def count() -> int:
            [(number,)] = self.successResultOf(
                start(
                    self.db.read(
                        "test",
                        lambda txn: txn.query("SELECT COUNT(*) FROM cache_invalidation_stream"),
                    )
                )
            )
            return int(number)

        self.patch(_base, "KEPT_CACHE_ROWS", 1000)
        for _ in range(40):
            self.successResultOf(start(self.db.run("test", write_many)))
        self.assertLess(count(), 1000 + BLOCK)
        self.assertGreaterEqual(count(), 1000)
        newest = self.master.current_token(CACHES)
        rows = self.successResultOf(
            start(self.master.rows_between(CACHES, newest - 10, newest, 100))
        )
        self.assertEqual(len(rows), 10)

    def test_change_caches_know_nothing_of_before(self) -> None:
        position = self.master.current_token(RECEIPTS)
        changes = self.follower.change_cache("receipts_changed")
        self.assertFalse(changes.has_changed("!a", position))
        if position:
            self.assertTrue(changes.has_changed("!a", position - 1))
        self.insert("!a", "$1")
        self.assertTrue(changes.has_changed("!a", position))
        self.assertFalse(changes.has_changed("!b", position))

    def test_a_follower_starts_anew(self) -> None:
        self.insert("!a", "$1")
        self.read(self.follower, "!a")
        self.follower.start_at(RECEIPTS, 100)
        self.assertEqual(self.follower.token_of(RECEIPTS), 100)
        self.assertEqual(len(self.follower.get_receipts_for_room), 0)
        # As after the database was restored from a copy.
        self.follower.start_at(RECEIPTS, 40)
        self.assertEqual(self.follower.token_of(RECEIPTS), 40)


class ReservedPositionsTestCase(StoresTestCase):
    """No position is handed out twice, even if it left nothing behind."""

    def restart(self) -> None:
        """As after a crash: only the database is left."""
        self.successResultOf(start(self.master.load_positions()))

    def test_a_position_that_left_no_row(self) -> None:
        used = self.insert("!a", "$1")
        self.failureResultOf(start(self.master.insert("!a", "$1")))
        self.restart()
        self.assertGreater(self.insert("!a", "$2"), used + 1)

    def test_after_a_clean_stop_numbers_go_on(self) -> None:
        used = self.insert("!a", "$1")
        self.successResultOf(start(self.master.save_positions()))
        self.restart()
        self.assertEqual(self.insert("!a", "$2"), used + 1)

    def test_the_limit_is_raised_before_it_is_reached(self) -> None:
        async def reserve_many() -> None:
            for _ in range(30):
                async with self.master.writing_many(RECEIPTS, 1000):
                    pass

        self.successResultOf(start(reserve_many()))
        newest = self.master.current_token(RECEIPTS)
        [(reserved,)] = self.successResultOf(
            start(
                self.db.read(
                    "test",
                    lambda txn: txn.query(
                        "SELECT reserved FROM reserved_positions WHERE name = 'receipts'"
                    ),
                )
            )
        )
        self.assertGreaterEqual(reserved, newest)
        self.restart()
        self.assertGreaterEqual(self.master.current_token(RECEIPTS), newest)
