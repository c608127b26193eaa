"""The tree of rooms below a space, page by page (client-server API, "Spaces").

No page leaves anything behind in a process: a token says where the last page ended, and the walk
begins anew at the top. Summaries are kept, so that walking over known rooms costs no query, and
any process can go on with the pages of another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import attrs

from ..api.constants import Membership
from ..api.errors import ForbiddenError, InvalidParamError
from ..crypto.base64 import decode_base64, encode_base64
from ..events.event import Event
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore, RoomOfUser
from ..types.requester import Requester
from ..util.json import JsonDict, decode_json, encode_json
from .room_summaries import RoomSummaries, RoomSummary

DEFAULT_PAGE = 50
MAX_PAGE = 100
"""Most rooms of one answer."""

MAX_DEPTH = 50

MAX_WALKED = 10_000
"""So many rooms below one space are looked at."""

MAX_LINKS = 20_000
"""So many links between spaces and rooms are followed."""

_READ_AHEAD = 500
_MAX_TOKEN = 2_048


@attrs.frozen
class HierarchyRequest:
    """What a client asks for: the tree below a room, down to a depth."""

    room_id: str
    suggested_only: bool
    max_depth: int

    def token(self, shown: int, last: str) -> str:
        """The token of the page after so many rooms, of which `last` was the last."""
        return encode_base64(encode_json([*attrs.astuple(self), shown, last]), urlsafe=True)

    def place(self, token: str) -> tuple[int, str]:
        """How many rooms a token says have been shown, and the last.

        Raises InvalidParamError for no token, and for one of another request.
        """
        try:
            if len(token) > _MAX_TOKEN:
                raise ValueError("too long")
            *asked, shown, last = decode_json(decode_base64(token))
            if not (isinstance(shown, int) and shown >= 0 and isinstance(last, str)):
                raise ValueError("of the wrong form")
        except (ValueError, TypeError) as error:
            raise InvalidParamError("from is no token of this server") from error
        if asked != list(attrs.astuple(self)):
            raise InvalidParamError("suggested_only and max_depth cannot change between pages")
        return shown, last


@attrs.frozen
class _Place:
    """A room on the walk, with its depth below the top."""

    room_id: str
    depth: int


class SpaceHierarchy:
    """Walks through spaces."""

    def __init__(self, hs: Homeserver) -> None:
        self._summaries = hs.part(RoomSummaries)
        self._memberships = hs.part(MembershipsWorkerStore)

    async def page(
        self, requester: Requester, asked: HierarchyRequest, limit: int, token: str | None
    ) -> JsonDict:
        """One page of the tree, depth first.

        Raises ForbiddenError for a room that the requester may not see, InvalidParamError for a
        bad token.
        """
        start = None if token is None else asked.place(token)
        await self._check_top(requester, asked.room_id)
        rooms = await self._memberships.get_rooms_for_user(requester.user_id)
        found: list[JsonDict] = []
        walked: list[str] = []
        first = 0 if start is None else None
        async for summary in self._walk(rooms, asked):
            walked.append(summary.content["room_id"])
            if first is not None:
                if len(found) == limit:
                    last = found[-1]["room_id"]
                    return {"rooms": found, "next_batch": asked.token(first + len(found), last)}
                found.append(_shown(summary, suggested_only=asked.suggested_only))
            elif start is not None and walked[-1] == start[1]:
                first = len(walked)
        if first is None and start is not None:
            # The last room of the page before is gone: go on by number.
            return await self._page_by_number(rooms, asked, limit, start[0])
        return {"rooms": found}

    async def _page_by_number(
        self, rooms: Mapping[str, RoomOfUser], asked: HierarchyRequest, limit: int, shown: int
    ) -> JsonDict:
        """A page after so many rooms; summaries are at hand by now."""
        every = [summary async for summary in self._walk(rooms, asked)]
        page = [
            _shown(summary, suggested_only=asked.suggested_only)
            for summary in every[shown : shown + limit]
        ]
        answer: JsonDict = {"rooms": page}
        if page and shown + limit < len(every):
            answer["next_batch"] = asked.token(shown + len(page), page[-1]["room_id"])
        return answer

    async def _check_top(self, requester: Requester, room_id: str) -> None:
        summary = (await self._summaries.of_rooms([room_id])).get(room_id)
        rooms = await self._memberships.get_rooms_for_user(requester.user_id)
        if summary is None or not summary.is_shown_to(rooms):
            raise ForbiddenError("You are not allowed to view this room")
        if room_id not in rooms:
            membership, _ = await self._memberships.get_membership(requester.user_id, room_id)
            if membership == Membership.BAN:
                raise ForbiddenError("You are banned from this room")

    async def _walk(
        self, rooms: Mapping[str, RoomOfUser], asked: HierarchyRequest
    ) -> AsyncIterator[RoomSummary]:
        """The rooms that a user may see, each once, depth first."""
        stack = [_Place(asked.room_id, 0)]
        known: dict[str, RoomSummary | None] = {}
        seen: set[str] = set()
        links = 0
        while stack and len(seen) < MAX_WALKED:
            place = stack.pop()
            if place.room_id in seen:
                continue
            seen.add(place.room_id)
            if place.room_id not in known:
                await self._read_ahead(known, place, stack, asked)
            summary = known[place.room_id]
            if summary is None or not summary.is_shown_to(rooms):
                continue
            yield summary
            if place.depth < asked.max_depth:
                children = _chosen(summary, asked.suggested_only)[: MAX_LINKS - links]
                links += len(children)
                stack += [
                    _Place(child.state_key or "", place.depth + 1) for child in reversed(children)
                ]

    async def _read_ahead(
        self,
        known: dict[str, RoomSummary | None],
        place: _Place,
        stack: list[_Place],
        asked: HierarchyRequest,
    ) -> None:
        """Read a room with those that come after it, and what is below those as far as known."""
        wanted = {place.room_id: None}
        for other in reversed(stack[-_READ_AHEAD:]):
            summary = known.get(other.room_id)
            if summary is not None and other.depth < asked.max_depth:
                chosen = _chosen(summary, asked.suggested_only)
                wanted.update((child.state_key or "", None) for child in chosen)
            elif other.room_id not in known:
                wanted[other.room_id] = None
            if len(wanted) >= _READ_AHEAD:
                break
        new = [room_id for room_id in wanted if room_id not in known][:_READ_AHEAD]
        summaries = await self._summaries.of_rooms(new)
        known.update((room_id, summaries.get(room_id)) for room_id in new)


def _chosen(summary: RoomSummary, suggested_only: bool) -> list[Event]:
    """The children of a space that are asked for."""
    if not suggested_only:
        return list(summary.children)
    return [child for child in summary.children if child.content.get("suggested") is True]


def _shown(summary: RoomSummary, *, suggested_only: bool) -> JsonDict:
    return {
        **summary.content,
        "children_state": [
            {**child.stripped_state(), "origin_server_ts": child.origin_server_ts}
            for child in _chosen(summary, suggested_only)
        ],
    }
