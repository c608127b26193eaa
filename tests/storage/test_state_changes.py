"""Recent changes of states, states of many rooms, and heroes: in memory as in the database."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import SYNCHROTRON
from synapse_lite.storage.state_changes import StateChange, _RecentChanges
from synapse_lite.streams import CURRENT_STATE_DELTAS, EVENTS
from synapse_lite.util.caches.budget import MemoryBudget
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker, now


class StateChangesTests(SameAnswerCase, TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(SYNCHROTRON, self.master)
        self.alice = self.master.register("alice")
        self.bob = self.master.register("bob")
        self.room_id = self.master.create_room(self.alice, preset="public_chat")

    @property
    def position(self) -> int:
        return self.master.store.current_token(EVENTS)

    def set_topic(self, topic: str) -> None:
        self.master.ok(
            "PUT", f"rooms/{self.room_id}/state/m.room.topic", {"topic": topic}, self.alice
        )

    def changes(self, low: int, high: int) -> Any:
        return self.check("get_state_changes_for_rooms", {self.room_id: low}, high)[self.room_id]

    def from_database(self, low: int, high: int) -> Any:
        """The same with nothing in memory."""
        store = self.master.store
        deltas = now(store.get_current_state_deltas(self.room_id, low, high))
        return [(d.stream_ordering, (d.type, d.state_key), d.event_id) for d in deltas]

    def test_changes(self) -> None:
        low = self.position
        self.set_topic("one")
        middle = self.position
        self.set_topic("two")
        self.master.ok("POST", f"rooms/{self.room_id}/join", {}, self.bob)
        before = self.worker.db.counts.transactions
        found = self.changes(low, self.position)
        self.assertEqual(self.worker.db.counts.transactions, before)
        self.assertEqual(
            [change.key for change in found],
            [("m.room.topic", ""), ("m.room.topic", ""), ("m.room.member", "@bob:test")],
        )
        self.assertEqual(self.changes(low, middle), found[:1])
        self.assertEqual(self.changes(middle, self.position), found[1:])
        self.assertEqual(self.changes(self.position, self.position), [])

    def test_what_was_forgotten_comes_from_the_database(self) -> None:
        low = self.position
        for number in range(40):
            self.set_topic(str(number))
        for store in (self.master.store, self.worker.store):
            while len(store._recent_changes) > 30:
                store._recent_changes.evict_oldest()
        found = self.changes(low, self.position)
        self.assertEqual(len(found), 40)
        for start in (low, low + 9, low + 10, low + 11, low + 20, self.position - 1):
            expected = self.from_database(start, self.position)
            mine = [
                (c.stream_ordering, c.key, c.event_id) for c in self.changes(start, self.position)
            ]
            self.assertEqual(mine, expected)

    def test_after_a_restart_nothing_is_claimed(self) -> None:
        low = self.position
        self.set_topic("one")
        self.worker.store.start_at(CURRENT_STATE_DELTAS, self.position)
        self.assertEqual(len(self.changes(low, self.position)), 1)

    def test_short_memory_changes_no_answer(self) -> None:
        low = self.position
        for store in (self.master.store, self.worker.store):
            store.caches.budget.limit = 10_000
        for number in range(20):
            self.set_topic(str(number))
        for store in (self.master.store, self.worker.store):
            self.assertLess(len(store._recent_changes), 20)
            self.assertLessEqual(store.caches.budget.used, 10_000)
        for start in range(low, self.position + 1):
            mine = [
                (c.stream_ordering, c.key, c.event_id) for c in self.changes(start, self.position)
            ]
            self.assertEqual(mine, self.from_database(start, self.position))

    def test_bytes_are_given_back(self) -> None:
        budget = MemoryBudget(100_000)
        changes = _RecentChanges(budget)
        for position, room_id in enumerate("abab", start=1):
            changes.add(room_id, StateChange(position, ("type", ""), "$event"))
        used = budget.used
        self.assertEqual(changes.oldest_use(), 0)
        changes.evict_oldest()
        self.assertLess(budget.used, used)
        self.assertEqual((changes.floor, changes.oldest_use()), (1, 1))
        while changes.oldest_use() is not None:
            changes.evict_oldest()
        self.assertEqual((changes.floor, len(changes), budget.used), (4, 0, 0))
        changes.add("a", StateChange(5, ("type", ""), "$event"))
        changes.reset(9)
        self.assertEqual((changes.floor, len(changes), budget.used), (9, 0, 0))

    def test_states_of_rooms(self) -> None:
        other = self.master.create_room(self.bob)
        for store in (self.master.store, self.worker.store):
            store.caches.invalidate_all()
            read = now(store.get_room_states([self.room_id, other]))
            again = now(store.get_room_states([self.room_id, other]))
            for room_id in (self.room_id, other):
                self.assertIs(again[room_id].ids, read[room_id].ids)
                self.assertEqual(read[room_id].ids, now(store.get_current_state_ids(room_id)))
                self.assertIs(now(store.get_room_members(room_id)), read[room_id].members)
            self.assertEqual(read[self.room_id].members.joined, {"@alice:test"})
            self.assertEqual(read[other].members.joined, {"@bob:test"})
        self.master.ok("POST", f"rooms/{self.room_id}/join", {}, self.bob)
        members = now(self.worker.store.get_room_states([self.room_id]))[self.room_id].members
        self.assertEqual(members.joined, {"@alice:test", "@bob:test"})

    def test_state_that_changes_while_it_is_read_is_not_kept(self) -> None:
        store = self.master.store
        store.caches.invalidate_all()
        read = store.db.read

        async def slow_read(*args: Any) -> Any:
            value = await read(*args)
            if args[0] == "get_room_states":
                self.patch(store.db, "read", read)
                self.set_topic("meanwhile")
            return value

        self.patch(store.db, "read", slow_read)
        old = now(store.get_room_states([self.room_id]))[self.room_id].ids
        self.assertNotIn(("m.room.topic", ""), old)
        new = now(store.get_room_states([self.room_id]))[self.room_id].ids
        self.assertIn(("m.room.topic", ""), new)

    def test_heroes(self) -> None:
        def heroes() -> list[tuple[str, bool]]:
            found = self.check("get_room_heroes", self.room_id)
            return [(hero.user_id, hero.is_present) for hero in found]

        self.assertEqual(heroes(), [("@alice:test", True)])
        self.master.ok("POST", f"rooms/{self.room_id}/join", {}, self.bob)
        self.assertEqual(heroes(), [("@alice:test", True), ("@bob:test", True)])
        self.master.ok("POST", f"rooms/{self.room_id}/leave", {}, self.alice)
        self.assertEqual(heroes(), [("@bob:test", True), ("@alice:test", False)])
        together = now(self.master.store.get_heroes_for_rooms([self.room_id, "!none:test"]))
        self.assertEqual(together["!none:test"], ())
