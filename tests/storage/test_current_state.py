"""The current state: in place, in parts, of many rooms, and as it was."""

from __future__ import annotations

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.events.room_versions import ROOM_VERSIONS
from tests.events.support import ALICE, BOB, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

TOPIC = (EventTypes.TOPIC, "")
MEMBER_BOB = (EventTypes.MEMBER, BOB)
VERSION = ROOM_VERSIONS["12"]


class EveryCurrentState(DatabaseCase):
    async def start(self) -> tuple[Servers, Room]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        await servers.persist_room(room)
        return servers, room

    async def test_follows_in_place(self) -> None:
        servers, room = await self.start()
        await servers.ask("get_current_state_ids", room.room_id)
        before = servers.worker_db.counts.transactions
        topic = room.send(ALICE, EventTypes.TOPIC, {"topic": "x"}, "")
        await servers.persist(topic, room.join(BOB))
        expected = {key: event.event_id for key, event in room.state.items()}
        self.assertEqual(await servers.ask("get_current_state_ids", room.room_id), expected)
        self.assertEqual(
            await servers.ask("get_current_state_event_id", room.room_id, *TOPIC), topic.event_id
        )
        self.assertEqual(servers.worker_db.counts.transactions, before)
        for store in (servers.store, servers.worker):
            store.caches.invalidate_all()
        self.assertEqual(await servers.ask("get_current_state_ids", room.room_id), expected)

    async def test_parts(self) -> None:
        servers, room = await self.start()
        topic = room.send(ALICE, EventTypes.TOPIC, {"topic": "x"}, "")
        await servers.persist(topic, room.join(BOB))
        room_id = room.room_id
        self.assertEqual(
            await servers.ask("get_current_state_events", room_id, keys=[TOPIC, ("none", "")]),
            {TOPIC: topic},
        )
        members = await servers.ask("get_current_state_events", room_id, types=[EventTypes.MEMBER])
        self.assertEqual({key[1] for key in members}, {ALICE, BOB})
        self.assertEqual(await servers.ask("get_current_state_events", room_id), dict(room.state))
        self.assertEqual(await servers.ask("get_current_state_event", room_id, *TOPIC), topic)
        self.assertIsNone(await servers.ask("get_current_state_event", room_id, "none", ""))

    async def test_parts_of_many_rooms_whether_cached_or_not(self) -> None:
        servers = await Servers(self).start()
        rooms = [Room(VERSION, {"n": n}) for n in range(3)]
        topics = {}
        for room in rooms:
            await servers.persist_room(room)
            topics[room.room_id] = room.send(ALICE, EventTypes.TOPIC, {"topic": "x"}, "")
            await servers.persist(topics[room.room_id])
        await servers.worker.get_current_state_ids(rooms[0].room_id)
        wanted = [room.room_id for room in rooms] + ["!unknown:one"]
        before = servers.worker_db.counts.transactions
        found = await servers.ask("get_current_state_for_rooms", wanted, [TOPIC, MEMBER_BOB])
        self.assertEqual(
            found,
            {**{room_id: {TOPIC: topic} for room_id, topic in topics.items()}, "!unknown:one": {}},
        )
        # One for the ids, one for the events.
        self.assertLessEqual(servers.worker_db.counts.transactions - before, 2)

    async def test_changes_and_the_state_at_a_position(self) -> None:
        servers, room = await self.start()
        positions = [servers.now]
        states = [await servers.ask("get_current_state_ids", room.room_id)]
        for event in (
            room.send(ALICE, EventTypes.TOPIC, {"topic": "one"}, ""),
            room.join(BOB),
            room.send(ALICE, EventTypes.TOPIC, {"topic": "two"}, ""),
            room.set_member(BOB, BOB, Membership.LEAVE),
        ):
            await servers.persist(event)
            positions.append(servers.now)
            states.append(await servers.ask("get_current_state_ids", room.room_id))
        for position, state in zip(positions, states, strict=True):
            self.assertEqual(
                await servers.ask("get_state_ids_at", room.room_id, position), state, position
            )
        deltas = await servers.ask(
            "get_current_state_deltas", room.room_id, positions[1], positions[3]
        )
        self.assertEqual(
            [(delta.type, delta.state_key, delta.prev_event_id) for delta in deltas],
            [(*MEMBER_BOB, None), (*TOPIC, states[1][TOPIC])],
        )
        count = servers.worker_db.counts.transactions
        self.assertEqual(
            await servers.worker.get_current_state_deltas(room.room_id, servers.now, 2**60), []
        )
        self.assertEqual(servers.worker_db.counts.transactions, count)


class MemoryCurrentStateTests(EveryCurrentState, MemoryDatabase):
    """On SQLite in memory."""


class PostgresCurrentStateTests(EveryCurrentState, PostgresDatabase):
    """On PostgreSQL."""
