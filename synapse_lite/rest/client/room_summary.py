"""Summaries of rooms and of the rooms in spaces (client-server API)."""

from __future__ import annotations

from ...api.urls import CLIENT_V1
from ...handlers.room_preview import RoomPreview
from ...handlers.space_hierarchy import (
    DEFAULT_PAGE,
    MAX_DEPTH,
    MAX_PAGE,
    HierarchyRequest,
    SpaceHierarchy,
)
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_READER = ("client_reader",)
_UNSTABLE = ("/_matrix/client/unstable/im.nheko.summary",)
_RENAMED = ("room_version", "encryption")


@endpoint(
    "GET",
    CLIENT_V1,
    "/room_summary/{room_id_or_alias}",
    served_by=_READER,
    auth=Auth.OPTIONAL,
)
class RoomSummaryServlet(Servlet):
    """What a room is, before one joins it. The servers of `via` need not be asked."""

    def __init__(self, hs: Homeserver) -> None:
        self._preview = hs.part(RoomPreview)

    async def answer(
        self, request: Request, requester: Requester | None, room_id_or_alias: str
    ) -> JsonDict:
        return await self._preview.summary(requester, room_id_or_alias)


@endpoint("GET", _UNSTABLE, "/summary/{room_id_or_alias}", served_by=_READER, auth=Auth.OPTIONAL)
@endpoint(
    "GET", _UNSTABLE, "/rooms/{room_id_or_alias}/summary", served_by=_READER, auth=Auth.OPTIONAL
)
class RoomSummaryUnstable(Servlet):
    """The same as it was before the specification had it (MSC3266)."""

    def __init__(self, hs: Homeserver) -> None:
        self._preview = hs.part(RoomPreview)

    async def answer(
        self, request: Request, requester: Requester | None, room_id_or_alias: str
    ) -> JsonDict:
        summary = await self._preview.summary(requester, room_id_or_alias)
        renamed = {
            f"im.nheko.summary.{name}": summary[name] for name in _RENAMED if name in summary
        }
        return {**summary, **renamed}


@endpoint("GET", CLIENT_V1, "/rooms/{room_id}/hierarchy", served_by=_READER, compress=True)
class SpaceHierarchyServlet(Servlet):
    """The rooms in a space, and in the spaces in it."""

    def __init__(self, hs: Homeserver) -> None:
        self._hierarchy = hs.part(SpaceHierarchy)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        asked = HierarchyRequest(
            room_id,
            request.query_bool("suggested_only", False),
            request.query_int("max_depth", MAX_DEPTH, 0, MAX_DEPTH, clamp=True),
        )
        limit = request.query_int("limit", DEFAULT_PAGE, 1, MAX_PAGE, clamp=True)
        return await self._hierarchy.page(requester, asked, limit, request.query("from", None))


SERVLETS: tuple[type[Servlet], ...] = (
    RoomSummaryServlet,
    RoomSummaryUnstable,
    SpaceHierarchyServlet,
)
