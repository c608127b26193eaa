"""Finds messages by their words (client-server API, "Server Side Search")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs
import msgspec

from ..api.constants import Membership
from ..api.errors import MatrixError
from ..events.event import Event
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.search import FoundMessage, SearchWorkerStore
from ..streams import EVENTS
from ..types.requester import Requester
from ..util.json import JsonDict
from .event_format import EventFormatter
from .relation_bundles import RelationBundles
from .room_state import RoomStateReader
from .search_context import ContextReader
from .search_request import RANK, SearchRequest, SearchToken, rank
from .visibility import EventVisibility, is_heard

MAX_WINDOWS = 3
"""How many looks into the index one request may take to find something to show."""


@attrs.frozen
class Stay:
    """When a user was in a room: since a position if they still are, or until one."""

    since: int | None = None
    until: int | None = None

    def may_include(self, ordering: int) -> bool:
        """Whether the stay does not end before the position."""
        return self.until is None or ordering <= self.until

    def includes(self, ordering: int) -> bool:
        """Whether the user has certainly been there since before the position."""
        return self.since is not None and ordering >= self.since


@attrs.frozen
class _Searcher:
    """Who searches: when they were in which rooms, and whom they ignore."""

    requester: Requester
    stays: Mapping[str, Stay]
    ignored: frozenset[str]


@attrs.frozen
class _Page:
    """Some results, best first, with the next tokens of all and of each group."""

    results: Sequence[FoundMessage]
    count: int
    next_token: SearchToken | None
    groups: Mapping[str, Mapping[str, JsonDict]]


@attrs.frozen
class _Window:
    """What one look into the index found that the user may see, best first."""

    token: SearchToken
    messages: Sequence[FoundMessage]
    reached: int | None

    def after(self, number: int, is_ranked: bool) -> SearchToken | None:
        """The token for what follows the first `number` messages; None if nothing does."""
        count = self.token.count if self.token.count is not None else len(self.messages)
        if number < len(self.messages):
            if is_ranked:
                return attrs.evolve(self.token, done=number, count=count)
            below = self.messages[number - 1].stream_ordering if number else self.token.below
            return attrs.evolve(self.token, below=below, done=0, count=count)
        if self.reached is None:
            return None
        return attrs.evolve(self.token, below=self.reached, done=0, count=count)


class SearchHandler:
    """Answers searches in the rooms that a user is in, or has been in."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(SearchWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._bundles = hs.part(RelationBundles)
        self._contexts = hs.part(ContextReader)
        self._states = hs.part(RoomStateReader)
        self._enabled = hs.config.rooms.enable_search

    async def search(self, requester: Requester, asked: SearchRequest) -> JsonDict:
        """One page of results, as the category `room_events` of the answer.

        Raises MatrixError where searching is turned off.
        """
        if not self._enabled:
            raise MatrixError("Searching is turned off on this server", status=400)
        searcher = _Searcher(
            requester,
            await self._stays(requester, asked),
            await self._account_data.get_ignored_users(requester.user_id),
        )
        page = await self._page(searcher, asked)
        events = await self._store.get_events([found.event_id for found in page.results])
        results = {
            event_id: event
            for event_id, event in events.items()
            if event.metadata.redacted_by is None  # since it was indexed
        }
        answer: JsonDict = {
            "count": page.count,
            "highlights": asked.highlights,
            "results": await self._results(searcher, asked, page, results),
        }
        if asked.group_by:
            answer["groups"] = page.groups
        if page.next_token is not None:
            answer["next_batch"] = page.next_token.to_text()
        if asked.include_state:
            rooms = dict.fromkeys(event.room_id for event in results.values())
            answer["state"] = {
                room_id: await self._states.state(requester, room_id) for room_id in rooms
            }
        return answer

    async def _stays(self, requester: Requester, asked: SearchRequest) -> dict[str, Stay]:
        """The rooms to search, and when the user was there."""
        user_id = requester.user_id
        left = await self._memberships.get_left_rooms(user_id)
        joined = await self._memberships.get_rooms_for_user(user_id)
        stays = {room_id: Stay(until=room.stream_ordering) for room_id, room in left.items()}
        for room_id, room in joined.items():
            if room.membership == Membership.JOIN:
                stays[room_id] = Stay(since=room.stream_ordering)
        wanted = asked.token.where.get("room_id") if asked.token is not None else None
        return {
            room_id: stay
            for room_id, stay in stays.items()
            if asked.event_filter.wants_room(room_id) and wanted in (None, room_id)
        }

    async def _page(self, searcher: _Searcher, asked: SearchRequest) -> _Page:
        token = asked.token or SearchToken(self._store.current_token(EVENTS) + 1)
        is_ranked = asked.order_by == RANK
        for _ in range(MAX_WINDOWS):
            window = await self._window(searcher, asked, token)
            results = window.messages[token.done : token.done + asked.limit]
            following = window.after(token.done + len(results), is_ranked)
            if results or following is None:
                break
            token = attrs.evolve(following, count=token.count)
        count = token.count if token.count is not None else len(window.messages)
        groups = {key: _groups(window, results, key, is_ranked) for key in asked.group_by}
        return _Page(results, count, following, groups)

    async def _window(
        self, searcher: _Searcher, asked: SearchRequest, token: SearchToken
    ) -> _Window:
        found = await self._store.search_messages(
            asked.words, searcher.stays.keys(), below=token.below, event_filter=asked.for_storage()
        )
        messages = [
            message
            for message in await self._visible(searcher, found.messages)
            if all(getattr(message, key) == value for key, value in token.where.items())
        ]
        if asked.order_by == RANK:
            messages.sort(key=lambda each: (-rank(asked.words, each.text), -each.stream_ordering))
        return _Window(token, messages, found.reached)

    async def _visible(
        self, searcher: _Searcher, messages: Iterable[FoundMessage]
    ) -> list[FoundMessage]:
        """Those that the user may see, and wants to.

        Only events that are older than the user's stay, or of ignored users, are read for that.
        """
        stays, ignored = searcher.stays, searcher.ignored
        possible = [
            message
            for message in messages
            if stays[message.room_id].may_include(message.stream_ordering)
        ]
        unclear = [
            message.event_id
            for message in possible
            if message.sender in ignored
            or not stays[message.room_id].includes(message.stream_ordering)
        ]
        if not unclear:
            return possible
        events = await self._store.get_events(unclear)
        seen = await self._visibility.memberships_at(searcher.requester.user_id, events.values())
        shown = {
            event_id
            for event_id, event in events.items()
            if event_id in seen and is_heard(event, ignored)
        }
        hidden = set(unclear) - shown
        return [message for message in possible if message.event_id not in hidden]

    async def _results(
        self,
        searcher: _Searcher,
        asked: SearchRequest,
        page: _Page,
        events: Mapping[str, Event],
    ) -> list[JsonDict]:
        """The results in client form, with what surrounds them."""
        context = await self._contexts.read(
            searcher.requester, asked.context, events, _ends(searcher.stays), searcher.ignored
        )
        everything = {**context.events, **events}
        shown = await self._client_forms(searcher.requester, everything)
        return [
            {
                "rank": rank(asked.words, found.text),
                "result": shown[found.event_id],
                **context.of(found.event_id, shown),
            }
            for found in page.results
            if found.event_id in events
        ]

    async def _client_forms(
        self, requester: Requester, events: Mapping[str, Event]
    ) -> dict[str, msgspec.Raw]:
        memberships = await self._visibility.memberships_at(requester.user_id, events.values())
        forms = await self._formatter.to_client(
            list(events.values()),
            requester,
            memberships=memberships,
            bundles=await self._bundles.of_events(events.values(), requester),
        )
        return dict(zip(events, forms, strict=True))


def _ends(stays: Mapping[str, Stay]) -> dict[str, int]:
    return {room_id: stay.until for room_id, stay in stays.items() if stay.until is not None}


def _groups(
    window: _Window, results: Sequence[FoundMessage], key: str, is_ranked: bool
) -> dict[str, JsonDict]:
    """The results of a page by room or by sender, each group with its own next token."""
    groups: dict[str, JsonDict] = {}
    given = {found.event_id for found in results}
    for value in dict.fromkeys(getattr(found, key) for found in results):
        members = [found for found in window.messages if getattr(found, key) == value]
        last = max(i for i, found in enumerate(members) if found.event_id in given)
        where = {**window.token.where, key: value}
        token = attrs.evolve(window.token, where=where, count=None)
        following = attrs.evolve(window, token=token, messages=members).after(last + 1, is_ranked)
        groups[value] = {
            "order": len(groups) + 1,
            "results": [found.event_id for found in members if found.event_id in given],
        }
        if following is not None:
            groups[value]["next_batch"] = following.to_text()
    return groups
