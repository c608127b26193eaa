"""/sync."""

from __future__ import annotations

from ...api.constants import PresenceState
from ...api.urls import CLIENT
from ...handlers.sync import SyncHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("GET", CLIENT, "/sync", served_by=("synchrotron",), auth=Auth.GUEST, cancellable=True)
class SyncServlet(Servlet):
    """What has happened for a user (client-server API, "Syncing")."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(SyncHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return await self._handler.sync(
            requester,
            since=request.query("since", None),
            filter_text=request.query("filter", None),
            full_state=request.query_bool("full_state", False),
            state_after=request.query_bool("use_state_after", False),
            timeout_ms=request.query_int("timeout", 0),
            set_presence=request.query_enum("set_presence", PresenceState.ALL, None),
        )


SERVLETS = (SyncServlet,)
