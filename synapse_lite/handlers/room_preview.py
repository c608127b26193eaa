"""The summary of one room, for people who think of joining it (GET /room_summary)."""

from __future__ import annotations

from ..api.constants import Membership
from ..api.errors import InvalidParamError, NotFoundError
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore
from ..types.ids import InvalidIdError, check_room_id
from ..types.requester import Requester
from ..util.json import JsonDict
from .directory import DirectoryReader
from .room_summaries import RoomSummaries


class RoomPreview:
    """Shows summaries, also to people without an account."""

    def __init__(self, hs: Homeserver) -> None:
        self._summaries = hs.part(RoomSummaries)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._directory = hs.part(DirectoryReader)

    async def summary(self, requester: Requester | None, room_id_or_alias: str) -> JsonDict:
        """The summary of a room, with what the requester is in it.

        Raises NotFoundError, the same for a room that does not exist and one that the requester
        may not know of; InvalidParamError for what is neither a room id nor an alias.
        """
        room_id = await self._room_id(room_id_or_alias)
        summary = (await self._summaries.of_rooms([room_id])).get(room_id)
        if summary is None:
            raise _not_found()
        if requester is None:
            if not summary.is_open:
                raise _not_found()
            return summary.content
        rooms = await self._memberships.get_rooms_for_user(requester.user_id)
        if not summary.is_shown_to(rooms, knocked=True):
            raise _not_found()
        membership, _ = await self._memberships.get_membership(requester.user_id, room_id)
        return {**summary.content, "membership": membership or Membership.LEAVE}

    async def _room_id(self, room_id_or_alias: str) -> str:
        if not room_id_or_alias.startswith("#"):
            try:
                return check_room_id(room_id_or_alias)
            except InvalidIdError as error:
                raise InvalidParamError(str(error)) from error
        if not self._directory.is_local(room_id_or_alias):
            raise _not_found()
        return (await self._directory.resolve(room_id_or_alias)).room_id


def _not_found() -> NotFoundError:
    return NotFoundError("The room was not found")
