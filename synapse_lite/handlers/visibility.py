"""Who may read what of a room (client-server API, "Room History Visibility")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import attrs

from ..api.constants import EventTypes, HistoryVisibility, Membership
from ..api.errors import ForbiddenError
from ..events.event import Event, StateKey
from ..events.visibility import may_see_event, visibility_in
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore

_VISIBILITY_KEY: StateKey = (EventTypes.HISTORY_VISIBILITY, "")

_MAX_MEMBERSHIP_STEPS = 50
"""How many of a user's membership events are looked back for the one that ended a stay."""


@attrs.frozen
class ReadAccess:
    """How a user may read a room.

    `left` is the event that ended the user's last stay: state and history are read as of it.
    `is_peeking` marks a reader who was never in the room, which everybody may read.
    """

    membership: str | None
    left: Event | None = None
    is_peeking: bool = False


class EventVisibility:
    """Answers who may read what."""

    def __init__(self, hs: Homeserver) -> None:
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._current_state = hs.part(CurrentStateWorkerStore)
        self._groups = hs.part(StateGroupsWorkerStore)

    async def check_readable(
        self, user_id: str, room_id: str, *, allow_left: bool = True
    ) -> ReadAccess:
        """How the user may read the room. Raises ForbiddenError, also for an unknown room."""
        membership, event_id = await self._memberships.get_membership(user_id, room_id)
        if membership == Membership.JOIN:
            return ReadAccess(membership)
        if allow_left and event_id is not None and membership in (Membership.LEAVE, Membership.BAN):
            left = await self._end_of_stay(event_id)
            if left is not None and not await self._memberships.is_forgotten(user_id, room_id):
                return ReadAccess(membership, left)
        if await self._is_world_readable(room_id):
            return ReadAccess(membership, is_peeking=True)
        raise ForbiddenError(f"{user_id} is not in the room {room_id}")

    async def _end_of_stay(self, event_id: str) -> Event | None:
        """The oldest of the user's latest departures in a row, if a stay came before it.

        Somebody who was kicked and then banned has seen the room up to the kick; one who turned
        down an invite has seen nothing.
        """
        event = await self._events.get_event(event_id, allow_none=True)
        for _ in range(_MAX_MEMBERSHIP_STEPS):
            if event is None or event.metadata.replaces_state is None:
                return None
            before = await self._events.get_event(event.metadata.replaces_state, allow_none=True)
            if before is not None and before.membership == Membership.JOIN:
                return event
            if before is None or before.membership not in (Membership.LEAVE, Membership.BAN):
                return None
            event = before
        return None

    async def _is_world_readable(self, room_id: str) -> bool:
        event = await self._current_state.get_current_state_event(
            room_id, EventTypes.HISTORY_VISIBILITY, ""
        )
        content = None if event is None else event.content
        return event is not None and visibility_in(content) == HistoryVisibility.WORLD_READABLE

    async def filter_for_user(
        self, user_id: str, events: Sequence[Event], *, peeking: bool = False
    ) -> list[Event]:
        """Those of the events that the user may see, in their order.

        Costs no query where the user has been joined since before the events. With `peeking`
        the user counts as a stranger, who sees what is world readable.
        """
        unclear = list(events)
        if not peeking:
            unclear = [event for event in events if not await self._is_of_stay(user_id, event)]
        if not unclear:
            return list(events)
        hidden = await self._hidden(user_id, unclear, peeking=peeking)
        return [event for event in events if event.event_id not in hidden]

    async def _is_of_stay(self, user_id: str, event: Event) -> bool:
        """Whether the event was sent during the user's present stay, as far as the cache knows."""
        room = (await self._memberships.get_rooms_for_user(user_id)).get(event.room_id)
        ordering = event.metadata.stream_ordering
        return (
            room is not None
            and room.membership == Membership.JOIN
            and ordering is not None
            and ordering >= room.stream_ordering
        )

    async def _hidden(self, user_id: str, events: Sequence[Event], *, peeking: bool) -> set[str]:
        member_key: StateKey = (EventTypes.MEMBER, user_id)
        states = await self._states_before(events, (_VISIBILITY_KEY, member_key))
        ends = await self._ends(user_id, {event.room_id for event in events})
        hidden = set()
        for event in events:
            state = states.get(event.event_id)
            if state is None:
                hidden.add(event.event_id)  # an outlier: nothing is known of the state around it
                continue
            setting = state.get(_VISIBILITY_KEY)
            member = state.get(member_key)
            if not may_see_event(
                event,
                user_id,
                visibility=visibility_in(None if setting is None else setting.content),
                membership=Membership.LEAVE
                if peeking or member is None
                else member.membership or Membership.LEAVE,
                joined_since=not peeking and _before(event, ends.get(event.room_id, 0)),
            ):
                hidden.add(event.event_id)
        return hidden

    async def _ends(self, user_id: str, room_ids: set[str]) -> dict[str, float]:
        """For each room the position up to which the user was in it: endless for present stays."""
        ends: dict[str, float] = {}
        for room_id in room_ids:
            membership, event_id = await self._memberships.get_membership(user_id, room_id)
            if membership == Membership.JOIN:
                ends[room_id] = float("inf")
            elif event_id is not None:
                left = await self._end_of_stay(event_id)
                if left is not None and left.metadata.stream_ordering is not None:
                    ends[room_id] = left.metadata.stream_ordering
        return ends

    async def _states_before(
        self, events: Sequence[Event], keys: tuple[StateKey, ...]
    ) -> dict[str, Mapping[StateKey, Event]]:
        """Some keys of the state before each event; outliers are left out."""
        groups: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            if event.metadata.state_group is not None:
                groups[event.metadata.state_group].append(event)
        ids = await self._groups.get_filtered_state_ids_for_groups(list(groups), keys)
        before: dict[str, dict[StateKey, str]] = {}
        for group, of_group in groups.items():
            for event in of_group:
                state = dict(ids[group])
                if event.is_state and event.state_tuple in state:
                    del state[event.state_tuple]
                    if event.metadata.replaces_state is not None:
                        state[event.state_tuple] = event.metadata.replaces_state
                before[event.event_id] = state
        wanted = {event_id for state in before.values() for event_id in state.values()}
        loaded = await self._events.get_events(wanted)
        return {
            event_id: {key: loaded[found] for key, found in state.items() if found in loaded}
            for event_id, state in before.items()
        }


def _before(event: Event, end: float) -> bool:
    ordering = event.metadata.stream_ordering
    return ordering is not None and ordering < end
