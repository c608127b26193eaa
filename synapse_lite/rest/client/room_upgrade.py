"""Upgrades of rooms (client-server API, "Room Upgrades")."""

from __future__ import annotations

from ...api.errors import InvalidParamError, UnsupportedRoomVersionError
from ...api.urls import CLIENT
from ...events.room_versions import ROOM_VERSIONS
from ...handlers.room_upgrade import RoomUpgradeHandler
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import optional_str_list, require_str
from ...server import Homeserver
from ...types.ids import InvalidIdError, parse_user_id
from ...types.requester import Requester
from ...util.json import JsonDict

_MAX_CREATORS = 100


@endpoint("POST", CLIENT, "/rooms/{room_id}/upgrade", limit="rc_room_creation")
class UpgradeRoom(Servlet):
    """Replace a room by one of another version."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(RoomUpgradeHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        body = request.json()
        version = ROOM_VERSIONS.get(require_str(body, "new_version"))
        if version is None:
            raise UnsupportedRoomVersionError("This server does not know the room version")
        creators = _creators(body) if version.privileged_creators else ()
        new = await self._handler.upgrade(requester, room_id, version, creators)
        return {"replacement_room": new}


def _creators(body: JsonDict) -> tuple[str, ...]:
    named = optional_str_list(body, "additional_creators", (), max_items=_MAX_CREATORS)
    for user_id in named:
        try:
            parse_user_id(user_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
    return tuple(dict.fromkeys(named))


SERVLETS: tuple[type[Servlet], ...] = (UpgradeRoom,)
