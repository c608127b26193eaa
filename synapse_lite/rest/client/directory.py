"""Aliases, and the list of public rooms.

Client-server API, "Room aliases" and "Published room directory".
"""

from __future__ import annotations

from ...api.errors import BadJsonError, InvalidParamError, MatrixError, MissingTokenError
from ...api.urls import CLIENT
from ...handlers.directory import DirectoryReader
from ...handlers.directory_changes import DirectoryHandler
from ...handlers.public_room_list import (
    DEFAULT_PAGE,
    MAX_PAGE,
    ListRequest,
    PageToken,
    PublicRoomList,
)
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import (
    optional_bool,
    optional_dict,
    optional_enum,
    optional_int,
    optional_list,
    optional_str,
    require_str,
)
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_READER = ("client_reader",)
_PUBLIC = "public"
_PRIVATE = "private"
_MAX_TYPES = 100
_MAX_SEARCH_BYTES = 1024


@endpoint("GET", CLIENT, "/directory/room/{room_alias}", served_by=_READER, auth=Auth.NONE)
class ResolveAlias(Servlet):
    """Where an alias leads."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(DirectoryReader)

    async def answer(self, request: Request, room_alias: str) -> JsonDict:
        found = await self._reader.resolve(room_alias)
        return {"room_id": found.room_id, "servers": list(found.servers)}


@endpoint("PUT DELETE", CLIENT, "/directory/room/{room_alias}")
class ChangeAlias(Servlet):
    """Make an alias, or take it away."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(DirectoryHandler)

    async def put(self, request: Request, requester: Requester, room_alias: str) -> JsonDict:
        room_id = require_str(request.json(), "room_id")
        await self._handler.create_alias(requester, room_alias, room_id)
        return {}

    async def delete(self, request: Request, requester: Requester, room_alias: str) -> JsonDict:
        await self._handler.delete_alias(requester, room_alias)
        return {}


@endpoint("GET", CLIENT, "/rooms/{room_id}/aliases", served_by=_READER)
class RoomAliases(Servlet):
    """The aliases of this server for a room."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(DirectoryReader)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        return {"aliases": await self._reader.aliases_of(requester, room_id)}


@endpoint("GET", CLIENT, "/directory/list/room/{room_id}", served_by=_READER, auth=Auth.NONE)
class RoomListing(Servlet):
    """Whether a room is on the public list."""

    def __init__(self, hs: Homeserver) -> None:
        self._reader = hs.part(DirectoryReader)

    async def answer(self, request: Request, room_id: str) -> JsonDict:
        listed = await self._reader.is_listed(room_id)
        return {"visibility": _PUBLIC if listed else _PRIVATE}


@endpoint("PUT", CLIENT, "/directory/list/room/{room_id}")
class ListRoom(Servlet):
    """Put a room on the public list, or take it off."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(DirectoryHandler)

    async def answer(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
        body = request.json_or_empty()
        visibility = optional_enum(body, "visibility", (_PUBLIC, _PRIVATE), _PUBLIC)
        await self._handler.list_room(requester, room_id, listed=visibility == _PUBLIC)
        return {}


class _PublicRooms(Servlet):
    def __init__(self, hs: Homeserver) -> None:
        self._rooms = hs.part(PublicRoomList)
        self._server_name = hs.name
        self._is_open = hs.config.server.allow_public_rooms_without_auth

    def _check_server(self, request: Request) -> None:
        server = request.query("server", None) or self._server_name
        if server != self._server_name:
            raise MatrixError(f"The server {server} could not be asked", status=502)


@endpoint("GET", CLIENT, "/publicRooms", served_by=_READER, auth=Auth.OPTIONAL, compress=True)
class PublicRooms(_PublicRooms):
    """The list of public rooms, for everybody if the configuration says so."""

    async def answer(self, request: Request, requester: Requester | None) -> JsonDict:
        if requester is None and not self._is_open:
            raise MissingTokenError("The list of public rooms is for users of this server")
        self._check_server(request)
        limit = request.query_int("limit", None, 0, MAX_PAGE, clamp=True)
        asked = ListRequest(limit=limit or DEFAULT_PAGE, since=_since(request.query("since", None)))
        return await self._rooms.page(asked)


@endpoint("POST", CLIENT, "/publicRooms", served_by=_READER, auth=Auth.GUEST, compress=True)
class SearchPublicRooms(_PublicRooms):
    """The list of public rooms, searched."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        self._check_server(request)
        body = request.json_or_empty()
        asked = _search(body)
        every_network = optional_bool(body, "include_all_networks", False)
        network = optional_str(body, "third_party_instance_id")
        if network is not None and every_network:
            raise InvalidParamError("Either all networks or one of them can be asked for")
        if network is not None:
            return {"chunk": []}  # lists of other networks are what bridges bring
        return await self._rooms.page(asked)


def _search(body: JsonDict) -> ListRequest:
    limit = optional_int(body, "limit", minimum=0)
    conditions = optional_dict(body, "filter", {})
    types = optional_list(conditions, "room_types", max_items=_MAX_TYPES)
    if types is not None and not all(each is None or isinstance(each, str) for each in types):
        raise BadJsonError("room_types must hold strings and null")
    term = optional_str(conditions, "generic_search_term", max_bytes=_MAX_SEARCH_BYTES)
    return ListRequest(
        limit=min(limit or DEFAULT_PAGE, MAX_PAGE),
        since=_since(optional_str(body, "since")),
        search_term=term or None,
        room_types=types,
    )


def _since(text: str | None) -> PageToken | None:
    return PageToken.from_text(text) if text else None


SERVLETS: tuple[type[Servlet], ...] = (
    ResolveAlias,
    ChangeAlias,
    RoomAliases,
    RoomListing,
    ListRoom,
    PublicRooms,
    SearchPublicRooms,
)
