"""What a user may be told of somebody's presence on request, in any process that follows it."""

from __future__ import annotations

from ..api.constants import PresenceState
from ..api.errors import ForbiddenError, InvalidParamError
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore
from ..storage.presence import PresenceWorkerStore, presence_content
from ..storage.room_mates import joined_rooms
from ..types.ids import InvalidIdError, parse_user_id
from ..types.requester import Requester
from ..util.json import JsonDict


class PresenceStatusHandler:
    """Shows presence to those who share a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._presence = hs.part(PresenceWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._is_mine = hs.is_mine
        self._is_enabled = hs.config.presence.enabled

    async def status(self, requester: Requester, user_id: str) -> JsonDict:
        """The presence as the endpoint shows it; everybody is offline where it is not tracked.

        Raises InvalidParamError for what is no user id, and ForbiddenError unless the requester
        shares a room with the user.
        """
        try:
            parse_user_id(user_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        if user_id != requester.user_id and not await self._share_a_room(requester, user_id):
            raise ForbiddenError("You are not allowed to see their presence")
        if not self._is_enabled:
            return {"presence": PresenceState.OFFLINE}
        presence = await self._presence.get_presence(user_id)
        return presence_content(presence, self._clock.time_ms())

    async def _share_a_room(self, requester: Requester, user_id: str) -> bool:
        own = joined_rooms(await self._memberships.get_rooms_for_user(requester.user_id))
        if self._is_mine(user_id):
            others = joined_rooms(await self._memberships.get_rooms_for_user(user_id))
            return not own.isdisjoint(others)
        return bool(await self._memberships.get_rooms_joined_among(user_id, own))
