"""Events by id: batching of reads, what is kept, and what one event costs on disk."""

from __future__ import annotations

import sqlite3

from synapse_lite.api.constants import EventTypes
from synapse_lite.api.errors import NotFoundError
from synapse_lite.events.event import Event
from synapse_lite.events.metadata import EventMetadata
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage.events import Head, RoomHeads
from synapse_lite.storage.persist_events import ClientTxn
from synapse_lite.streams import EVENTS
from synapse_lite.util.background import start
from tests.events.support import ALICE, BOB, Room
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["12"]

MAX_BYTES_PER_EVENT = 1_100
"""What a short message may take in the database, indexes included (SQLite)."""


class EveryEvents(DatabaseCase):
    async def start(self) -> tuple[Servers, Room]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.join(BOB)
        await servers.persist_room(room)
        return servers, room

    async def send(self, servers: Servers, room: Room, count: int) -> list[Event]:
        events = [room.send(ALICE, EventTypes.MESSAGE, {"body": str(n)}) for n in range(count)]
        await servers.persist(*events)
        return events

    async def test_many_reads_at_once_are_few_queries(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 300)
        before = servers.worker_db.counts.transactions
        reading = [start(servers.worker.get_event(event.event_id)) for event in events]
        found = [await each for each in reading]
        self.assertEqual(found, events)
        if not isinstance(self, MemoryDatabase):
            self.assertLess(servers.worker_db.counts.transactions - before, 5)
        count = servers.worker_db.counts.transactions
        again = await servers.worker.get_events([event.event_id for event in reversed(events)])
        self.assertEqual(list(again.values()), events[::-1])
        self.assertEqual(servers.worker_db.counts.transactions, count)

    async def test_list_is_read_at_once(self) -> None:
        servers, room = await self.start()
        events = await self.send(servers, room, 20)
        before = servers.worker_db.counts.transactions
        found = await servers.worker.get_events([event.event_id for event in events])
        self.assertEqual(list(found.values()), events)
        self.assertEqual(servers.worker_db.counts.transactions - before, 1)
        self.assertEqual([e.pdu_json for e in found.values()], [e.pdu_json for e in events])

    async def test_missing_event(self) -> None:
        servers, room = await self.start()
        with self.assertRaises(NotFoundError):
            await servers.store.get_event("$none")
        self.assertIsNone(await servers.ask("get_event", "$none", allow_none=True))
        # An outlier comes without a row of the stream: its absence must not have been kept.
        event = room.make("@carol:two", EventTypes.MESSAGE, {})
        self.assertEqual(await servers.ask("get_events", [event.event_id]), {})
        self.assertIsNone(await servers.ask("get_event", event.event_id, allow_none=True))
        await servers.persist(
            Event(event.pdu, VERSION, event.event_id, EventMetadata(outlier=True))
        )
        self.assertEqual(await servers.ask("get_event", event.event_id), event)
        self.assertEqual(list(await servers.ask("get_events", [event.event_id])), [event.event_id])

    async def test_metadata_is_kept(self) -> None:
        servers, room = await self.start()
        event = room.send(ALICE, EventTypes.TOPIC, {"topic": "one"}, "")
        event.metadata.txn_id, event.metadata.device_id = "t1", "DEV"
        txn = ClientTxn(ALICE, "DEV", room.room_id, "t1")
        (answer,) = await servers.persist(event, txn=txn)
        second = room.send(ALICE, EventTypes.TOPIC, {"topic": "two"}, "")
        await servers.persist(second)
        stored = await servers.worker.get_event(event.event_id)
        self.assertEqual(stored.metadata.stream_ordering, answer.stream_ordering)
        self.assertEqual(stored.metadata, event.metadata)
        self.assertEqual(
            await servers.ask("get_txn_ids_for_events", [event.event_id], ALICE, "DEV"),
            {event.event_id: "t1"},
        )
        self.assertEqual(
            await servers.ask("get_txn_ids_for_events", [event.event_id], ALICE, "OTHER"), {}
        )
        replacing = await servers.worker.get_event(second.event_id)
        self.assertEqual(replacing.metadata.replaces_state, event.event_id)
        groups = await servers.ask("get_event_state_groups", [event.event_id, second.event_id])
        state = await servers.worker.get_state_ids_for_group(groups[event.event_id])
        self.assertEqual(state[(EventTypes.TOPIC, "")], event.event_id)

    async def test_heads_follow_in_place(self) -> None:
        servers, room = await self.start()
        await servers.ask("get_room_heads", room.room_id)
        before = servers.worker_db.counts.transactions
        events = await self.send(servers, room, 3)
        heads = await servers.ask("get_room_heads", room.room_id)
        self.assertEqual(heads.event_ids, (events[-1].event_id,))
        self.assertEqual(heads.depth, events[-1].depth)
        self.assertEqual(servers.worker_db.counts.transactions, before)
        # A row that is sent again has no heads: then they are read.
        _, row = (await servers.store.get_event_rows(0, servers.now, 100))[-1]
        servers.worker.apply(EVENTS, servers.now, row)
        self.assertEqual(await servers.worker.get_room_heads(room.room_id), heads)
        self.assertEqual(servers.worker_db.counts.transactions, before + 1)

    async def test_old_transaction_ids_go(self) -> None:
        servers, room = await self.start()
        event = room.send(ALICE, EventTypes.MESSAGE, {})
        now = self.clock.time_ms()
        await servers.persist(event, txn=ClientTxn(ALICE, "", room.room_id, "t"))
        self.assertEqual(await servers.store.delete_old_client_txns(now), 0)
        self.assertEqual(await servers.store.delete_old_client_txns(now + 60_000), 1)
        self.assertIsNone(await servers.ask("get_event_id_for_txn", ALICE, None, room.room_id, "t"))

    def test_heads_agree_on_a_group_or_not(self) -> None:
        self.assertIsNone(RoomHeads().state_group)
        self.assertEqual(RoomHeads.of([Head("$b", 2, 7), Head("$a", 1, 7)]).state_group, 7)
        heads = RoomHeads.of([Head("$b", 2, 7), Head("$a", 1, 8)])
        self.assertIsNone(heads.state_group)
        self.assertEqual(heads.event_ids, ("$a", "$b"))
        self.assertEqual(RoomHeads.from_row(heads.to_row()), heads)


class MemoryEventsTests(EveryEvents, MemoryDatabase):
    """On SQLite in memory."""

    async def test_queries_of_a_room_use_its_indexes(self) -> None:
        await self.start()
        for sql, index in (
            (
                "SELECT event_id FROM events WHERE room_id = ? AND in_timeline"
                " AND stream_ordering > ? AND stream_ordering <= ?"
                " ORDER BY stream_ordering DESC LIMIT ?",
                "events_room_stream",
            ),
            (
                "SELECT event_id FROM events WHERE room_id = ? AND in_timeline"
                " AND (depth, stream_ordering) <= (?, ?)"
                " ORDER BY depth DESC, stream_ordering DESC LIMIT ?",
                "events_room_depth",
            ),
        ):
            plan = await self.db.read(
                "plan", lambda txn, s: txn.query("EXPLAIN QUERY PLAN " + s, ("!r", 1, 2, 3)), sql
            )
            self.assertEqual(len(plan), 1, plan)
            self.assertIn(index, plan[0][-1])


class FileEventsTests(EveryEvents, FileDatabase):
    """On SQLite in a file, with threads."""

    async def test_bytes_on_disk_for_each_message(self) -> None:
        servers, room = await self.start()

        def size() -> int:
            with sqlite3.connect(self.path) as connection:
                pages, page, free = (
                    connection.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("page_count", "page_size", "freelist_count")
                )
            return int((pages - free) * page)

        await self.send(servers, room, 100)
        before = size()
        await self.send(servers, room, 500)
        self.assertLess((size() - before) / 500, MAX_BYTES_PER_EVENT)


class PostgresEventsTests(EveryEvents, PostgresDatabase):
    """On PostgreSQL."""
