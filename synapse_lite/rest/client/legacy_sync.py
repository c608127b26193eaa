"""What clients used before /sync; deprecated, but older clients and bots live on it."""

from __future__ import annotations

from ...api.errors import NotFoundError
from ...api.urls import CLIENT
from ...handlers.legacy_sync import MAX_MESSAGES, LegacyEvents, LegacySync
from ...handlers.messages import MessagesHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...storage.events import EventsWorkerStore
from ...types.requester import Requester
from ...util.json import JsonDict, JsonValue

_SYNCHROTRON = ("synchrotron",)
_DEFAULT_MESSAGES = 10
_DEFAULT_TIMEOUT_MS = 30_000


def _limit(request: Request) -> int:
    return request.query_int("limit", _DEFAULT_MESSAGES, 0, MAX_MESSAGES, clamp=True)


@endpoint("GET", CLIENT, "/initialSync", served_by=_SYNCHROTRON, cancellable=True)
class InitialSync(Servlet):
    """Everything that a client needs to begin."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(LegacySync)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        archived = request.query_bool("archived", False)
        return await self._handler.everything(requester, _limit(request), archived=archived)


@endpoint(
    "GET",
    CLIENT,
    "/rooms/{room_id}/initialSync",
    served_by=_SYNCHROTRON,
    auth=Auth.GUEST,
    cancellable=True,
)
class RoomInitialSync(Servlet):
    """Everything that a client needs to show a room, joined or not."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(LegacySync)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        return await self._handler.room(requester, room_id, _limit(request))


@endpoint("GET", CLIENT, "/events", served_by=_SYNCHROTRON, auth=Auth.GUEST, cancellable=True)
class EventStream(Servlet):
    """Waits for events: of all rooms, or of one that is named."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(LegacyEvents)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        start = request.query("from", None)
        timeout_ms = request.query_int("timeout", _DEFAULT_TIMEOUT_MS)
        room_id = request.query("room_id", None)
        if room_id is None:
            return await self._handler.of_user(requester, start, timeout_ms)
        return await self._handler.of_room(requester, room_id, start, timeout_ms)


@endpoint("GET", CLIENT, "/events/{event_id}", served_by=("client_reader",))
class SingleEvent(Servlet):
    """One event, whatever room it is of."""

    def __init__(self, hs: Homeserver) -> None:
        self._events = hs.part(EventsWorkerStore)
        self._handler = hs.part(MessagesHandler)

    async def answer(self, request: Request, requester: Requester, event_id: str) -> JsonValue:
        event = await self._events.get_event(event_id, allow_none=True)
        if event is None:
            raise NotFoundError("There is no such event, or you may not see it")
        return await self._handler.event(requester, event.room_id, event_id)


SERVLETS: tuple[type[Servlet], ...] = (InitialSync, RoomInitialSync, EventStream, SingleEvent)
