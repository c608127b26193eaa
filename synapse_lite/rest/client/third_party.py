"""Users and rooms of other networks (client-server API, "Third-party Networks").

Bridges are what knows any; without one, nothing is found.
"""

from __future__ import annotations

from ...api.errors import ForbiddenError, InvalidParamError, NotFoundError
from ...api.urls import CLIENT
from ...http.endpoint import Request, Servlet, endpoint
from ...types.ids import InvalidIdError, parse_room_alias, parse_user_id
from ...types.requester import Requester
from ...util.json import JsonDict, JsonValue

_READER = ("client_reader",)


@endpoint("GET", CLIENT, "/thirdparty/protocols", served_by=_READER)
class ThirdPartyProtocols(Servlet):
    """The networks that bridges of this server reach."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        return {}


@endpoint("GET", CLIENT, "/thirdparty/protocol/{protocol}", served_by=_READER)
class ThirdPartyProtocol(Servlet):
    """One of these networks."""

    async def answer(self, request: Request, requester: Requester, protocol: str) -> JsonDict:
        raise NotFoundError("No bridge of this server reaches the network")


@endpoint("GET", CLIENT, "/thirdparty/location/{protocol}", served_by=_READER)
@endpoint("GET", CLIENT, "/thirdparty/user/{protocol}", served_by=_READER)
class ThirdPartySearch(Servlet):
    """Rooms or users of a network."""

    async def answer(self, request: Request, requester: Requester, protocol: str) -> JsonValue:
        return []


@endpoint("GET", CLIENT, "/thirdparty/location", served_by=_READER)
class ThirdPartyLocations(Servlet):
    """The places of other networks behind an alias."""

    async def answer(self, request: Request, requester: Requester) -> JsonValue:
        try:
            parse_room_alias(request.query("alias"))
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        return []


@endpoint("GET", CLIENT, "/thirdparty/user", served_by=_READER)
class ThirdPartyUsers(Servlet):
    """The users of other networks behind a user id."""

    async def answer(self, request: Request, requester: Requester) -> JsonValue:
        try:
            parse_user_id(request.query("userid"))
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
        return []


@endpoint("PUT", CLIENT, "/directory/list/appservice/{network_id}/{room_id}")
class ListRoomOfNetwork(Servlet):
    """Put a room on the list of a bridge's network: only bridges may."""

    async def answer(
        self, request: Request, requester: Requester, network_id: str, room_id: str
    ) -> JsonDict:
        raise ForbiddenError("Only application services may change their lists of rooms")


SERVLETS: tuple[type[Servlet], ...] = (
    ThirdPartyProtocols,
    ThirdPartyProtocol,
    ThirdPartySearch,
    ThirdPartyLocations,
    ThirdPartyUsers,
    ListRoomOfNetwork,
)
