"""What a user was notified about, newest first (client-server API, "Listing Notifications").

No list is kept: the events of the user's rooms are gone through backwards, so far at a time, and
the user's rules decide again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from ..api.constants import Membership
from ..events.event import Event
from ..push.classes import Actions, UserRules, effect_of
from ..push.evaluator import Evaluator, Reader
from ..push.facts import PushFacts
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.unread import NotifyingEvent, UnreadWorkerStore
from ..streams import EVENTS
from ..types.requester import Requester
from ..util.json import JsonDict
from .event_format import EventFormatter
from .visibility import EventVisibility

DEFAULT_PAGE = 50
MAX_PAGE = 500

_MAX_ROUNDS = 5
"""So often a request goes on to older events before it answers with what it has found."""

_EVENTS_PER_ROUND = 2_000
_FEWEST_OF_A_ROOM = 5
_EVENTS_AT_ONCE = 100


@attrs.frozen
class _Notification:
    place: NotifyingEvent
    event: Event
    actions: Actions
    membership: str


@attrs.define
class _Search:
    """One request. `found` are notifications, newest first."""

    requester: Requester
    rules: UserRules
    member_counts: Mapping[str, int]
    ignored: Collection[str]
    only_highlights: bool
    limit: int
    found: list[_Notification] = attrs.field(factory=list)
    in_rooms: dict[str, tuple[Evaluator[Actions], Reader]] = attrs.field(factory=dict)


class NotificationsHandler:
    """Lists notifications, in any process that can read events."""

    def __init__(self, hs: Homeserver) -> None:
        self._facts = hs.part(PushFacts)
        self._unread = hs.part(UnreadWorkerStore)
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)

    async def page(
        self, requester: Requester, *, below: int | None, limit: int, only_highlights: bool
    ) -> JsonDict:
        """Notifications about events before a position, and where to go on, if there is more.

        A page may hold fewer than wanted, or none, and yet not be the last.
        """
        user_id = requester.user_id
        rooms = await self._memberships.get_rooms_for_user(user_id)
        joined = [each for each, room in rooms.items() if room.membership == Membership.JOIN]
        search = _Search(
            requester,
            await self._facts.rules_of(user_id),
            await self._memberships.get_joined_counts_for_rooms(joined),
            await self._account_data.get_ignored_users(user_id),
            only_highlights,
            limit,
        )
        position = self._events.current_token(EVENTS) + 1 if below is None else below
        end: int | None = position
        for _ in range(_MAX_ROUNDS):
            if end is None or len(search.found) >= limit:
                break
            end = await self._go_back(search, joined, end)
        answer: JsonDict = {"notifications": await self._forms(search)}
        if end is not None:
            answer["next_token"] = str(end)
        return answer

    async def _go_back(self, search: _Search, room_ids: Sequence[str], below: int) -> int | None:
        """Go through the next older events. Returns where that ended; None at the beginning."""
        per_room = max(_FEWEST_OF_A_ROOM, _EVENTS_PER_ROUND // max(1, len(room_ids)))
        places = await self._unread.get_newest_events(room_ids, below, per_room)
        end = _complete_down_to(places, per_room)
        places = [place for place in places if end is None or place.stream_ordering >= end]
        for start in range(0, len(places), _EVENTS_AT_ONCE):
            for notification in await self._notifying(
                search, places[start : start + _EVENTS_AT_ONCE]
            ):
                search.found.append(notification)
                if len(search.found) == search.limit:
                    return notification.place.stream_ordering
        return end

    async def _notifying(
        self, search: _Search, places: Sequence[NotifyingEvent]
    ) -> Sequence[_Notification]:
        """Those of some events of which the user was notified."""
        user_id = search.requester.user_id
        events = await self._events.get_events([place.event_id for place in places])
        matching = []
        for place in places:
            event = events.get(place.event_id)
            if event is None or event.sender == user_id or event.sender in search.ignored:
                continue
            actions = await self._actions_for(search, event)
            effect = effect_of(actions)
            if effect.highlight if search.only_highlights else effect.notify:
                matching.append((place, event, actions))
        memberships = await self._visibility.memberships_at(
            user_id, [event for _, event, _ in matching]
        )
        return [
            _Notification(place, event, actions, Membership.JOIN)
            for place, event, actions in matching
            # Who was not in the room was not notified, also of what can be seen now.
            if memberships.get(event.event_id) == Membership.JOIN
        ]

    async def _actions_for(self, search: _Search, event: Event) -> Actions:
        """What the user's rules for the room do about an event."""
        room_id = event.room_id
        if room_id not in search.in_rooms:
            evaluator = search.rules.with_actions(room_id, search.member_counts.get(room_id, 0))
            reader = await self._facts.reader_of(search.requester.user_id, room_id, evaluator)
            search.in_rooms[room_id] = (evaluator, reader)
        evaluator, reader = search.in_rooms[room_id]
        return (await self._facts.evaluate(evaluator, event)).for_reader(reader) or ()

    async def _forms(self, search: _Search) -> list[JsonDict]:
        found = search.found
        events = await self._formatter.to_client(
            [each.event for each in found],
            search.requester,
            memberships={each.event.event_id: each.membership for each in found},
        )
        reads = await self._unread.get_read_positions(
            search.requester.user_id, {each.event.room_id for each in found}
        )
        return [
            {
                "room_id": each.event.room_id,
                "event": event,
                "actions": list(_current(each.actions)),
                "ts": each.place.received_ts,
                "read": each.place.stream_ordering
                <= reads[each.event.room_id].of(each.place.thread_id),
            }
            for each, event in zip(found, events, strict=True)
        ]


def _complete_down_to(places: Sequence[NotifyingEvent], per_room: int) -> int | None:
    """The position down to which nothing is missing; None if there is nothing older."""
    oldest: dict[str, int] = {}
    counts: dict[str, int] = {}
    for place in places:
        oldest[place.room_id] = place.stream_ordering
        counts[place.room_id] = counts.get(place.room_id, 0) + 1
    return max((oldest[room] for room, count in counts.items() if count == per_room), default=None)


def _current(actions: Actions) -> Iterator[object]:
    """Actions without those that the specification no longer knows."""
    for action in actions:
        if action == "notify" or isinstance(action, dict):
            yield action
