"""Which rooms guests are in."""

from __future__ import annotations

from ..api.constants import Membership
from ._base import MasterStore


class GuestsStore(MasterStore):
    """Reads for the master, which puts guests out."""

    async def get_rooms_with_guests(self) -> list[str]:
        """The rooms that guests of this server have joined."""
        rows = await self.db.read(
            "get_rooms_with_guests",
            lambda txn: txn.query(
                "SELECT DISTINCT member.room_id FROM users"
                " JOIN local_current_membership AS member ON member.user_id = users.user_id"
                " WHERE users.is_guest AND member.membership = ?",
                (Membership.JOIN,),
            ),
        )
        return sorted(room_id for (room_id,) in rows)

    async def get_guests_in_room(self, room_id: str) -> list[str]:
        """The guests of this server who have joined a room."""
        rows = await self.db.read(
            "get_guests_in_room",
            lambda txn: txn.query(
                "SELECT users.user_id FROM users"
                " JOIN local_current_membership AS member ON member.user_id = users.user_id"
                " WHERE users.is_guest AND member.room_id = ? AND member.membership = ?",
                (room_id, Membership.JOIN),
            ),
        )
        return sorted(user_id for (user_id,) in rows)
