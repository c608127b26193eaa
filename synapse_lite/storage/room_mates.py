"""Who shares a room with whom, from what is kept of the rooms of this server's users."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..api.constants import Membership
from ..util.caches.cached import MISSING, cached_list
from ._event_rows import chunks
from .memberships import MembershipsWorkerStore, RoomOfUser
from .transaction import Transaction


class RoomMatesWorkerStore(MembershipsWorkerStore):
    """Reads of rooms that users have in common."""

    @cached_list(cached_method_name="get_rooms_for_user", list_name="user_ids")
    async def get_rooms_for_users(
        self, user_ids: Collection[str]
    ) -> Mapping[str, Mapping[str, RoomOfUser]]:
        """`get_rooms_for_user` of many users of this server: one transaction for the unknown."""
        return await self.db.read("get_rooms_for_users", self._get_rooms_of_many_txn, user_ids)

    @staticmethod
    def _get_rooms_of_many_txn(
        txn: Transaction, user_ids: Collection[str]
    ) -> dict[str, dict[str, RoomOfUser]]:
        present = (Membership.JOIN, Membership.INVITE, Membership.KNOCK)
        found: dict[str, dict[str, RoomOfUser]] = {user_id: {} for user_id in user_ids}
        for piece in chunks(user_ids):
            users, user_args = txn.in_clause("user_id", piece)
            memberships, args = txn.in_clause("membership", present)
            rows = txn.query(
                "SELECT user_id, room_id, membership, event_id, stream_ordering, sender"
                f" FROM local_current_membership WHERE {users} AND NOT forgotten AND {memberships}",
                [*user_args, *args],
            )
            for user_id, room_id, *room in rows:
                found[user_id][room_id] = RoomOfUser(*room)
        return found

    async def get_room_mates(self, user_id: str, among: Collection[str]) -> set[str]:
        """Those of some users of this server who are in a room that the user is in, too.

        The user is a room mate of themselves. Asks only for users whose rooms are not kept.
        """
        if not among:
            return set()
        own = joined_rooms(await self.get_rooms_for_user(user_id))
        mates: set[str] = set()
        unknown = []
        for other in among:
            rooms = self.get_rooms_for_user.peek((other,))
            if rooms is MISSING:
                unknown.append(other)
            elif other == user_id or _is_in_one_of(own, rooms):
                mates.add(other)
        if unknown:
            of_unknown = await self.get_rooms_for_users(unknown)
            mates.update(other for other in unknown if _is_in_one_of(own, of_unknown[other]))
        return mates

    async def get_joined_rooms_of_users(self, user_ids: Collection[str]) -> set[str]:
        """The rooms that any of some users of this server has joined."""
        of_users = await self.get_rooms_for_users(user_ids)
        return set().union(*(joined_rooms(rooms) for rooms in of_users.values()))


def joined_rooms(rooms: Mapping[str, RoomOfUser]) -> set[str]:
    """The rooms among those of a user that the user has joined."""
    return {room_id for room_id, room in rooms.items() if room.membership == Membership.JOIN}


def _is_in_one_of(room_ids: set[str], rooms: Mapping[str, RoomOfUser]) -> bool:
    for room_id in room_ids.intersection(rooms):
        if rooms[room_id].membership == Membership.JOIN:
            return True
    return False
