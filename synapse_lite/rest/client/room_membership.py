"""Membership of rooms (client-server API, "Room membership")."""

from __future__ import annotations

from typing import ClassVar

from ...api.errors import ForbiddenError
from ...api.urls import CLIENT
from ...handlers.forgetting import ForgettingHandler
from ...handlers.membership import BAN, INVITE, KICK, LEAVE, UNBAN, MembershipHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_str, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_CREATOR = ("event_creator",)
_MAX_SERVERS = 20


def _servers(request: Request) -> list[str]:
    """Servers that may know the room; `server_name` is what `via` was called before."""
    return [*request.query_all("via"), *request.query_all("server_name")][:_MAX_SERVERS]


def _content(body: JsonDict) -> JsonDict:
    """What of the body goes into the membership event."""
    reason = optional_str(body, "reason")
    return {} if reason is None else {"reason": reason}


# The specification names only the other one for guests, but clients join by this.
@endpoint("POST", CLIENT, "/join/{room_id_or_alias}", served_by=_CREATOR, auth=Auth.GUEST)
class JoinRoomOrAlias(Servlet):
    """Join a room by its id or one of its aliases."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MembershipHandler)

    async def answer(
        self, request: Request, requester: Requester, room_id_or_alias: str
    ) -> JsonDict:
        content = _content(request.json_or_empty())
        room_id = await self._handler.join_room(
            requester, room_id_or_alias, _servers(request), content
        )
        return {"room_id": room_id}


@endpoint("POST", CLIENT, "/rooms/{room_id}/join", served_by=_CREATOR, auth=Auth.GUEST)
class JoinRoom(Servlet):
    """Join a room by its id."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MembershipHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        content = _content(request.json_or_empty())
        joined = await self._handler.join_room(requester, room_id, _servers(request), content)
        return {"room_id": joined}


@endpoint("POST", CLIENT, "/knock/{room_id_or_alias}", served_by=_CREATOR)
class KnockRoom(Servlet):
    """Ask to be let into a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MembershipHandler)

    async def answer(
        self, request: Request, requester: Requester, room_id_or_alias: str
    ) -> JsonDict:
        reason = optional_str(request.json_or_empty(), "reason")
        room_id = await self._handler.knock_room(
            requester, room_id_or_alias, _servers(request), reason
        )
        return {"room_id": room_id}


@endpoint("POST", CLIENT, "/rooms/{room_id}/leave", served_by=_CREATOR, auth=Auth.GUEST)
class LeaveRoom(Servlet):
    """Leave a room, or reject an invite, or withdraw a knock."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MembershipHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        reason = optional_str(request.json_or_empty(), "reason")
        await self._handler.update_membership(
            requester, requester.user_id, room_id, LEAVE, reason=reason
        )
        return {}


class _ChangeOther(Servlet):
    """Changes the membership of the user whom the body names."""

    action: ClassVar[str]

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(MembershipHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        body = request.json()
        await self._handler.update_membership(
            requester,
            require_str(body, "user_id"),
            room_id,
            self.action,
            reason=optional_str(body, "reason"),
        )
        return {}


@endpoint("POST", CLIENT, "/rooms/{room_id}/invite", served_by=_CREATOR)
class InviteToRoom(_ChangeOther):
    """Invite a user."""

    action = INVITE

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        if "medium" in request.json():
            raise ForbiddenError("This server invites nobody by email address or phone number")
        return await super().answer(request, requester, room_id)


@endpoint("POST", CLIENT, "/rooms/{room_id}/kick", served_by=_CREATOR)
class KickFromRoom(_ChangeOther):
    """Put a user out of a room, or take an invite back."""

    action = KICK


@endpoint("POST", CLIENT, "/rooms/{room_id}/ban", served_by=_CREATOR)
class BanFromRoom(_ChangeOther):
    """Put a user out of a room and keep them out."""

    action = BAN


@endpoint("POST", CLIENT, "/rooms/{room_id}/unban", served_by=_CREATOR)
class UnbanFromRoom(_ChangeOther):
    """Let a banned user come back."""

    action = UNBAN


@endpoint("POST", CLIENT, "/rooms/{room_id}/forget")
class ForgetRoom(Servlet):
    """Hear no more of a room that was left."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(ForgettingHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        await self._handler.forget(requester, room_id)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (
    JoinRoomOrAlias,
    JoinRoom,
    KnockRoom,
    LeaveRoom,
    InviteToRoom,
    KickFromRoom,
    BanFromRoom,
    UnbanFromRoom,
    ForgetRoom,
)
