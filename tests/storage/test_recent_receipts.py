"""New receipts from memory are those of the database."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.storage.recent_receipts import _RecentReceipts
from synapse_lite.streams import RECEIPTS, ReceiptRow
from synapse_lite.util.caches.budget import MemoryBudget
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ROOMS = ["!a:test", "!b:test", "!c:test"]


class RecentReceiptsTests(SameAnswerCase, TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        return self.master.store.current_token(RECEIPTS)

    def read(self, room_id: str, user_id: str, ordering: int) -> None:
        store = self.master.store
        arguments = (room_id, "m.read", user_id, "", f"${ordering}", ordering, {"ts": 1})
        self.assertTrue(now(store.insert_receipt(*arguments)))

    def new(self, low: int, high: int) -> Any:
        found = self.check("get_new_receipts", ROOMS, low, high)
        by_token = {
            room_id: sorted(receipts, key=lambda receipt: receipt.stream_id)
            for room_id, receipts in found.items()
        }
        stored = now(self.master.store.get_receipts_for_rooms_since(ROOMS, low, high))
        self.assertEqual(by_token, stored)
        return by_token

    def test_recent(self) -> None:
        low = self.position
        self.read("!a:test", "@u:test", 1)
        self.read("!b:test", "@u:test", 2)
        middle = self.position
        self.read("!a:test", "@u:test", 3)
        self.read("!a:test", "@v:test", 3)
        before = self.worker.db.counts.transactions
        now(self.worker.store.get_new_receipts(ROOMS, low, self.position))
        self.assertEqual(self.worker.db.counts.transactions, before)
        self.assertEqual(
            [r.event_id for r in self.new(low, self.position)["!a:test"]], ["$3", "$3"]
        )
        self.assertEqual(list(self.new(low, middle)), ["!b:test"])
        self.assertEqual(list(self.new(middle, self.position)), ["!a:test"])
        self.assertEqual(self.new(self.position, self.position), {})

    def test_older_than_memory(self) -> None:
        low = self.position
        for number in range(9):
            self.read(ROOMS[number % 3], f"@u{number}:test", number)
        for store in (self.master.store, self.worker.store):
            while len(store._recent_receipts) > 5:
                store._recent_receipts.evict_oldest()
        for start in range(low, self.position + 1):
            self.new(start, self.position)

    def test_short_memory_changes_no_answer(self) -> None:
        low = self.position
        for store in (self.master.store, self.worker.store):
            store.caches.budget.limit = 7_000
        for number in range(15):
            self.read(ROOMS[number % 3], f"@u{number % 8}:test", number)
        for store in (self.master.store, self.worker.store):
            self.assertLess(len(store._recent_receipts), 8)
            self.assertLessEqual(store.caches.budget.used, 7_000)
        for start in range(low, self.position + 1):
            self.new(start, self.position)
            for user_id in ("@u1:test", "@u7:test"):
                found = self.check("get_rooms_with_new_receipts_of", user_id, ROOMS, start)
                stored = now(self.master.store.get_receipts_for_user(user_id))
                expected = {
                    room_id
                    for room_id, receipts in stored.items()
                    if any(receipt.stream_id > start for receipt in receipts)
                }
                self.assertEqual(found, expected)

    def test_bytes_are_given_back(self) -> None:
        budget = MemoryBudget(100_000)
        receipts = _RecentReceipts(budget)

        def add(token: int, room_id: str, user_id: str) -> None:
            receipts.add(token, ReceiptRow(room_id, "m.read", user_id, "$event", {"ts": 1}, ""))

        add(1, "!a:test", "@u:test")
        add(2, "!b:test", "@v:test")
        used = budget.used
        add(3, "!a:test", "@u:test")
        self.assertEqual(budget.used, used, "a receipt that moves on takes no more")
        self.assertEqual((len(receipts), receipts.oldest_use()), (2, 1))
        receipts.evict_oldest()
        self.assertEqual((receipts.floor, receipts.oldest_use()), (2, 2))
        receipts.evict_oldest()
        self.assertEqual((receipts.floor, receipts.oldest_use(), budget.used), (3, None, 0))
        add(4, "!a:test", "@u:test")
        receipts.reset(9)
        self.assertEqual((receipts.floor, len(receipts), budget.used), (9, 0, 0))

    def test_after_a_restart(self) -> None:
        low = self.position
        self.read("!a:test", "@u:test", 1)
        self.worker.store.start_at(RECEIPTS, self.position)
        self.assertEqual(list(self.new(low, self.position)), ["!a:test"])

    def test_a_row_that_comes_after_a_newer_one_is_passed_over(self) -> None:
        store = self.master.store
        low = self.position

        def apply(token: int, event_id: str) -> None:
            row = ReceiptRow("!a:test", "m.read", "@u:test", event_id, {"ts": 1}, "")
            store.apply(RECEIPTS, token, row)

        apply(low + 2, "$newer")
        apply(low + 1, "$older")
        found = now(store.get_new_receipts(["!a:test"], low, low + 2))
        self.assertEqual(
            [(r.event_id, r.stream_id) for r in found["!a:test"]], [("$newer", low + 2)]
        )
