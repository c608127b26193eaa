"""Receipts: the same on master and worker before and after each change."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.storage.receipts import Receipt, receipts_contents
from synapse_lite.streams import RECEIPTS
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now

ROOM = "!a:test"
OTHER = "!b:test"
ALICE = "@alice:test"
BOB = "@bob:test"


class ReceiptsTests(SameAnswerCase, TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)

    @property
    def position(self) -> int:
        return self.master.store.current_token(RECEIPTS)

    def read(
        self,
        user_id: str,
        place: int,
        room_id: str = ROOM,
        thread_id: str = "",
        kind: str = "m.read",
    ) -> bool:
        arguments = (room_id, kind, user_id, thread_id, f"${place}", place, {"ts": place})
        moved: bool = now(self.master.store.insert_receipt(*arguments))
        return moved

    def of_room(self, room_id: str = ROOM) -> list[tuple[str, str, str]]:
        receipts = self.check("get_receipts_for_room", room_id)
        return [(one.user_id, one.thread_id, one.event_id) for one in receipts]

    def test_forward_only(self) -> None:
        self.assertEqual(self.of_room(), [])
        self.assertTrue(self.read(ALICE, 5))
        self.assertEqual(self.of_room(), [(ALICE, "", "$5")])
        self.assertFalse(self.read(ALICE, 5))
        self.assertFalse(self.read(ALICE, 4))
        self.assertEqual(self.of_room(), [(ALICE, "", "$5")])
        self.assertTrue(self.read(ALICE, 6))
        self.assertEqual(self.of_room(), [(ALICE, "", "$6")])

    def test_events_from_before_the_server_came_are_older(self) -> None:
        self.assertTrue(self.read(ALICE, -3))
        self.assertFalse(self.read(ALICE, -4))
        self.assertTrue(self.read(ALICE, 1))

    def test_one_for_each_user_kind_and_thread(self) -> None:
        self.read(ALICE, 3)
        self.read(ALICE, 2, thread_id="main")
        self.read(ALICE, 1, kind="m.read.private")
        self.read(BOB, 1)
        self.read(ALICE, 1, OTHER)
        self.assertEqual(len(self.of_room()), 4)
        of_alice = self.check("get_last_receipts_of_user_in_room", ALICE, ROOM)
        self.assertEqual(
            {(one.receipt_type, one.thread_id): one.event_id for one in of_alice},
            {("m.read", ""): "$3", ("m.read", "main"): "$2", ("m.read.private", ""): "$1"},
        )

    def test_reads_of_a_user_follow_changes(self) -> None:
        self.assertEqual(self.check("get_receipts_for_user", ALICE), {})
        self.assertEqual(self.check("get_last_receipts_of_user_in_room", ALICE, ROOM), ())
        self.read(ALICE, 1)
        self.read(ALICE, 2, OTHER)
        found = self.check("get_receipts_for_user", ALICE)
        self.assertEqual(
            {room_id: [one.event_id for one in receipts] for room_id, receipts in found.items()},
            {ROOM: ["$1"], OTHER: ["$2"]},
        )
        (receipt,) = self.check("get_last_receipts_of_user_in_room", ALICE, ROOM)
        self.assertEqual((receipt.event_id, receipt.data), ("$1", {"ts": 1}))

    def test_since(self) -> None:
        start = self.position
        self.read(ALICE, 1)
        middle = self.position
        self.read(BOB, 2, OTHER)
        end = self.position

        def since(low: int, high: int) -> dict[str, list[str]]:
            rooms = [ROOM, OTHER, "!never:test"]
            found = self.check("get_receipts_for_rooms_since", rooms, low, high)
            return {room: [one.event_id for one in receipts] for room, receipts in found.items()}

        self.assertEqual(since(start, end), {ROOM: ["$1"], OTHER: ["$2"]})
        self.assertEqual(since(start, middle), {ROOM: ["$1"]})
        self.assertEqual(since(middle, end), {OTHER: ["$2"]})
        before = self.worker.db.counts.transactions
        self.assertEqual(since(end, end), {})
        now(self.worker.store.get_receipts_for_rooms_since(["!never:test"], start, end))
        self.assertEqual(self.worker.db.counts.transactions, before)
        self.of_room()  # what is cached gives the same answer
        self.assertEqual(since(start, end), {ROOM: ["$1"], OTHER: ["$2"]})

    def test_a_write_is_one_transaction_of_one_statement(self) -> None:
        self.read(ALICE, 1)
        counts = self.master.db.counts
        before = (counts.transactions, counts.statements)
        self.read(ALICE, 2)
        self.assertEqual((counts.transactions, counts.statements), (before[0] + 1, before[1] + 1))

    def test_missed_rows(self) -> None:
        start = self.position
        self.read(ALICE, 1)
        self.read(BOB, 2, thread_id="main")
        self.read(ALICE, 3)
        rows = now(self.master.store.rows_between(RECEIPTS, start, self.position, 10))
        self.assertEqual(
            [(row.user_id, row.event_id, row.thread_id, row.data) for _, row in rows],
            [(BOB, "$2", "main", {"ts": 2}), (ALICE, "$3", "", {"ts": 3})],
        )


class ContentTests(TestCase):
    def contents(self, *receipts: tuple[str, str, str]) -> Any:
        """What Alice is shown of receipts of (user, kind, thread) for one event."""
        stored = [
            Receipt(ROOM, kind, user_id, thread_id, "$1", {"ts": 1}, 1)
            for user_id, kind, thread_id in receipts
        ]
        return receipts_contents(stored, ALICE)

    def test_private_receipts_are_for_their_owner(self) -> None:
        self.assertEqual(self.contents((BOB, "m.read.private", "")), [])
        self.assertEqual(
            self.contents((ALICE, "m.read.private", ""), (BOB, "m.read", "")),
            [{"$1": {"m.read.private": {ALICE: {"ts": 1}}, "m.read": {BOB: {"ts": 1}}}}],
        )

    def test_two_threads_at_one_event_are_two_contents(self) -> None:
        found = self.contents(
            (BOB, "m.read", ""), (BOB, "m.read", "main"), ("@carol:test", "m.read", "")
        )
        self.assertEqual(
            found,
            [
                {"$1": {"m.read": {BOB: {"ts": 1}, "@carol:test": {"ts": 1}}}},
                {"$1": {"m.read": {BOB: {"ts": 1, "thread_id": "main"}}}},
            ],
        )
