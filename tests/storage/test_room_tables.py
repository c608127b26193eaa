"""Reports, upgrades and followers of rooms, and reads over many rooms, on every database."""

from __future__ import annotations

from typing import cast

import attrs

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.server import Homeserver
from synapse_lite.storage._persist_batch import EventWrite, RoomWrite, StateChange
from synapse_lite.storage.reports import Report, ReportsStore
from synapse_lite.storage.room_upgrades import RoomFollower, RoomUpgrade, RoomUpgradesStore
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.timeline import EventTypeFilter
from synapse_lite.types.tokens import RoomToken
from tests.events.support import ALICE, BOB, CAROL, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Kernel, Servers

VERSION = ROOM_VERSIONS["11"]
OLD = "!old:one"


class EveryRoomTable(DatabaseCase):
    async def test_reports_page_by_page(self) -> None:
        await prepare_database(self.db)
        store = ReportsStore(cast(Homeserver, Kernel(self, self.db)), self.db)
        sent = [Report(ALICE, room_id=OLD, reason=str(number)) for number in range(5)]
        for report in sent:
            await store.add_report(report)
        found = []
        before = None
        while page := await store.get_reports(limit=2, before=before):
            found += [each.report for each in page]
            before = (page[-1].received_ts, page[-1].report_id)
        self.assertEqual(sorted(found, key=lambda each: each.reason or ""), sent)

    async def test_upgrades(self) -> None:
        await prepare_database(self.db)
        store = RoomUpgradesStore(cast(Homeserver, Kernel(self, self.db)), self.db)
        first = RoomUpgrade(OLD, "!one:one", ALICE, "11", {"a": 1})
        second = attrs.evolve(first, new_room_id="!two:one")
        self.assertIsNone(await store.get_room_upgrade(OLD))
        await store.begin_room_upgrade(first)
        await store.begin_room_upgrade(second)
        self.assertEqual(await store.get_room_upgrade(OLD), second)
        self.assertEqual(await store.get_unfinished_upgrades(), [OLD])
        await store.finish_room_upgrade(first)  # which is no longer the one
        self.assertEqual(await store.get_unfinished_upgrades(), [OLD])
        await store.finish_room_upgrade(second)
        self.assertEqual(await store.get_unfinished_upgrades(), [])
        self.assertEqual(await store.get_room_upgrade(OLD), attrs.evolve(second, finished=True))
        await store.drop_room_upgrade(second)
        self.assertIsNone(await store.get_room_upgrade(OLD))

    async def test_followers(self) -> None:
        await prepare_database(self.db)
        store = RoomUpgradesStore(cast(Homeserver, Kernel(self, self.db)), self.db)
        woken: list[bool] = []
        store.followers_changed = lambda: woken.append(True)
        room = Room(VERSION, {"predecessor": {"room_id": OLD, "event_id": "$e"}})
        changes = [
            StateChange(EventTypes.MEMBER, user_id, "$m", None, Membership.JOIN, user_id)
            for user_id in (BOB, CAROL)
        ]
        create = next(iter(room.events.values()))
        rooms = [
            RoomWrite(room.room_id, [EventWrite(create), EventWrite(create, state_changes=changes)])
        ]

        async def persist() -> None:
            await self.db.run("predecessors", store._note_predecessors_txn, rooms)
            await self.db.run("followers", store._note_followers_txn, rooms)

        await persist()
        follower = RoomFollower(BOB, room.room_id, OLD)  # Carol is on another server
        self.assertEqual(await store.get_waiting_followers(), [follower])
        self.assertEqual(woken, [True])
        await store.follower_done(follower)
        await persist()
        self.assertEqual(await store.get_waiting_followers(), [])

    async def test_reads_over_many_rooms(self) -> None:
        servers = await Servers(self).start()
        rooms = []
        for number in range(2):
            room = Room(ROOM_VERSIONS["12"], {"number": number})
            room.set_join_rule("public")
            room.set_levels()
            room.join(BOB)
            room.set_member(ALICE, CAROL, Membership.BAN)
            await servers.persist_room(room)
            rooms.append(room)
        space, other = rooms
        links = [
            space.send(ALICE, EventTypes.SPACE_CHILD, {"via": ["one"]}, key)
            for key in ("!a:one", "!b:one", "!c:one")
        ]
        await servers.persist(*links)
        found = await servers.ask(
            "get_current_state_of_type_for_rooms",
            [space.room_id, other.room_id],
            EventTypes.SPACE_CHILD,
            2,
        )
        self.assertEqual(found, {space.room_id: links[:2], other.room_id: []})
        ids = [space.room_id, other.room_id, "!none:one"]
        joined = await servers.ask("get_rooms_joined_among", BOB, ids)
        self.assertEqual(joined, {space.room_id, other.room_id})
        self.assertEqual(await servers.ask("get_rooms_joined_among", CAROL, ids), set())
        (ban,) = await servers.ask("get_ban_event_ids", other.room_id)
        self.assertEqual(ban, other.state[EventTypes.MEMBER, CAROL].event_id)

    async def test_events_that_others_relate_to(self) -> None:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.join(BOB)
        first = room.send(ALICE, "m.room.message", {"body": "1"})
        room.send(ALICE, "m.room.message", {"body": "2"})
        relation = {"m.relates_to": {"rel_type": "m.thread", "event_id": first.event_id}}
        room.send(BOB, "m.room.message", {"body": "3", **relation})
        await servers.persist_room(room)
        for wanted, expected in (
            (EventTypeFilter(related_by_rel_types=["m.thread"]), [first]),
            (EventTypeFilter(related_by_senders=[BOB]), [first]),
            (EventTypeFilter(related_by_senders=[ALICE]), []),
            (EventTypeFilter(related_by_senders=[BOB], related_by_rel_types=["x"]), []),
        ):
            found, _ = await servers.store.paginate(
                room.room_id,
                RoomToken(servers.now),
                direction="b",
                limit=10,
                event_filter=wanted,
            )
            self.assertEqual(found, expected)


class MemoryRoomTableTests(EveryRoomTable, MemoryDatabase):
    """On SQLite in memory."""


class PostgresRoomTableTests(EveryRoomTable, PostgresDatabase):
    """On PostgreSQL."""
