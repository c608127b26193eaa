"""Account data (client-server API, "Client Config")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.account_data import AccountDataChanges, AccountDataHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_READERS = ("client_reader",)
_GLOBAL = "/user/{user_id}/account_data/{data_type}"
_OF_ROOM = "/user/{user_id}/rooms/{room_id}/account_data/{data_type}"


@endpoint("GET", CLIENT, _GLOBAL, served_by=_READERS)
class ReadAccountData(Servlet):
    """Global account data of a type."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(AccountDataHandler)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, data_type: str
    ) -> JsonDict:
        return await self._handler.get(requester, user_id, data_type)


@endpoint("PUT", CLIENT, _GLOBAL)
class WriteAccountData(Servlet):
    """Set global account data."""

    def __init__(self, hs: Homeserver) -> None:
        self._changes = hs.part(AccountDataChanges)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, data_type: str
    ) -> JsonDict:
        await self._changes.put(requester, user_id, data_type, request.json())
        return {}


@endpoint("GET", CLIENT, _OF_ROOM, served_by=_READERS)
class ReadRoomAccountData(Servlet):
    """Account data of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(AccountDataHandler)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, room_id: str, data_type: str
    ) -> JsonDict:
        return await self._handler.get_of_room(requester, user_id, room_id, data_type)


@endpoint("PUT", CLIENT, _OF_ROOM)
class WriteRoomAccountData(Servlet):
    """Set account data of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._changes = hs.part(AccountDataChanges)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, room_id: str, data_type: str
    ) -> JsonDict:
        await self._changes.put_of_room(requester, user_id, room_id, data_type, request.json())
        return {}


SERVLETS: tuple[type[Servlet], ...] = (
    ReadAccountData,
    WriteAccountData,
    ReadRoomAccountData,
    WriteRoomAccountData,
)
