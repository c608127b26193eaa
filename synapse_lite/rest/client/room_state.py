"""State and members of rooms (client-server API, "Getting events for a room")."""

from __future__ import annotations

from ...api.constants import Membership
from ...api.urls import CLIENT
from ...handlers.room_state import RoomStateReader
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict, JsonValue

_READER = ("client_reader",)


@endpoint(
    "GET", CLIENT, "/rooms/{room_id}/state", served_by=_READER, auth=Auth.GUEST, compress=True
)
class RoomState(Servlet):
    """The whole state of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(RoomStateReader)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonValue:
        return await self._reader.state(requester, room_id)


@endpoint(
    "GET",
    CLIENT,
    "/rooms/{room_id}/state/{event_type}/{state_key}",
    served_by=_READER,
    auth=Auth.GUEST,
)
@endpoint(
    "GET",
    CLIENT,
    "/rooms/{room_id}/state/{event_type}",
    served_by=_READER,
    auth=Auth.GUEST,
    trailing_slash=True,
)
class RoomStateEvent(Servlet):
    """One piece of state: its content, or with `format=event` the whole event."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(RoomStateReader)

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_type: str,
        state_key: str = "",
    ) -> JsonValue:
        form = request.query_enum("format", ("content", "event"), "content")
        if form == "event":
            return await self._reader.state_event_in_client_form(
                requester, room_id, event_type, state_key
            )
        event = await self._reader.state_event(requester, room_id, event_type, state_key)
        return event.content


@endpoint(
    "GET", CLIENT, "/rooms/{room_id}/members", served_by=_READER, auth=Auth.GUEST, compress=True
)
class RoomMembers(Servlet):
    """The membership events of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(RoomStateReader)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        members = await self._reader.members(
            requester,
            room_id,
            at=request.query("at", None),
            membership=request.query_enum("membership", Membership.ALL, None),
            not_membership=request.query_enum("not_membership", Membership.ALL, None),
        )
        return {"chunk": members}


@endpoint("GET", CLIENT, "/rooms/{room_id}/joined_members", served_by=_READER)
class JoinedMembers(Servlet):
    """Names and pictures of who is in a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(RoomStateReader)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        return {"joined": await self._reader.joined_members(requester, room_id)}


@endpoint("GET", CLIENT, "/joined_rooms", served_by=_READER)
class JoinedRooms(Servlet):
    """The rooms that the user is in."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(RoomStateReader)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return {"joined_rooms": await self._reader.joined_rooms(requester.user_id)}


SERVLETS: tuple[type[Servlet], ...] = (
    RoomState,
    RoomStateEvent,
    RoomMembers,
    JoinedMembers,
    JoinedRooms,
)
