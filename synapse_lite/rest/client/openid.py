"""OpenID (client-server API, "OpenID")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.openid import OpenIdHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("POST", CLIENT, "/user/{user_id}/openid/request_token", limit="rc_openid")
class RequestOpenIdToken(Servlet):
    """Get a token by which another service can ask who the user is."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(OpenIdHandler)

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        request.json_or_empty()  # reserved by the specification; it must be an object
        return await self._handler.request_token(requester, user_id)


SERVLETS: tuple[type[Servlet], ...] = (RequestOpenIdToken,)
