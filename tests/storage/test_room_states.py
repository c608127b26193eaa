"""The set-based reads of /sync on every database."""

from __future__ import annotations

from typing import Any

from synapse_lite.api.constants import Membership
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage.state_changes import Hero, StateChangesWorkerStore
from tests.events.support import ALICE, BOB, CAROL, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Kernel, Servers


class EveryRoomStates(DatabaseCase):
    async def store(self) -> Any:
        """A store that was just started, on a database with one room."""
        servers = await Servers(self).start()
        room = Room(ROOM_VERSIONS["11"])
        room.set_join_rule("public")
        room.join(BOB)
        room.join(CAROL)
        room.set_member(BOB, BOB, Membership.LEAVE)
        await servers.persist_room(room)
        self.room = room
        kernel: Any = Kernel(self, self.db)
        return _FreshStore(kernel, self.db)

    async def test_heroes(self) -> None:
        store = await self.store()
        found = await store.get_heroes_for_rooms([self.room.room_id, "!none:one"])
        self.assertEqual(
            found,
            {
                self.room.room_id: (Hero(ALICE, True), Hero(CAROL, True), Hero(BOB, False)),
                "!none:one": (),
            },
        )

    async def test_states_and_members_in_one_transaction(self) -> None:
        store = await self.store()
        before = self.db.counts.transactions
        found = await store.get_room_states([self.room.room_id, "!none:one"])
        self.assertEqual(self.db.counts.transactions, before + 1)
        state = found[self.room.room_id]
        self.assertEqual(state.ids, {key: e.event_id for key, e in self.room.state.items()})
        self.assertEqual(state.members.joined, {ALICE, CAROL})
        self.assertEqual(len(found["!none:one"].ids), 0)

    async def test_changes_of_long_ago(self) -> None:
        store = await self.store()
        store._recent_changes.reset(10_000)
        store.change_cache("current_state_changed").reset(10_000)
        found = await store.get_state_changes_for_rooms({self.room.room_id: 0}, 10_000)
        last = found[self.room.room_id][-1]
        self.assertEqual(last.key, ("m.room.member", BOB))
        self.assertEqual(last.event_id, self.room.last.event_id if self.room.last else None)
        self.assertEqual(len(found[self.room.room_id]), 6)


class _FreshStore(StateChangesWorkerStore):
    def position(self, counter: Any) -> int:
        return 0


class MemoryRoomStatesTests(EveryRoomStates, MemoryDatabase):
    pass


class PostgresRoomStatesTests(EveryRoomStates, PostgresDatabase):
    pass


del EveryRoomStates
