"""Who is in which room: by user for the users of this server, by room for everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

import attrs

from ..api.constants import EventTypes, Membership
from ..server import Homeserver
from ..streams import CURRENT_STATE_DELTAS, EVENTS, CurrentStateDeltaRow, EventRow, Stream
from ..types.ids import domain_of
from ..util.caches.cached import cached
from ..util.caches.changes import StreamChangeCache
from ._base import BaseStore, MasterStore
from ._event_rows import chunks
from .database import DatabasePool
from .transaction import Transaction

_CHANGE_CACHE_ENTRIES = 50_000
_PRESENT = (Membership.JOIN, Membership.INVITE, Membership.KNOCK)


@attrs.frozen
class RoomOfUser:
    """What a user of this server is in a room.

    `sender` sent the membership event: for an invite, the one who invites. `stream_ordering` is the
    position at which the membership took effect.
    """

    membership: str
    event_id: str
    stream_ordering: int
    sender: str


@attrs.frozen
class MembershipChange:
    """A change of a user's membership; all is null when state resolution took it away."""

    stream_ordering: int
    room_id: str
    membership: str | None
    event_id: str | None
    sender: str | None


@attrs.frozen
class MemberCounts:
    """How many users are joined and invited, as room summaries say it."""

    joined: int
    invited: int


class RoomMembers:
    """Who is joined to a room or invited, changed in place as rows come in.

    The sets are live: copy them before awaiting anything.
    """

    __slots__ = ("_server_name", "hosts", "invited", "joined", "local")

    def __init__(self, server_name: str, members: Mapping[str, str]) -> None:
        self._server_name = server_name
        self.joined: set[str] = set()
        self.invited: set[str] = set()
        self.local: set[str] = set()
        self.hosts: dict[str, int] = {}
        for user_id, membership in members.items():
            self.apply(user_id, membership)

    def apply(self, user_id: str, membership: str | None) -> None:
        """The user's membership is now this one."""
        self.invited.discard(user_id)
        if membership == Membership.JOIN:
            self._join(user_id)
            return
        self._leave(user_id)
        if membership == Membership.INVITE:
            self.invited.add(user_id)

    def _join(self, user_id: str) -> None:
        if user_id in self.joined:
            return
        host = domain_of(user_id)
        self.joined.add(user_id)
        self.hosts[host] = self.hosts.get(host, 0) + 1
        if host == self._server_name:
            self.local.add(user_id)

    def _leave(self, user_id: str) -> None:
        if user_id not in self.joined:
            return
        host = domain_of(user_id)
        self.joined.discard(user_id)
        self.local.discard(user_id)
        self.hosts[host] -= 1
        if not self.hosts[host]:
            del self.hosts[host]


def _weight(members: RoomMembers) -> int:
    return 500 + 150 * (len(members.joined) + len(members.invited))


class MembershipsWorkerStore(BaseStore):
    """Reads of memberships, in any process."""

    streams: ClassVar[tuple[Stream, ...]] = (EVENTS, CURRENT_STATE_DELTAS)
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (CURRENT_STATE_DELTAS, "_membership_row_applied"),
        (EVENTS, "_outlier_row_applied"),
    )
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (CURRENT_STATE_DELTAS, "_membership_changes_reset"),
    )

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self.membership_changes = StreamChangeCache(
            "membership_changed", 0, _CHANGE_CACHE_ENTRIES, self.caches.budget
        )

    def _membership_changes_reset(self, token: int) -> None:
        self.membership_changes.reset(token)

    def _membership_row_applied(self, token: int, row: CurrentStateDeltaRow) -> None:
        if row.type != EventTypes.MEMBER:
            return
        self.get_room_members.update((row.room_id,), lambda old: _with_member(old, row))
        if domain_of(row.state_key) == self.server_name:
            self.membership_changes.entity_changed(row.state_key, token)
            self.get_rooms_for_user.update(
                (row.state_key,), lambda old: _with_room(old, token, row)
            )

    def _outlier_row_applied(self, token: int, row: EventRow) -> None:
        """A membership in a room that is not known here changes no state, hence has no delta."""
        if row.outlier and row.state_key is not None:
            self.membership_changes.entity_changed(row.state_key, token)
            self.get_rooms_for_user.invalidate((row.state_key,))

    # By user

    @cached(max_entries=50_000, size_of=lambda rooms: 200 + 300 * len(rooms))
    async def get_rooms_for_user(self, user_id: str) -> Mapping[str, RoomOfUser]:
        """The rooms that a user of this server has joined, is invited to or knocks at."""
        return await self.db.read("get_rooms_for_user", self._get_rooms_txn, user_id, _PRESENT)

    async def get_left_rooms(self, user_id: str) -> Mapping[str, RoomOfUser]:
        """The rooms that the user has left or is banned from, and has not forgotten."""
        gone = (Membership.LEAVE, Membership.BAN)
        return await self.db.read("get_left_rooms", self._get_rooms_txn, user_id, gone)

    @staticmethod
    def _get_rooms_txn(
        txn: Transaction, user_id: str, memberships: tuple[str, ...]
    ) -> dict[str, RoomOfUser]:
        condition, args = txn.in_clause("membership", memberships)
        rows = txn.query(
            "SELECT room_id, membership, event_id, stream_ordering, sender"
            " FROM local_current_membership"
            f" WHERE user_id = ? AND NOT forgotten AND {condition}",
            [user_id, *args],
        )
        return {row[0]: RoomOfUser(*row[1:]) for row in rows}

    async def get_membership(self, user_id: str, room_id: str) -> tuple[str | None, str | None]:
        """The user's membership of a room and its event; nulls if there never was one."""
        local = domain_of(user_id) == self.server_name
        if local:
            room = (await self.get_rooms_for_user(user_id)).get(room_id)
            if room is not None:
                return room.membership, room.event_id
        row = await self.db.read(
            "get_membership", self._get_membership_txn, user_id, room_id, local
        )
        return (None, None) if row is None else (row[0], row[1])

    @staticmethod
    def _get_membership_txn(
        txn: Transaction, user_id: str, room_id: str, local: bool
    ) -> tuple[Any, ...] | None:
        if local:
            return txn.select_one(
                "local_current_membership",
                ("membership", "event_id"),
                user_id=user_id,
                room_id=room_id,
            )
        return txn.select_one(
            "current_state_events",
            ("membership", "event_id"),
            room_id=room_id,
            type=EventTypes.MEMBER,
            state_key=user_id,
        )

    async def get_memberships(
        self, user_id: str, room_ids: Collection[str]
    ) -> dict[str, tuple[str, str]]:
        """What a user of this server is in each of these rooms, and the event that says so.

        Rooms that the user never had to do with are left out. Rooms that were left cost a
        statement per 1000 of them.
        """
        present = await self.get_rooms_for_user(user_id)
        found = {
            room_id: (present[room_id].membership, present[room_id].event_id)
            for room_id in room_ids
            if room_id in present
        }
        gone = [room_id for room_id in room_ids if room_id not in found]
        if gone:
            read = self._get_memberships_txn
            found.update(await self.db.read("get_memberships", read, user_id, gone))
        return found

    @staticmethod
    def _get_memberships_txn(
        txn: Transaction, user_id: str, room_ids: Collection[str]
    ) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        for piece in chunks(room_ids):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, membership, event_id FROM local_current_membership"
                f" WHERE user_id = ? AND {condition}",
                [user_id, *args],
            )
            found.update((row[0], (row[1], row[2])) for row in rows)
        return found

    async def get_membership_changes_for_user(
        self, user_id: str, low: int, high: int
    ) -> list[MembershipChange]:
        """Changes of the memberships of a user of ours with low < position <= high, in order.

        Costs nothing if there was none.
        """
        if low >= high or not self.membership_changes.has_changed(user_id, low):
            return []
        rows = await self.db.read(
            "get_membership_changes",
            lambda txn: txn.query(
                "SELECT stream_id, room_id, membership, event_id, sender"
                " FROM local_membership_changes"
                " WHERE user_id = ? AND stream_id > ? AND stream_id <= ?"
                " ORDER BY stream_id, room_id",
                (user_id, low, high),
            ),
        )
        return [MembershipChange(*row) for row in rows]

    async def get_rooms_joined_among(self, user_id: str, room_ids: Collection[str]) -> set[str]:
        """Those of the rooms that a user of any server has joined, in a statement per 1000."""
        return await self.db.read("get_rooms_joined_among", self._joined_txn, user_id, room_ids)

    @staticmethod
    def _joined_txn(txn: Transaction, user_id: str, room_ids: Collection[str]) -> set[str]:
        found: set[str] = set()
        for piece in chunks(room_ids):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id FROM current_state_events"
                f" WHERE type = ? AND state_key = ? AND membership = ? AND {condition}",
                [EventTypes.MEMBER, user_id, Membership.JOIN, *args],
            )
            found.update(room_id for (room_id,) in rows)
        return found

    async def is_forgotten(self, user_id: str, room_id: str) -> bool:
        """Whether the user has left the room and forgotten it."""
        row = await self.db.read(
            "is_forgotten",
            lambda txn: txn.select_one(
                "local_current_membership", ("forgotten",), user_id=user_id, room_id=room_id
            ),
        )
        return row is not None and bool(row[0])

    # By room

    @cached(max_entries=20_000, size_of=_weight)
    async def get_room_members(self, room_id: str) -> RoomMembers:
        """Joined and invited users of a room, brought up to date in place."""
        members = await self.db.read("get_room_members", self._get_members_txn, room_id)
        return RoomMembers(self.server_name, members)

    @staticmethod
    def _get_members_txn(txn: Transaction, room_id: str) -> dict[str, str]:
        rows = txn.query(
            "SELECT state_key, membership FROM current_state_events"
            " WHERE room_id = ? AND type = ? AND membership IN (?, ?)",
            (room_id, EventTypes.MEMBER, Membership.JOIN, Membership.INVITE),
        )
        return dict(rows)

    async def get_users_in_room(self, room_id: str) -> AbstractSet[str]:
        """The joined users: a live set, to be copied before awaiting anything."""
        return (await self.get_room_members(room_id)).joined

    async def get_local_users_in_room(self, room_id: str) -> AbstractSet[str]:
        """The joined users of this server: a live set."""
        return (await self.get_room_members(room_id)).local

    async def get_hosts_in_room(self, room_id: str) -> AbstractSet[str]:
        """The servers with a joined user: a live set."""
        return (await self.get_room_members(room_id)).hosts.keys()

    async def get_ban_event_ids(self, room_id: str) -> list[str]:
        """The events by which users are banned from a room."""
        rows = await self.db.read(
            "get_ban_event_ids",
            lambda txn: txn.query(
                "SELECT event_id FROM current_state_events"
                " WHERE room_id = ? AND type = ? AND membership = ? ORDER BY state_key",
                (room_id, EventTypes.MEMBER, Membership.BAN),
            ),
        )
        return [event_id for (event_id,) in rows]

    async def is_host_joined(self, room_id: str, host: str) -> bool:
        """Whether a server has a joined user."""
        return host in (await self.get_room_members(room_id)).hosts

    async def get_joined_member_counts(self, room_id: str) -> MemberCounts:
        """How many users are joined and invited."""
        members = await self.get_room_members(room_id)
        return MemberCounts(len(members.joined), len(members.invited))

    async def get_joined_counts_for_rooms(self, room_ids: Collection[str]) -> dict[str, int]:
        """How many users are joined to each of many rooms, in a statement per 1000 rooms."""
        counts = dict.fromkeys(room_ids, 0)
        unknown = []
        for room_id in counts:
            members = self.get_room_members.peek((room_id,))
            if isinstance(members, RoomMembers):
                counts[room_id] = len(members.joined)
            else:
                unknown.append(room_id)
        if unknown:
            counts.update(await self.db.read("get_joined_counts", self._get_counts_txn, unknown))
        return counts

    @staticmethod
    def _get_counts_txn(txn: Transaction, room_ids: Collection[str]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for piece in chunks(room_ids):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, COUNT(*) FROM current_state_events"
                f" WHERE type = ? AND membership = ? AND {condition} GROUP BY room_id",
                [EventTypes.MEMBER, Membership.JOIN, *args],
            )
            counts.update(rows)
        return counts


class MembershipsStore(MembershipsWorkerStore, MasterStore):
    """Writes of memberships that are no events."""

    async def forget(self, user_id: str, room_id: str) -> bool:
        """Hide a room that the user has left. Returns False, and does nothing, if they have not."""
        return await self.db.run("forget", self._forget_txn, user_id, room_id)

    @staticmethod
    def _forget_txn(txn: Transaction, user_id: str, room_id: str) -> bool:
        txn.execute(
            "UPDATE local_current_membership SET forgotten = ?"
            " WHERE user_id = ? AND room_id = ? AND membership IN (?, ?)",
            (True, user_id, room_id, Membership.LEAVE, Membership.BAN),
        )
        return txn.rowcount > 0


def _with_member(members: RoomMembers, row: CurrentStateDeltaRow) -> RoomMembers:
    members.apply(row.state_key, row.membership if row.event_id is not None else None)
    return members


def _with_room(
    rooms: Mapping[str, RoomOfUser], token: int, row: CurrentStateDeltaRow
) -> Mapping[str, RoomOfUser]:
    others = {room_id: room for room_id, room in rooms.items() if room_id != row.room_id}
    if row.event_id is not None and row.membership in _PRESENT and row.sender is not None:
        others[row.room_id] = RoomOfUser(row.membership, row.event_id, token, row.sender)
    return others
