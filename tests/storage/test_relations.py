"""Relations in both databases: what is kept while events arrive in any order, and what it costs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from synapse_lite.api.constants import EventTypes
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.handlers.persistence import EventToPersist
from synapse_lite.storage import relations, schema
from synapse_lite.storage._persist_threads import EVERYBODY
from synapse_lite.storage.relations import RelationsQuery, ThreadActivity
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import BACKFILL, EVENTS
from tests.events.support import ALICE, BOB, CAROL, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["12"]
DELTA = Path(schema.__file__).parent / "delta/2/20_relations.sql"

_COLUMNS = "root_id, sender, room_id, events, depth, stream_ordering, event_id"


def related(
    room: Room, rel_type: str, parent: Event | str, sender: str = ALICE, **options: Any
) -> Event:
    """An event with a relation, sent to a room."""
    event_id = parent if isinstance(parent, str) else parent.event_id
    content = {
        "body": "x",
        "m.new_content": {"body": "x"},
        "m.relates_to": {"rel_type": rel_type, "event_id": event_id},
    }
    return room.send(sender, EventTypes.MESSAGE, content, **options)


def message(room: Room, sender: str = ALICE) -> Event:
    return room.send(sender, EventTypes.MESSAGE, {"body": "x"})


def redaction(room: Room, event: Event, sender: str = ALICE) -> Event:
    return room.send(sender, EventTypes.REDACTION, {"redacts": event.event_id})


def _activity_txn(txn: Transaction) -> list[tuple[Any, ...]]:
    return sorted(txn.query(f"SELECT {_COLUMNS} FROM thread_activity WHERE events > 0"))


def _recount_txn(txn: Transaction) -> list[tuple[Any, ...]]:
    """What the upgrade of an older database would find."""
    txn.execute("DELETE FROM thread_activity")
    text = DELTA.read_text(encoding="utf-8")
    inserts = text[text.index("INSERT INTO thread_activity") :]
    for statement in txn.engine.schema_statements(inserts):
        txn.execute(statement)
    return _activity_txn(txn)


class EveryRelations(DatabaseCase):
    async def start(self) -> tuple[Servers, Room]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        for user_id in (BOB, CAROL):
            room.join(user_id)
        await servers.persist_room(room)
        return servers, room

    async def may_have(self, servers: Servers, event: Event) -> bool:
        """Whether the event may have relations, as the worker knows without a query."""
        stored = await servers.worker.get_event(event.event_id)
        with servers.worker_db.recording() as statements:
            answer: bool = servers.worker.may_have_relations(stored)
        self.assertEqual(statements, [])
        return answer

    # Edits

    async def test_the_newest_edit_is_that_of_the_latest_time_and_largest_id(self) -> None:
        servers, room = await self.start()
        event = message(room)
        edits = [
            related(room, "m.replace", event, timestamp=timestamp)
            for timestamp in (5_000, 9_000, 9_000, 7_000)
        ]
        await servers.persist(event, *edits)
        found = await servers.ask("get_relations", event.event_id)
        self.assertEqual(found.edit, max(edit.event_id for edit in edits[1:3]))

    async def test_pages_are_by_graph_and_then_by_arrival(self) -> None:
        servers, room = await self.start()
        event = message(room)
        old = related(room, "m.reference", event)
        room.last = event
        new = related(room, "m.reference", event)
        await servers.persist(event, new, old)
        query = RelationsQuery(event.room_id, event.event_id)
        for direction, expected in (("b", [new, old]), ("f", [old, new])):
            found, end = await servers.ask(
                "get_related_page", query, None, None, direction=direction, limit=5
            )
            self.assertEqual((found, end), ([each.event_id for each in expected], None))

    # Knowing without asking

    async def test_what_has_just_come_has_no_relations(self) -> None:
        servers, room = await self.start()
        quiet, busy = message(room), message(room)
        await servers.persist(quiet, busy)
        self.assertFalse(await self.may_have(servers, busy))
        await servers.persist(related(room, "m.annotation", busy))
        self.assertFalse(await self.may_have(servers, busy))
        await servers.persist(related(room, "m.replace", busy))
        self.assertTrue(await self.may_have(servers, busy))
        self.assertFalse(await self.may_have(servers, quiet))
        # A worker that starts later knows nothing of it, and asks.
        await servers.start(prepare=False)
        self.assertTrue(await self.may_have(servers, quiet))
        self.assertIsNone(await servers.ask("get_relations", quiet.event_id))
        self.assertIsNotNone(await servers.ask("get_relations", busy.event_id))

    async def test_relations_that_come_before_their_event(self) -> None:
        servers, room = await self.start()
        last = room.last
        event = message(room, CAROL)
        room.last = last
        edit = related(room, "m.replace", event, CAROL)
        inside = related(room, "m.thread", event, BOB)
        await servers.persist(edit, inside)
        self.assertIsNone(await servers.ask("get_relations", event.event_id))
        await servers.persist(event)
        self.assertTrue(await self.may_have(servers, event))
        found = await servers.ask("get_relations", event.event_id)
        self.assertEqual(found.edit, edit.event_id)
        self.assertEqual(found.thread[EVERYBODY].event_id, inside.event_id)
        # Its sender takes part in the thread.
        self.assertEqual(found.thread[CAROL], ThreadActivity(0, None, None, None))
        page = await servers.ask("get_threads_page", event.room_id, None, 5, of_user=CAROL)
        self.assertEqual(page, ([event.event_id], None))

    async def test_history_that_is_fetched_later_has_relations_too(self) -> None:
        servers, room = await self.start()
        event = message(room, CAROL)
        await servers.persist(event)
        self.assertFalse(await self.may_have(servers, event))
        edit = related(room, "m.replace", event, CAROL)
        await servers.persist(edit, backfilled=True)
        self.assertTrue(await self.may_have(servers, event))
        found = await servers.ask("get_relations", event.event_id)
        self.assertEqual(found.edit, edit.event_id)

    async def test_redacted_relations_are_forgotten(self) -> None:
        servers, room = await self.start()
        event = message(room)
        edit, reference = related(room, "m.replace", event), related(room, "m.reference", event)
        await servers.persist(event, edit, reference)
        self.assertIsNotNone((await servers.ask("get_relations", event.event_id)).edit)
        await servers.persist(redaction(room, edit))
        found = await servers.ask("get_relations", event.event_id)
        self.assertEqual((found.edit, found.references), (None, ((reference.event_id, ALICE),)))

    async def test_rows_of_relations_are_the_same_live_and_later(self) -> None:
        servers, room = await self.start()
        last = room.last
        event = message(room, CAROL)
        room.last = last
        edit = related(room, "m.replace", event, CAROL)
        await servers.persist(edit)
        await servers.persist(event)
        await servers.persist(redaction(room, edit))
        rows = [row for stream, _, row in servers.rows if stream is EVENTS]
        tail = [(row.rel_type, row.frees, row.has_relations) for row in rows[-3:]]
        self.assertEqual(
            tail,
            [("m.replace", None, False), (None, None, True), (None, event.event_id, False)],
        )
        later = await servers.store.rows_between(EVENTS, 0, servers.now, 1000)
        found = [(row.rel_type, row.frees, row.has_relations) for _, row in later[-3:]]
        self.assertEqual(found, tail)
        self.assertEqual(await servers.store.rows_between(BACKFILL, 0, 0, 10), [])

    # Threads

    async def test_activity_is_what_counting_would_find(self) -> None:
        servers, room = await self.start()
        chance = random.Random(3)
        roots = [message(room, chance.choice((ALICE, BOB, CAROL))) for _ in range(4)]
        await servers.persist(*roots)
        replies: list[Event] = []
        waiting: list[Event] = []
        for _ in range(60):
            sender = chance.choice((ALICE, BOB, CAROL))
            last = room.last
            reply = related(room, "m.thread", chance.choice(roots), sender)
            replies.append(reply)
            if chance.random() < 0.2:
                waiting.append(reply)  # comes late
                room.last = last
            else:
                await servers.persist(reply)
            if chance.random() < 0.4:
                await servers.persist(redaction(room, chance.choice(replies), sender))
        chance.shuffle(waiting)
        await servers.persist(*waiting)
        kept = await self.db.run("kept", _activity_txn)
        self.assertGreater(len(kept), 8)
        before = {
            root.event_id: await servers.ask("get_relations", root.event_id) for root in roots
        }
        self.assertEqual(await self.db.run("recount", _recount_txn), kept)
        for root in roots:
            servers.store.get_relations.invalidate((root.event_id,))
            found = await servers.store.get_relations(root.event_id)
            self.assertEqual(found, before[root.event_id])

    async def test_a_thread_and_its_redaction_in_one_commit(self) -> None:
        servers, room = await self.start()
        root = message(room)
        await servers.persist(root)
        reply = related(room, "m.thread", root)
        other = related(room, "m.thread", root)
        gone = redaction(room, reply)
        await servers.persister.persist_many(
            [EventToPersist(event, is_local=True) for event in (reply, other, gone)]
        )
        self.assertEqual(await self.db.run("kept", _activity_txn), self.kept(other, root))
        self.assertEqual(await self.db.run("recount", _recount_txn), self.kept(other, root))

    @staticmethod
    def kept(newest: Event, root: Event) -> list[tuple[Any, ...]]:
        """The rows of a thread of one event."""
        ordering = newest.metadata.stream_ordering
        tail = (root.room_id, 1, newest.depth, ordering, newest.event_id)
        return [(root.event_id, sender, *tail) for sender in ("", newest.sender)]

    async def test_soft_failed_and_rejected_events_are_in_no_thread(self) -> None:
        servers, room = await self.start()
        root = message(room)
        await servers.persist(root)
        reply = related(room, "m.thread", root, "@stranger:two")
        await servers.persist(reply)
        self.assertIsNone(await servers.ask("get_relations", root.event_id))
        self.assertEqual(await servers.ask("get_threads_page", root.room_id, None, 5), ([], None))

    async def test_those_with_many_threads_get_the_same_pages(self) -> None:
        servers, room = await self.start()
        roots = [message(room, chance) for chance in (ALICE, BOB, CAROL, BOB)]
        await servers.persist(*roots)
        await servers.persist(*[related(room, "m.thread", root, ALICE) for root in roots])
        await servers.persist(related(room, "m.thread", roots[0], BOB))
        expected = [roots[0].event_id, roots[3].event_id, roots[1].event_id]
        for many in (1000, 1):
            self.patch(relations, "_MANY_THREADS", many)
            found: list[str] = []
            token = None
            while True:
                page, token = await servers.ask(
                    "get_threads_page", room.room_id, token, 2, of_user=BOB
                )
                found += page
                if token is None:
                    break
            self.assertEqual(found, expected)

    async def test_many_events_are_asked_in_one_statement(self) -> None:
        servers, room = await self.start()
        events = [message(room) for _ in range(30)]
        await servers.persist(*events)
        for event in events:
            await servers.persist(
                related(room, "m.replace", event), related(room, "m.thread", event)
            )
        ids = [event.event_id for event in events]
        with servers.worker_db.recording() as statements:
            found = await servers.worker.get_relations_of_events([*ids, "$unknown"])
        self.assertEqual(len(statements), 1)
        self.assertEqual(set(found), set(ids))
        with servers.worker_db.recording() as statements:
            await servers.worker.get_relations_of_events([*ids, "$unknown"])
        self.assertEqual(statements, [])


class MemoryRelationsTests(EveryRelations, MemoryDatabase):
    """On SQLite in memory."""


class PostgresRelationsTests(EveryRelations, PostgresDatabase):
    """On PostgreSQL."""
