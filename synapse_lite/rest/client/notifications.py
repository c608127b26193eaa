"""The list of notifications (client-server API, "Listing Notifications")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.notifications import DEFAULT_PAGE, MAX_PAGE, NotificationsHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("GET", CLIENT, "/notifications", served_by=("client_reader",), cancellable=True)
class Notifications(Servlet):
    """What the user was notified about, newest first."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(NotificationsHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        """Parse and list. Other values of `only` than "highlight" choose nothing."""
        return await self._handler.page(
            requester,
            below=request.query_int("from", None),
            limit=request.query_int("limit", DEFAULT_PAGE, 1, MAX_PAGE, clamp=True),
            only_highlights=request.query("only", None) == "highlight",
        )


SERVLETS = (Notifications,)
