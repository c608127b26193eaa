"""Rooms that two users share (client-server API, "Mutual Rooms")."""

from __future__ import annotations

from ...api.urls import CLIENT_V1
from ...handlers.mutual_rooms import MutualRoomsHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_READER = ("client_reader",)
_UNSTABLE = ("/_matrix/client/unstable/uk.half-shot.msc2666",)


class _MutualRooms(Servlet):
    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MutualRoomsHandler)


@endpoint("GET", CLIENT_V1, "/mutual_rooms", served_by=_READER)
class MutualRooms(_MutualRooms):
    """The rooms that the requester shares with a user."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        user_id = request.query("user_id")
        found = await self._handler.page(requester, user_id, request.query("from", None))
        answer: JsonDict = {"joined": found.room_ids, "count": found.count}
        if found.next_batch is not None:
            answer["next_batch"] = found.next_batch
        return answer


@endpoint("GET", _UNSTABLE, "/user/mutual_rooms", served_by=_READER)
class MutualRoomsUnstable(_MutualRooms):
    """The same as it was before the specification had it (MSC2666)."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        user_id = request.query("user_id")
        found = await self._handler.page(requester, user_id, request.query("batch_token", None))
        answer: JsonDict = {"joined": found.room_ids}
        if found.next_batch is not None:
            answer["next_batch_token"] = found.next_batch
        return answer


SERVLETS: tuple[type[Servlet], ...] = (MutualRooms, MutualRoomsUnstable)
