"""Searching for messages (client-server API, "Server Side Search")."""

from __future__ import annotations

from ...api.errors import BadJsonError
from ...api.urls import CLIENT
from ...handlers.search import SearchHandler
from ...handlers.search_request import (
    DEFAULT_CONTEXT,
    DEFAULT_LIMIT,
    GROUP_KEYS,
    MAX_CONTEXT,
    MAX_LIMIT,
    MAX_TERM_BYTES,
    RANK,
    RECENT,
    SEARCH_KEYS,
    ContextRequest,
    SearchRequest,
    SearchToken,
)
from ...http.endpoint import Request, Servlet, endpoint
from ...http.parameters import (
    check_dict,
    optional_bool,
    optional_dict,
    optional_enum,
    optional_int,
    optional_list,
    optional_str_list,
    require_dict,
    require_enum,
    require_str,
)
from ...server import Homeserver
from ...sync.filter import compile_event_filter
from ...types.requester import Requester
from ...util.json import JsonDict

_MAX_LISTED = 10


@endpoint("POST", CLIENT, "/search", served_by=("client_reader",), compress=True, cancellable=True)
class Search(Servlet):
    """Messages, names and topics of rooms that have some words."""

    def __init__(self, hs: Homeserver) -> None:
        self._handler = hs.part(SearchHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        categories = require_dict(request.json(), "search_categories")
        wanted = optional_dict(categories, "room_events")
        if wanted is None:
            return {"search_categories": {}}
        asked = _search(wanted, request.query("next_batch", None))
        return {"search_categories": {"room_events": await self._handler.search(requester, asked)}}


def _search(wanted: JsonDict, next_batch: str | None) -> SearchRequest:
    event_filter = compile_event_filter(wanted.get("filter"))
    keys = optional_str_list(wanted, "keys", max_items=_MAX_LISTED)
    limit = DEFAULT_LIMIT if event_filter.limit is None else event_filter.limit
    return SearchRequest(
        term=require_str(wanted, "search_term", MAX_TERM_BYTES),
        types=[SEARCH_KEYS[key] for key in SEARCH_KEYS if keys is None or key in keys],
        event_filter=event_filter,
        order_by=optional_enum(wanted, "order_by", (RANK, RECENT), RANK),
        limit=min(max(limit, 1), MAX_LIMIT),
        context=_context(optional_dict(wanted, "event_context")),
        include_state=optional_bool(wanted, "include_state", False),
        group_by=_group_by(optional_dict(wanted, "groupings", {})),
        token=SearchToken.from_text(next_batch) if next_batch else None,
    )


def _context(wanted: JsonDict | None) -> ContextRequest | None:
    if wanted is None:
        return None
    before, after = (
        min(optional_int(wanted, name, DEFAULT_CONTEXT), MAX_CONTEXT)
        for name in ("before_limit", "after_limit")
    )
    return ContextRequest(before, after, optional_bool(wanted, "include_profile", False))


def _group_by(groupings: JsonDict) -> list[str]:
    listed = optional_list(groupings, "group_by", [], max_items=_MAX_LISTED)
    if not all(isinstance(each, dict) for each in listed):
        raise BadJsonError("group_by must be a list of objects")
    keys = [require_enum(check_dict(each, "group_by"), "key", GROUP_KEYS) for each in listed]
    return list(dict.fromkeys(keys))


SERVLETS: tuple[type[Servlet], ...] = (Search,)
