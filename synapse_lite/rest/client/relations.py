"""The relations of an event, and the threads of a room.

Client-server API, "Relationships API" and "Querying threads in a room".
"""

from __future__ import annotations

from typing import Literal

from ...api.constants import MAX_ID_LENGTH
from ...api.urls import CLIENT_V1
from ...handlers.messages import PageRequest, parse_page_token
from ...handlers.relations import RelationsHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import check_str
from ...server import Homeserver
from ...storage.relations import MAX_RECURSION, RelationsQuery
from ...types.requester import Requester
from ...util.json import JsonDict

_READER = ("client_reader",)
_DEFAULT_PAGE = 50
_MAX_PAGE = 500


class _Relations(Servlet):
    """What the endpoints have in common that differ in how much they are asked for."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(RelationsHandler)

    async def _page(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_id: str,
        rel_type: str | None = None,
        event_type: str | None = None,
    ) -> JsonDict:
        recurse = request.query_bool("recurse", None)
        for name, value in (("relType", rel_type), ("eventType", event_type)):
            if value is not None:
                check_str(value, name, MAX_ID_LENGTH)
        query = RelationsQuery(room_id, event_id, rel_type, event_type, bool(recurse))
        page = PageRequest(
            direction=_direction(request),
            limit=_limit(request),
            start=parse_page_token(request.query("from", None), "from"),
            end=parse_page_token(request.query("to", None), "to"),
        )
        answer = await self._handler.relations(requester, query, page)
        if recurse is not None:
            answer["recursion_depth"] = MAX_RECURSION if recurse else 0
        return answer


def _direction(request: Request) -> Literal["b", "f"]:
    return "f" if request.query_enum("dir", ("b", "f"), "b") == "f" else "b"


def _limit(request: Request) -> int:
    return request.query_int("limit", _DEFAULT_PAGE, 1, _MAX_PAGE, clamp=True)


@endpoint(
    "GET",
    CLIENT_V1,
    "/rooms/{room_id}/relations/{event_id}",
    served_by=_READER,
    compress=True,
    cancellable=True,
)
class EventRelations(_Relations):
    """The events that have a relation to an event."""

    async def answer(
        self, request: Request, requester: Requester, room_id: str, event_id: str
    ) -> JsonDict:
        return await self._page(request, requester, room_id, event_id)


@endpoint(
    "GET",
    CLIENT_V1,
    "/rooms/{room_id}/relations/{event_id}/{rel_type}",
    served_by=_READER,
    compress=True,
    cancellable=True,
)
class EventRelationsOfType(_Relations):
    """The events that have a relation of one kind to an event."""

    async def answer(
        self, request: Request, requester: Requester, room_id: str, event_id: str, rel_type: str
    ) -> JsonDict:
        return await self._page(request, requester, room_id, event_id, rel_type)


@endpoint(
    "GET",
    CLIENT_V1,
    "/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}",
    served_by=_READER,
    compress=True,
    cancellable=True,
)
class RelatedEventsOfType(_Relations):
    """The events of one type that have a relation of one kind to an event."""

    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_id: str,
        rel_type: str,
        event_type: str,
    ) -> JsonDict:
        return await self._page(request, requester, room_id, event_id, rel_type, event_type)


@endpoint(
    "GET",
    CLIENT_V1,
    "/rooms/{room_id}/threads",
    served_by=_READER,
    compress=True,
    cancellable=True,
)
class RoomThreads(Servlet):
    """The threads of a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(RelationsHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        include = request.query_enum("include", ("all", "participated"), "all")
        return await self._handler.threads(
            requester,
            room_id,
            start=parse_page_token(request.query("from", None), "from"),
            limit=_limit(request),
            participated=include == "participated",
        )


SERVLETS: tuple[type[Servlet], ...] = (
    EventRelations,
    EventRelationsOfType,
    RelatedEventsOfType,
    RoomThreads,
)
