"""Calls (client-server API, "Voice over IP")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.turn import TurnHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("GET", CLIENT, "/voip/turnServer", served_by=("client_reader",), auth=Auth.GUEST)
class TurnServer(Servlet):
    """What is needed to use the TURN server, if there is one."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(TurnHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return self._handler.credentials(requester)


SERVLETS: tuple[type[Servlet], ...] = (TurnServer,)
