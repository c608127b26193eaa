"""Creating rooms (client-server API, "Creation")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.room_creation import RoomCreationHandler
from ...handlers.room_options import RoomOptions
from ...http.endpoint import Request, Servlet, endpoint
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("POST", CLIENT, "/createRoom", limit="rc_room_creation")
class CreateRoom(Servlet):
    """Create a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(RoomCreationHandler)
        self._server_name = hs.name
        self._default_version = hs.config.server.default_room_version

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        options = RoomOptions.from_json(request.json(), self._server_name, self._default_version)
        return {"room_id": await self._handler.create_room(requester, options)}


SERVLETS: tuple[type[Servlet], ...] = (CreateRoom,)
