"""Presence (client-server API, "Presence")."""

from __future__ import annotations

from ...api.constants import PresenceState
from ...api.errors import ForbiddenError
from ...api.urls import CLIENT
from ...handlers.presence import PresenceHandler
from ...handlers.presence_status import PresenceStatusHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import optional_str, require_enum
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

MAX_STATUS_BYTES = 2048
"""Longest status message: it goes to everybody in the user's rooms."""


@endpoint("GET", CLIENT, "/presence/{user_id}/status", served_by=("client_reader",))
class PresenceStatus(Servlet):
    """The presence of oneself, or of somebody in the same room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(PresenceStatusHandler)

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        return await self._handler.status(requester, user_id)


@endpoint(
    "PUT",
    CLIENT,
    "/presence/{user_id}/status",
    limit="rc_presence.per_user",
    max_body_bytes=16 * 1024,
)
class SetPresenceStatus(Servlet):
    """Set one's own presence."""

    def __init__(self, hs: Homeserver) -> None:
        self._presence = hs.part(PresenceHandler)

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        if user_id != requester.user_id:
            raise ForbiddenError("The presence of somebody else cannot be set")
        body = request.json()
        presence = require_enum(body, "presence", PresenceState.ALL)
        status_msg = optional_str(body, "status_msg", max_bytes=MAX_STATUS_BYTES)
        self._presence.set_status(user_id, presence, status_msg or None)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (PresenceStatus, SetPresenceStatus)
