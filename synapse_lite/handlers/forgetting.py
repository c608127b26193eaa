"""Rooms that users want to hear no more of."""

from __future__ import annotations

from ..api.errors import MatrixError
from ..server import Homeserver
from ..storage.memberships import MembershipsStore
from ..types.requester import Requester


class ForgettingHandler:
    """Forgets rooms, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(MembershipsStore)

    async def forget(self, requester: Requester, room_id: str) -> None:
        """Forget a room that the requester has left.

        Raises a MatrixError of 400 for one that they have not (POST /rooms/{roomId}/forget).
        """
        if not await self._store.forget(requester.user_id, room_id):
            raise MatrixError("Only a room that has been left can be forgotten", status=400)
