"""Tags of rooms (client-server API, "Room Tagging")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.account_data import AccountDataChanges, AccountDataHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("GET", CLIENT, "/user/{user_id}/rooms/{room_id}/tags", served_by=("client_reader",))
class ReadTags(Servlet):
    """The tags of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(AccountDataHandler)

    async def answer(
        self, request: Request, requester: Requester, user_id: str, room_id: str
    ) -> JsonDict:
        return await self._handler.tags(requester, user_id, room_id)


@endpoint(
    "PUT DELETE",
    CLIENT,
    "/user/{user_id}/rooms/{room_id}/tags/{tag}",
    max_body_bytes=16 * 1024,
)
class WriteTag(Servlet):
    """Put a tag on a room, or take it off."""

    def __init__(self, hs: Homeserver) -> None:
        self._changes = hs.part(AccountDataChanges)

    async def put(
        self, request: Request, requester: Requester, user_id: str, room_id: str, tag: str
    ) -> JsonDict:
        """Put it on the room with the content of the body."""
        content = request.json_or_empty()
        await self._changes.put_tag(requester, user_id, room_id, tag, content)
        return {}

    async def delete(
        self, request: Request, requester: Requester, user_id: str, room_id: str, tag: str
    ) -> JsonDict:
        """Take it off."""
        await self._changes.remove_tag(requester, user_id, room_id, tag)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (ReadTags, WriteTag)
