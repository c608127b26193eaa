"""What is stored of unread events, and counted of it, on every database."""

from __future__ import annotations

from typing import Any

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.events.event import Event
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage import unread
from synapse_lite.storage.unread import Highlight, Totals, UnreadRoom
from synapse_lite.types.unread import MAIN_THREAD
from tests.events.support import ALICE, BOB, CAROL, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["11"]
MENTION = {"m.mentions": {"user_ids": [ALICE, BOB, CAROL, "@eve:one"]}}


class EveryUnread(DatabaseCase):
    """Alice and Bob are of this server, Carol is of another."""

    async def start(self) -> None:
        self.servers = await Servers(self).start()
        self.room = Room(VERSION)
        self.room.set_join_rule("public")
        self.room.set_levels(users={CAROL: 50})
        self.room.join(BOB)
        self.room.join(CAROL)
        await self.servers.persist_room(self.room)

    def message(self, sender: str = CAROL, **content: Any) -> Event:
        return self.room.send(sender, EventTypes.MESSAGE, {"body": "x", **content})

    def in_thread(self, root: Event, sender: str = CAROL, **content: Any) -> Event:
        relation = {"rel_type": "m.thread", "event_id": root.event_id}
        return self.message(sender, **{"m.relates_to": relation}, **content)

    async def receipt(self, user_id: str, event: Event, thread_id: str = "") -> None:
        await self.db.run(
            "receipt",
            lambda txn: txn.insert(
                "receipts",
                stream_id=event.metadata.stream_ordering,
                room_id=event.room_id,
                receipt_type="m.read",
                user_id=user_id,
                thread_id=thread_id,
                event_id=event.event_id,
                event_stream_ordering=event.metadata.stream_ordering,
                data="{}",
            ),
        )

    async def unread(
        self, user_id: str = BOB, *, look: bool = False, ignored: tuple[str, ...] = ()
    ) -> UnreadRoom:
        rooms = {self.room.room_id: look}
        found = await self.servers.ask("get_unread", user_id, rooms, self.servers.now, ignored)
        answer: UnreadRoom = found[self.room.room_id]
        return answer

    async def test_totals_and_positions(self) -> None:
        await self.start()
        self.assertEqual((await self.unread()).main, 0)
        first, second = self.message(), self.message()
        await self.servers.persist(first, second, self.message(msgtype="m.notice"))
        self.assertEqual((await self.unread()).main, 2)
        await self.receipt(BOB, first)
        self.assertEqual((await self.unread()).main, 1)
        await self.servers.persist(self.message(BOB))
        self.assertEqual((await self.unread()).main, 0)
        # Alice has not sent anything since the room was made.
        self.assertEqual((await self.unread(ALICE)).main, 3)
        self.assertEqual(
            await self.servers.ask("get_notify_totals", self.room.room_id), Totals(3, 0)
        )

    async def test_threads(self) -> None:
        await self.start()
        one, two = self.message(), self.message()
        await self.servers.persist(one, two)
        in_one = [self.in_thread(one) for _ in range(3)]
        await self.servers.persist(*in_one, self.in_thread(two), self.message())
        found = await self.unread()
        self.assertEqual((found.main, found.threads), (3, {one.event_id: 3, two.event_id: 1}))
        await self.receipt(BOB, in_one[1], one.event_id)
        await self.servers.persist(self.in_thread(two, BOB))
        found = await self.unread()
        self.assertEqual((found.main, found.threads), (3, {one.event_id: 1}))
        await self.receipt(BOB, two, MAIN_THREAD)
        self.assertEqual((await self.unread()).main, 1)
        await self.receipt(BOB, in_one[2])
        found = await self.unread()
        self.assertEqual((found.main, found.threads), (1, {}))

    async def test_highlights_are_rows_for_local_members_alone(self) -> None:
        await self.start()
        mention = self.message(**MENTION)
        everybody = self.message(**{"m.mentions": {"room": True, "user_ids": [ALICE]}})
        custom = self.room.send(CAROL, "org.x", MENTION)
        await self.servers.persist(mention, everybody, custom)
        rows = await self.db.read(
            "rows",
            lambda txn: txn.query(
                "SELECT user_id, stream_ordering FROM event_highlights"
                " ORDER BY stream_ordering, user_id"
            ),
        )
        places = [event.metadata.stream_ordering or 0 for event in (mention, everybody, custom)]
        expected = [(ALICE, places[0]), (BOB, places[0]), ("", places[1]), (ALICE, places[1])]
        self.assertEqual(rows, [*expected, (ALICE, places[2]), (BOB, places[2])])
        self.assertEqual(
            (await self.unread()).highlights,
            [
                Highlight(MAIN_THREAD, places[0], CAROL, True),
                Highlight(MAIN_THREAD, places[1], CAROL, True),
                Highlight(MAIN_THREAD, places[2], CAROL, False),
            ],
        )
        await self.receipt(BOB, everybody)
        self.assertEqual([h.stream_ordering for h in (await self.unread()).highlights], places[2:])

    async def test_redactions(self) -> None:
        await self.start()
        plain, mention = self.message(), self.message(**MENTION)
        await self.servers.persist(plain, mention)
        threaded = self.in_thread(plain)
        await self.servers.persist(threaded)
        for event in (plain, mention, threaded):
            redaction = self.room.send(CAROL, EventTypes.REDACTION, {"redacts": event.event_id})
            await self.servers.persist(redaction)
        found = await self.unread()
        self.assertEqual((found.main, found.threads, found.highlights), (0, {}, []))

    async def test_redaction_that_comes_first(self) -> None:
        await self.start()
        await self.servers.persist(self.message())
        late = self.room.make(CAROL, EventTypes.MESSAGE, {"body": "late", **MENTION})
        redaction = self.room.send(CAROL, EventTypes.REDACTION, {"redacts": late.event_id})
        await self.servers.persist(redaction, late)
        found = await self.unread()
        self.assertEqual((found.main, found.highlights), (1, []))
        row = next(row for _, _, row in self.servers.rows if row.event_id == late.event_id)
        self.assertIsNone(row.notice)

    async def test_what_is_not_shown_does_not_count(self) -> None:
        await self.start()
        base = self.room.last
        banned = self.room.set_member(ALICE, CAROL, Membership.BAN)
        await self.servers.persist(banned)
        self.room.last = base
        state = {**self.room.state, (EventTypes.MEMBER, CAROL): self.room.events[base.event_id]}
        soft_failed = self.room.make(CAROL, EventTypes.MESSAGE, {"body": "x"}, state=state)
        await self.servers.persist(soft_failed)
        stored = await self.servers.store.get_event(soft_failed.event_id)
        self.assertTrue(stored.metadata.soft_failed)
        self.assertEqual((await self.unread()).main, 0)

    async def test_history_that_is_fetched_later_does_not_count(self) -> None:
        await self.start()
        old = self.room.make(CAROL, EventTypes.MESSAGE, {"body": "old", **MENTION})
        await self.servers.persist(old, backfilled=True)
        found = await self.unread()
        self.assertEqual((found.main, found.highlights), (0, []))
        await self.servers.persist(self.message())
        self.assertEqual((await self.unread()).main, 1)

    async def test_joins_again(self) -> None:
        await self.start()
        await self.servers.persist(self.message())
        await self.servers.persist(self.room.set_member(BOB, BOB, Membership.JOIN, displayname="B"))
        self.assertEqual((await self.unread()).main, 1)
        await self.servers.persist(self.room.set_member(BOB, BOB, Membership.LEAVE))
        await self.servers.persist(self.message(), self.room.join(BOB), self.message())
        self.assertEqual((await self.unread()).main, 1)

    async def test_events_that_are_looked_at(self) -> None:
        await self.start()
        self.patch(unread, "EXACT_EVENTS", 2)  # type: ignore[attr-defined]  # is a TestCase
        sent = [self.message() for _ in range(4)]
        await self.servers.persist(*sent)
        found = await self.unread(look=True)
        self.assertEqual([e.event_id for e in found.recent], [e.event_id for e in sent[2:]])
        self.assertEqual(found.main, 2)
        self.assertEqual((await self.unread(ignored=(CAROL,))).recent, found.recent)
        self.assertEqual((await self.unread(ignored=("@nobody:two",))).main, 4)

    async def test_many_rooms_cost_few_statements(self) -> None:
        await self.start()
        rooms = {f"!{n}:one": False for n in range(150)} | {self.room.room_id: False}
        await self.servers.persist(self.message())
        before = (self.db.counts.transactions, self.db.counts.statements)
        found = await self.servers.store.get_unread(BOB, rooms, self.servers.now, ())
        self.assertEqual(found[self.room.room_id].main, 1)
        self.assertEqual(found["!7:one"].main, 0)
        self.assertEqual(self.db.counts.transactions - before[0], 1)
        self.assertLessEqual(self.db.counts.statements - before[1], 10)


class MemoryUnreadTests(EveryUnread, MemoryDatabase):
    pass


class PostgresUnreadTests(EveryUnread, PostgresDatabase):
    pass
