"""Who may read what of a room (client-server API, "Room History Visibility")."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import attrs

from ..api.constants import EventTypes, HistoryVisibility, Membership
from ..api.errors import ForbiddenError, NotFoundError
from ..events.event import Event, StateKey
from ..events.visibility import may_see_event, visibility_in
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore

_VISIBILITY_KEY: StateKey = (EventTypes.HISTORY_VISIBILITY, "")

_WORLD_READABLE = HistoryVisibility.WORLD_READABLE

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
        if allow_left and event_id is not None:
            left = await self._end_of_stay(event_id)
            if left is not None and not await self._memberships.is_forgotten(user_id, room_id):
                return ReadAccess(membership, left)
        if await self._is_world_readable(room_id):
            return ReadAccess(membership, is_peeking=True)
        raise ForbiddenError(f"{user_id} is not in the room {room_id}")

    async def _end_of_stay(self, event_id: str) -> Event | None:
        """The event that ended the last stay of a user whose membership is another one now."""
        return (await self._ends_of_stays([event_id])).get(event_id)

    async def _ends_of_stays(self, event_ids: Collection[str]) -> dict[str, Event]:
        """The event that ended the stay before each of these memberships, where one did.

        It is not always the membership itself: somebody who was kicked and then banned, or turned
        down an invite to come back, has seen the room up to the kick. All are looked back at once.
        """
        ends: dict[str, Event] = {}
        looking = await self._events.get_events(event_ids)
        for _ in range(_MAX_MEMBERSHIP_STEPS):
            replaced = {
                event_id: event.metadata.replaces_state
                for event_id, event in looking.items()
                if event.metadata.replaces_state is not None
            }
            if not replaced:
                break
            before = await self._events.get_events(list(replaced.values()))
            following = {}
            for event_id, earlier in replaced.items():
                if earlier not in before:
                    continue
                if before[earlier].membership == Membership.JOIN:
                    ends[event_id] = looking[event_id]
                else:
                    following[event_id] = before[earlier]
            looking = following
        return ends

    async def _is_world_readable(self, room_id: str) -> bool:
        event = await self._current_state.get_current_state_event(
            room_id, EventTypes.HISTORY_VISIBILITY, ""
        )
        return event is not None and visibility_in(event.content) == _WORLD_READABLE

    async def filter_for_user(
        self, user_id: str, events: Sequence[Event], *, peeking: bool = False
    ) -> list[Event]:
        """Those of the events that the user may see, in their order; see `memberships_at`."""
        seen = await self.memberships_at(user_id, events, peeking=peeking)
        return [event for event in events if event.event_id in seen]

    async def visible_event(
        self, user_id: str, room_id: str, event_id: str, access: ReadAccess
    ) -> tuple[Event, Mapping[str, str]]:
        """An event of a room, with what `memberships_at` says of it.

        Raises NotFoundError, also for one that the user may not see.
        """
        event = await self._events.get_event(event_id, allow_none=True)
        if event is None or event.room_id != room_id:
            raise no_event()
        memberships = await self.memberships_at(user_id, [event], peeking=access.is_peeking)
        if not memberships:
            raise no_event()
        return event, memberships

    async def memberships_at(
        self, user_id: str, events: Collection[Event], *, peeking: bool = False
    ) -> dict[str, str]:
        """For each event that the user may see, what the user was in the room after it.

        Costs no query where the user has been joined since before the events. With `peeking`
        only what is world readable is seen. Nobody sees events that the server does not build upon.
        """
        seen: dict[str, str] = {}
        unclear = []
        for event in events:
            if event.metadata.soft_failed or event.metadata.rejected_reason is not None:
                continue
            if not peeking and await self._is_of_stay(user_id, event):
                seen[event.event_id] = Membership.JOIN
            else:
                unclear.append(event)
        if unclear:
            seen.update(await self._seen_by_state(user_id, unclear, peeking=peeking))
        return seen

    async def _is_of_stay(self, user_id: str, event: Event) -> bool:
        """Whether the event was sent during the user's present stay, as far as the cache knows."""
        ordering = event.metadata.stream_ordering
        if ordering is None or event.metadata.outlier:
            return False
        room = (await self._memberships.get_rooms_for_user(user_id)).get(event.room_id)
        return (
            room is not None
            and room.membership == Membership.JOIN
            and ordering >= room.stream_ordering
        )

    async def _seen_by_state(
        self, user_id: str, events: Sequence[Event], *, peeking: bool
    ) -> dict[str, str]:
        member_key: StateKey = (EventTypes.MEMBER, user_id)
        states = await self._states_before(events, (_VISIBILITY_KEY, member_key))
        ends = {} if peeking else await self._ends(user_id, {event.room_id for event in events})
        seen: dict[str, str] = {}
        for event in events:
            is_own = event.type == EventTypes.MEMBER and event.state_key == user_id
            state = states.get(event.event_id)
            if state is None:
                # An outlier: nothing is known of the state around it. An invite from elsewhere
                # is one, which its user sees.
                if is_own:
                    seen[event.event_id] = event.membership or Membership.LEAVE
                continue
            setting = state.get(_VISIBILITY_KEY)
            member = state.get(member_key)
            before = (None if member is None else member.membership) or Membership.LEAVE
            if may_see_event(
                event,
                user_id,
                visibility=visibility_in(None if setting is None else setting.content),
                membership=Membership.LEAVE if peeking else before,
                joined_since=_is_before(event, ends.get(event.room_id)),
            ):
                after = event.membership if is_own else before
                seen[event.event_id] = after or Membership.LEAVE
        return seen

    async def _ends(self, user_id: str, room_ids: set[str]) -> dict[str, float]:
        """The position up to which the user was in each room: endless for present stays."""
        memberships = await self._memberships.get_memberships(user_id, room_ids)
        ends = {
            room_id: math.inf
            for room_id, (membership, _) in memberships.items()
            if membership == Membership.JOIN
        }
        gone = {
            event_id: room_id
            for room_id, (membership, event_id) in memberships.items()
            if membership != Membership.JOIN
        }
        for event_id, left in (await self._ends_of_stays(gone)).items():
            if left.metadata.stream_ordering is not None:
                ends[gone[event_id]] = left.metadata.stream_ordering
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
                before[event.event_id] = _without(event, ids[group])
        wanted = {event_id for state in before.values() for event_id in state.values()}
        loaded = await self._events.get_events(wanted)
        return {
            event_id: {key: loaded[found] for key, found in state.items() if found in loaded}
            for event_id, state in before.items()
        }


def is_heard(event: Event, ignored: Collection[str]) -> bool:
    """Whether somebody who ignores these users is shown the event ("Ignoring Users")."""
    return event.is_state or event.sender not in ignored


def no_event() -> NotFoundError:
    """The error for an event that is not there, or not for this user."""
    return NotFoundError("The room has no such event, or you may not see it")


def _without(event: Event, after: Mapping[StateKey, str]) -> dict[StateKey, str]:
    """The state before an event, made of that after it."""
    state = dict(after)
    if event.is_state and state.get(event.state_tuple) == event.event_id:
        del state[event.state_tuple]
        if event.metadata.replaces_state is not None:
            state[event.state_tuple] = event.metadata.replaces_state
    return state


def _is_before(event: Event, end: float | None) -> bool:
    ordering = event.metadata.stream_ordering
    return end is not None and ordering is not None and ordering < end
