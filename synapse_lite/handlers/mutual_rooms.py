"""Rooms that two users share (client-server API, "Mutual Rooms")."""

from __future__ import annotations

import attrs

from ..api.constants import Membership
from ..api.errors import InvalidParamError
from ..crypto.base64 import decode_base64, encode_base64
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore
from ..types.ids import InvalidIdError, check_room_id, parse_user_id
from ..types.requester import Requester

PAGE = 100
"""Most rooms of one answer."""

_MAX_TOKEN = 512


@attrs.frozen
class MutualRooms:
    """A page of them in the order of their ids, and how many there are in all."""

    room_ids: list[str]
    count: int
    next_batch: str | None


class MutualRoomsHandler:
    """Finds them, in any process that knows memberships."""

    def __init__(self, hs: Homeserver) -> None:
        self._memberships = hs.part(MembershipsWorkerStore)
        self._is_mine = hs.is_mine

    async def page(self, requester: Requester, user_id: str, after: str | None) -> MutualRooms:
        """The rooms that the requester and another user have joined, after a token.

        Costs no statement for users of this server, whose rooms are kept. Raises
        InvalidParamError.
        """
        try:
            parse_user_id(user_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        if user_id == requester.user_id:
            raise InvalidParamError("You share all of your rooms with yourself")
        last = "" if after is None else _from_token(after)
        own = await self._joined(requester.user_id)
        if self._is_mine(user_id):
            shared = own & await self._joined(user_id)
        else:
            shared = await self._memberships.get_rooms_joined_among(user_id, own)
        later = sorted(room_id for room_id in shared if room_id > last)
        more = len(later) > PAGE
        page = later[:PAGE]
        return MutualRooms(page, len(shared), _to_token(page[-1]) if more else None)

    async def _joined(self, user_id: str) -> set[str]:
        rooms = await self._memberships.get_rooms_for_user(user_id)
        return {room_id for room_id, room in rooms.items() if room.membership == Membership.JOIN}


def _to_token(room_id: str) -> str:
    return encode_base64(room_id.encode("utf-8"), urlsafe=True)


def _from_token(token: str) -> str:
    try:
        if len(token) > _MAX_TOKEN:
            raise ValueError("too long")
        return check_room_id(decode_base64(token).decode("utf-8"))
    except (ValueError, InvalidIdError) as error:
        raise InvalidParamError("from is no token of this list") from error
