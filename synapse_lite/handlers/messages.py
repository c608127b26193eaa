"""The history of rooms, as clients page through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import msgspec

from ..api.constants import EventTypes
from ..api.errors import ForbiddenError, InvalidParamError
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore
from ..storage.timeline import TimelineWorkerStore
from ..streams import EVENTS
from ..sync.filter import EventFilter
from ..types.requester import Requester
from ..types.tokens import InvalidTokenError, RoomToken
from ..util.json import JsonDict
from .event_format import EventFormatter
from .relation_bundles import RelationBundles
from .visibility import EventVisibility, ReadAccess, is_heard, no_event

MAX_PAGE = 1000
"""Most events of one answer."""

_MAX_HIDDEN_PAGES = 5
"""How many pages without anything that the user may see are passed over in one request."""

_BEGINNING = RoomToken(0, 0)
"""Before the first event of every room."""


@attrs.frozen
class PageRequest:
    """What of a room's history a client asks for: forwards ("f") or backwards ("b")."""

    direction: Literal["b", "f"]
    limit: int
    start: RoomToken | None = None
    end: RoomToken | None = None


class MessagesHandler:
    """Answers /messages, /context and /event (client-server API, "Getting events for a room")."""

    def __init__(self, hs: Homeserver) -> None:
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._bundles = hs.part(RelationBundles)
        self._timeline = hs.part(TimelineWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._current_state = hs.part(CurrentStateWorkerStore)
        self._groups = hs.part(StateGroupsWorkerStore)

    async def event(self, requester: Requester, room_id: str, event_id: str) -> msgspec.Raw:
        """One event. Raises NotFoundError, also for one that the user may not see."""
        try:
            access = await self._visibility.check_readable(requester.user_id, room_id)
        except ForbiddenError:
            raise no_event() from None
        event, memberships = await self._visibility.visible_event(
            requester.user_id, room_id, event_id, access
        )
        return await self._formatter.to_client_one(
            event,
            requester,
            memberships=memberships,
            bundles=await self._bundles.of_events([event], requester),
        )

    async def event_at_time(
        self, requester: Requester, room_id: str, timestamp_ms: int, direction: Literal["b", "f"]
    ) -> Event:
        """The event nearest to a time, at or before it ("b") or at or after it ("f").

        Raises ForbiddenError for a room that the user may not read, NotFoundError.
        """
        access = await self._visibility.check_readable(requester.user_id, room_id)
        event = await self._timeline.get_event_at_time(room_id, timestamp_ms, direction)
        if event is None:
            raise no_event()
        found, _ = await self._visibility.visible_event(
            requester.user_id, room_id, event.event_id, access
        )
        return found

    async def messages(
        self, requester: Requester, room_id: str, page: PageRequest, event_filter: EventFilter
    ) -> JsonDict:
        """A page of the history of a room.

        There is no `end` when nothing comes after it. Raises ForbiddenError.
        """
        access = await self._visibility.check_readable(requester.user_id, room_id)
        start = self._start(page, access)
        if access.left is not None and page.direction == "f" and page.end is None:
            page = attrs.evolve(page, end=RoomToken(access.left.metadata.stream_ordering or 0))
        answer: JsonDict = {"start": start.to_text(), "chunk": []}
        if not event_filter.wants_room(room_id):
            return answer
        events, memberships, end = await self._page(
            requester, room_id, attrs.evolve(page, start=start), event_filter, access
        )
        answer["chunk"] = await self._formatter.to_client(
            events,
            requester,
            memberships=memberships,
            bundles=await self._bundles.of_events(events, requester),
        )
        if end is not None:
            answer["end"] = end.to_text()
        if event_filter.lazy_load_members and events:
            newest = events[0] if page.direction == "b" else events[-1]
            senders: list[StateKey] = [(EventTypes.MEMBER, event.sender) for event in events]
            answer["state"] = await self._state_at(requester, newest, senders)
        return answer

    def _start(self, page: PageRequest, access: ReadAccess) -> RoomToken:
        """Where the page starts: unless it is said, at the end of what the user can see."""
        if page.start is None and page.direction == "f":
            return _BEGINNING
        now = self._timeline.current_token(EVENTS)
        if access.left is not None:
            now = min(now, access.left.metadata.stream_ordering or now)
        if page.start is None:
            return RoomToken(now)
        if page.direction == "b" and page.start.depth is None:
            return RoomToken(min(page.start.stream_ordering, now))
        return page.start

    async def _page(
        self,
        requester: Requester,
        room_id: str,
        page: PageRequest,
        event_filter: EventFilter,
        access: ReadAccess,
    ) -> tuple[list[Event], Mapping[str, str], RoomToken | None]:
        """The next events that the user may see, with the memberships at them.

        What ignored users say is left out, unless it is state.
        """
        ignored = await self._account_data.get_ignored_users(requester.user_id)
        position = page.start
        for _ in range(_MAX_HIDDEN_PAGES):
            if position is None:
                break
            found, position = await self._timeline.paginate(
                room_id,
                position,
                page.end,
                direction=page.direction,
                limit=page.limit,
                event_filter=event_filter.to_storage(),
            )
            memberships = await self._visibility.memberships_at(
                requester.user_id, found, peeking=access.is_peeking
            )
            events = [
                event
                for event in found
                if event.event_id in memberships and is_heard(event, ignored)
            ]
            if events:
                return events, memberships, position
        return [], {}, position

    async def context(
        self,
        requester: Requester,
        room_id: str,
        event_id: str,
        limit: int,
        event_filter: EventFilter,
    ) -> JsonDict:
        """An event with those before and after it, `limit` in all (module "Event Context").

        Raises ForbiddenError, NotFoundError.
        """
        access = await self._visibility.check_readable(requester.user_id, room_id)
        event, memberships = await self._visibility.visible_event(
            requester.user_id, room_id, event_id, access
        )
        around = await self._timeline.get_events_around(
            room_id,
            event_id,
            limit_before=limit // 2,
            limit_after=limit - limit // 2,
            event_filter=event_filter.to_storage(),
        )
        beside = await self._visibility.memberships_at(
            requester.user_id, [*around.before, *around.after], peeking=access.is_peeking
        )
        memberships = {**memberships, **beside}
        ignored = await self._account_data.get_ignored_users(requester.user_id)
        heard = [
            [other for other in side if other.event_id in beside and is_heard(other, ignored)]
            for side in (around.before, around.after)
        ]
        before, after = heard
        events = [event, *before, *after]
        shown = await self._formatter.to_client(
            events,
            requester,
            memberships=memberships,
            bundles=await self._bundles.of_events(events, requester),
        )
        last = after[-1] if after else event
        return {
            "start": around.start.to_text(),
            "end": around.end.to_text(),
            "event": shown[0],
            "events_before": shown[1 : len(before) + 1],
            "events_after": shown[len(before) + 1 :],
            "state": await self._context_state(requester, last, events, event_filter),
        }

    async def _context_state(
        self,
        requester: Requester,
        last: Event,
        events: Sequence[Event],
        event_filter: EventFilter,
    ) -> list[msgspec.Raw]:
        """The state at the last event, as the client filters it."""
        if last.metadata.state_group is None:
            return []
        ids = await self._groups.get_state_ids_for_group(last.metadata.state_group)
        senders = {event.sender for event in events}
        wanted = {
            (event_type, state_key): event_id
            for (event_type, state_key), event_id in ids.items()
            if event_filter.wants(event_type)
            and not (
                event_filter.lazy_load_members
                and event_type == EventTypes.MEMBER
                and state_key not in senders
            )
        }
        found = await self._current_state.load_state(wanted)
        return await self._formatter.to_client(
            event_filter.select(found.values()), requester, with_previous=False
        )

    async def _state_at(
        self, requester: Requester, event: Event, keys: Sequence[StateKey]
    ) -> list[msgspec.Raw]:
        """Some keys of the state after an event."""
        if event.metadata.state_group is None:
            return []
        ids = await self._groups.get_filtered_state_ids(event.metadata.state_group, keys)
        found = await self._current_state.load_state(ids)
        return await self._formatter.to_client(list(found.values()), requester, with_previous=False)


def parse_page_token(text: str | None, name: str) -> RoomToken | None:
    """The token in a query parameter. Raises InvalidParamError."""
    if text is None:
        return None
    try:
        return RoomToken.from_text(text)
    except InvalidTokenError as error:
        raise InvalidParamError(f"Query parameter {name}: {error}") from error
