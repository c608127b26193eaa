"""Events of rooms: one, a page of them, or what surrounds one.

Client-server API, "Getting events for a room" and "Event Context".
"""

from __future__ import annotations

from ...api.urls import CLIENT, CLIENT_V1
from ...handlers.messages import MAX_PAGE, MessagesHandler, PageRequest, parse_page_token
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...sync.filter import EventFilter, compile_event_filter
from ...types.requester import Requester
from ...util.json import JsonDict, JsonValue

_READER = ("client_reader",)
_DEFAULT_PAGE = 10


def _filter(request: Request) -> EventFilter:
    return compile_event_filter(request.query_json("filter"))


def _limit(request: Request, event_filter: EventFilter) -> int:
    """How many events are wanted at most: by the parameter, and by the filter."""
    asked = request.query_int("limit", None, 0, MAX_PAGE, clamp=True)
    limits = [limit for limit in (asked, event_filter.limit) if limit is not None]
    return min(MAX_PAGE, *limits) if limits else _DEFAULT_PAGE


@endpoint("GET", CLIENT, "/rooms/{room_id}/event/{event_id}", served_by=_READER, auth=Auth.GUEST)
class RoomEvent(Servlet):
    """One event."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MessagesHandler)

    async def answer(
        self, request: Request, requester: Requester, room_id: str, event_id: str
    ) -> JsonValue:
        return await self._handler.event(requester, room_id, event_id)


@endpoint(
    "GET",
    CLIENT,
    "/rooms/{room_id}/messages",
    served_by=_READER,
    auth=Auth.GUEST,
    compress=True,
    cancellable=True,
)
class RoomMessages(Servlet):
    """A page of the history of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MessagesHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        direction = request.query_enum("dir", ("b", "f"))
        event_filter = _filter(request)
        page = PageRequest(
            direction="b" if direction == "b" else "f",
            limit=max(1, _limit(request, event_filter)),
            start=parse_page_token(request.query("from", None), "from"),
            end=parse_page_token(request.query("to", None), "to"),
        )
        return await self._handler.messages(requester, room_id, page, event_filter)


@endpoint(
    "GET",
    CLIENT,
    "/rooms/{room_id}/context/{event_id}",
    served_by=_READER,
    auth=Auth.GUEST,
    compress=True,
)
class EventContext(Servlet):
    """An event with those around it."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MessagesHandler)

    async def answer(
        self, request: Request, requester: Requester, room_id: str, event_id: str
    ) -> JsonDict:
        event_filter = _filter(request)
        limit = _limit(request, event_filter)
        return await self._handler.context(requester, room_id, event_id, limit, event_filter)


@endpoint("GET", CLIENT_V1, "/rooms/{room_id}/timestamp_to_event", served_by=_READER)
class TimestampToEvent(Servlet):
    """The event nearest to a time."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MessagesHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        direction = request.query_enum("dir", ("b", "f"))
        event = await self._handler.event_at_time(
            requester, room_id, request.query_int("ts"), "b" if direction == "b" else "f"
        )
        return {"event_id": event.event_id, "origin_server_ts": event.origin_server_ts}


SERVLETS: tuple[type[Servlet], ...] = (
    RoomEvent,
    RoomMessages,
    EventContext,
    TimestampToEvent,
)
