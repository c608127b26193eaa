"""Searching for users (client-server API, "User Directory")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.user_directory import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_TERM_BYTES,
    UserDirectoryHandler,
)
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import optional_int, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

_READERS = ("user_dir", "client_reader")


@endpoint("POST", CLIENT, "/user_directory/search", served_by=_READERS, cancellable=True)
class SearchUsers(Servlet):
    """Users by name or id."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(UserDirectoryHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        limit = min(optional_int(body, "limit", DEFAULT_LIMIT), MAX_LIMIT)
        term = require_str(body, "search_term", MAX_TERM_BYTES)
        return await self._handler.search(requester, term, limit)


SERVLETS: tuple[type[Servlet], ...] = (SearchUsers,)
