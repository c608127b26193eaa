"""Reports (client-server API, "Reporting Content")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.reports import MAX_REASON_BYTES, ReportsHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import optional_int, optional_str, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_MOST_OFFENSIVE = -100


class _Report(Servlet):
    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(ReportsHandler)


@endpoint("POST", CLIENT, "/rooms/{room_id}/report", limit="rc_reports")
class ReportRoom(_Report):
    """Report a room."""

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        reason = require_str(request.json(), "reason", MAX_REASON_BYTES)
        await self._handler.report_room(requester, room_id, reason)
        return {}


@endpoint("POST", CLIENT, "/rooms/{room_id}/report/{event_id}", limit="rc_reports")
class ReportEvent(_Report):
    """Report an event."""

    async def answer(
        self, request: Request, requester: Requester, room_id: str, event_id: str
    ) -> JsonDict:
        body = request.json_or_empty()
        await self._handler.report_event(
            requester,
            room_id,
            event_id,
            optional_str(body, "reason", max_bytes=MAX_REASON_BYTES),
            optional_int(body, "score", minimum=_MOST_OFFENSIVE, maximum=0),
        )
        return {}


@endpoint("POST", CLIENT, "/users/{user_id}/report", limit="rc_reports")
class ReportUser(_Report):
    """Report a user."""

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        reason = require_str(request.json(), "reason", MAX_REASON_BYTES)
        await self._handler.report_user(requester, user_id, reason)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (ReportRoom, ReportEvent, ReportUser)
