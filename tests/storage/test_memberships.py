"""Memberships by user and by room: the same on master and worker, brought up to date in place."""

from __future__ import annotations

from synapse_lite.api.constants import EventTypes, Membership
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.storage.memberships import MemberCounts
from tests.events.support import ALICE, BOB, CAROL, DAVE, Room
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.rooms import Servers

VERSION = ROOM_VERSIONS["11"]


class EveryMembership(DatabaseCase):
    async def start(self) -> tuple[Servers, Room]:
        servers = await Servers(self).start()
        room = Room(VERSION)
        room.set_join_rule("public")
        room.set_levels()
        await servers.persist_room(room)
        return servers, room

    async def test_caches_follow_without_a_query(self) -> None:
        servers, room = await self.start()
        for user in (ALICE, BOB):
            await servers.ask("get_rooms_for_user", user)
        await servers.ask("get_users_in_room", room.room_id)
        start = (servers.db.counts.transactions, servers.worker_db.counts.transactions)
        join = room.join(BOB)
        await servers.persist(join)
        (mine,) = (await servers.ask("get_rooms_for_user", BOB)).values()
        self.assertEqual(mine.membership, Membership.JOIN)
        self.assertEqual(mine.event_id, join.event_id)
        self.assertEqual(mine.sender, BOB)
        self.assertEqual(mine.stream_ordering, servers.now)
        self.assertEqual(await servers.ask("get_users_in_room", room.room_id), {ALICE, BOB})
        self.assertEqual(
            await servers.ask("get_membership", BOB, room.room_id), (Membership.JOIN, join.event_id)
        )
        self.assertEqual(servers.db.counts.transactions - start[0], 1)
        self.assertEqual(servers.worker_db.counts.transactions - start[1], 0)
        # What is cached is what is stored.
        for store in (servers.store, servers.worker):
            store.caches.invalidate_all()
        self.assertEqual(await servers.ask("get_users_in_room", room.room_id), {ALICE, BOB})
        self.assertEqual(await servers.ask("get_rooms_for_user", BOB), {room.room_id: mine})

    async def test_counts_of_many_rooms(self) -> None:
        servers, room = await self.start()
        await servers.persist(room.join(BOB), room.set_member(ALICE, CAROL, Membership.INVITE))
        rooms = [room.room_id, "!none:one"]
        expected = {room.room_id: 2, "!none:one": 0}
        before = servers.worker_db.counts.transactions
        self.assertEqual(await servers.ask("get_joined_counts_for_rooms", rooms), expected)
        self.assertEqual(servers.worker_db.counts.transactions - before, 1)
        await servers.ask("get_users_in_room", room.room_id)
        self.assertEqual(await servers.ask("get_joined_counts_for_rooms", rooms), expected)
        self.assertEqual(await servers.ask("get_joined_counts_for_rooms", []), {})

    async def test_room_side_counts_hosts_and_invites(self) -> None:
        servers, room = await self.start()
        await servers.ask("get_users_in_room", room.room_id)
        self.assertFalse(await servers.ask("is_host_joined", room.room_id, "two"))
        await servers.persist(room.join(CAROL), room.join(DAVE))
        await servers.persist(room.set_member(ALICE, BOB, Membership.INVITE))
        self.assertEqual(
            await servers.ask("get_joined_member_counts", room.room_id), MemberCounts(3, 1)
        )
        self.assertEqual(await servers.ask("get_local_users_in_room", room.room_id), {ALICE})
        await servers.persist(room.set_member(CAROL, CAROL, Membership.LEAVE))
        self.assertTrue(await servers.ask("is_host_joined", room.room_id, "two"))
        await servers.persist(room.set_member(ALICE, DAVE, Membership.BAN))
        self.assertFalse(await servers.ask("is_host_joined", room.room_id, "two"))
        self.assertEqual(await servers.ask("get_hosts_in_room", room.room_id), {"one"})
        await servers.persist(room.set_member(BOB, BOB, Membership.LEAVE))
        self.assertEqual(
            await servers.ask("get_joined_member_counts", room.room_id), MemberCounts(1, 0)
        )
        self.assertEqual(
            await servers.ask("get_membership", DAVE, room.room_id),
            (Membership.BAN, room.state[(EventTypes.MEMBER, DAVE)].event_id),
        )

    async def test_changes_of_a_user(self) -> None:
        servers, room = await self.start()
        before = servers.now
        invite = room.set_member(ALICE, BOB, Membership.INVITE)
        join = room.join(BOB)
        leave = room.set_member(BOB, BOB, Membership.LEAVE)
        await servers.persist(invite, join)
        between = servers.now
        await servers.persist(leave)
        changes = await servers.ask("get_membership_changes_for_user", BOB, before, servers.now)
        self.assertEqual(
            [(change.membership, change.event_id, change.sender) for change in changes],
            [
                (Membership.INVITE, invite.event_id, ALICE),
                (Membership.JOIN, join.event_id, BOB),
                (Membership.LEAVE, leave.event_id, BOB),
            ],
        )
        later = await servers.ask("get_membership_changes_for_user", BOB, between, servers.now)
        self.assertEqual(later, changes[2:])
        count = servers.db.counts.transactions
        self.assertEqual(
            await servers.ask("get_membership_changes_for_user", BOB, servers.now, servers.now + 5),
            [],
        )
        self.assertEqual(
            await servers.ask("get_membership_changes_for_user", ALICE, before, servers.now), []
        )
        self.assertEqual(servers.db.counts.transactions, count)

    async def test_leaving_and_forgetting(self) -> None:
        servers, room = await self.start()
        await servers.persist(room.join(BOB))
        self.assertFalse(await servers.store.forget(BOB, room.room_id))
        leave = room.set_member(BOB, BOB, Membership.LEAVE)
        await servers.persist(leave)
        self.assertEqual(await servers.ask("get_rooms_for_user", BOB), {})
        (left,) = (await servers.ask("get_left_rooms", BOB)).values()
        self.assertEqual(left.event_id, leave.event_id)
        self.assertTrue(await servers.store.forget(BOB, room.room_id))
        self.assertEqual(await servers.ask("get_left_rooms", BOB), {})
        self.assertTrue(await servers.ask("is_forgotten", BOB, room.room_id))
        await servers.persist(room.join(BOB))
        self.assertFalse(await servers.ask("is_forgotten", BOB, room.room_id))
        self.assertEqual(list(await servers.ask("get_rooms_for_user", BOB)), [room.room_id])


class MemoryMembershipTests(EveryMembership, MemoryDatabase):
    """On SQLite in memory."""


class PostgresMembershipTests(EveryMembership, PostgresDatabase):
    """On PostgreSQL."""
