"""Typing notifications (client-server API, "Typing Notifications")."""

from __future__ import annotations

from ...api.errors import ForbiddenError
from ...api.urls import CLIENT
from ...handlers.typing import DEFAULT_TIMEOUT_MS, TypingHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import optional_int, require_bool
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint(
    "PUT",
    CLIENT,
    "/rooms/{room_id}/typing/{user_id}",
    max_body_bytes=16 * 1024,
)
class SetTyping(Servlet):
    """The user has begun to type, or stopped."""

    def __init__(self, hs: Homeserver) -> None:
        self._typing = hs.part(TypingHandler)

    async def answer(
        self, request: Request, requester: Requester, room_id: str, user_id: str
    ) -> JsonDict:
        if user_id != requester.user_id:
            raise ForbiddenError("Nobody types for somebody else")
        body = request.json()
        if require_bool(body, "typing"):
            timeout_ms = optional_int(body, "timeout", DEFAULT_TIMEOUT_MS)
            await self._typing.started(user_id, room_id, timeout_ms)
        else:
            await self._typing.stopped(user_id, room_id)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (SetTyping,)
