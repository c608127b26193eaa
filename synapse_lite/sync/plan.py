"""Which rooms an answer is about, and from where to where: decided by the user's memberships."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from ..api.constants import Membership
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipChange, MembershipsWorkerStore, RoomOfUser
from ..storage.timeline import BEGINNING
from .filter import Filter

_GONE = (Membership.LEAVE, Membership.BAN, None)


@attrs.frozen
class RoomPlan:
    """A room that the user is, or was, joined to: events with low < position <= high.

    `whole_state`: the client knows nothing of the room's state. `was_in`: the user has been joined
    since `low`. `own_event_id` is the membership event of one who is gone; `only_own_event` is set
    for one who never was in the room.
    """

    room_id: str
    low: int
    high: int
    whole_state: bool = False
    was_in: bool = False
    is_left: bool = False
    own_event_id: str | None = None
    only_own_event: bool = False


@attrs.define
class SyncPlan:
    """The rooms of an answer. Invites and knocks are ids of membership events by room."""

    joined: dict[str, RoomPlan] = attrs.field(factory=dict)
    left: dict[str, RoomPlan] = attrs.field(factory=dict)
    invited: dict[str, str] = attrs.field(factory=dict)
    knocked: dict[str, str] = attrs.field(factory=dict)

    def rooms(self) -> list[RoomPlan]:
        """Plans of joined and left rooms."""
        return [*self.joined.values(), *self.left.values()]


class Planner:
    """Makes plans from memberships and their changes."""

    def __init__(self, hs: Homeserver) -> None:
        self._memberships = hs.part(MembershipsWorkerStore)
        self._events = hs.part(EventsWorkerStore)

    async def initial(self, user_id: str, high: int, wanted: Filter) -> SyncPlan:
        """Everything that the user is in."""
        plan = SyncPlan()
        for room_id, room in (await self._memberships.get_rooms_for_user(user_id)).items():
            if not wanted.wants_room(room_id):
                continue
            if room.membership == Membership.JOIN:
                plan.joined[room_id] = RoomPlan(room_id, BEGINNING, high, whole_state=True)
            elif room.membership == Membership.INVITE:
                plan.invited[room_id] = room.event_id
            else:
                plan.knocked[room_id] = room.event_id
        if wanted.include_leave:
            left = await self._memberships.get_left_rooms(user_id)
            await self._add_left(
                plan,
                {room_id: room for room_id, room in left.items() if wanted.wants_room(room_id)},
            )
        return plan

    async def _add_left(self, plan: SyncPlan, rooms: Mapping[str, RoomOfUser]) -> None:
        before = await self._memberships_before(room.event_id for room in rooms.values())
        for room_id, room in rooms.items():
            plan.left[room_id] = RoomPlan(
                room_id,
                BEGINNING,
                room.stream_ordering,
                whole_state=True,
                is_left=True,
                own_event_id=room.event_id,
                only_own_event=before.get(room.event_id) != Membership.JOIN,
            )

    async def incremental(
        self, user_id: str, low: int, high: int, wanted: Filter, *, full_state: bool
    ) -> SyncPlan:
        """All rooms that the user is in now, and those that changed for the user since `low`.

        Rooms where nothing happened are in the plan, too: they may have news of other kinds.
        """
        plan = SyncPlan()
        changes = await self._memberships.get_membership_changes_for_user(user_id, low, high)
        by_room: dict[str, list[MembershipChange]] = {}
        for change in changes:
            if wanted.wants_room(change.room_id):
                by_room.setdefault(change.room_id, []).append(change)
        rooms = await self._memberships.get_rooms_for_user(user_id)
        for room_id, room in rooms.items():
            if (
                room.membership == Membership.JOIN
                and room_id not in by_room
                and wanted.wants_room(room_id)
            ):
                plan.joined[room_id] = RoomPlan(
                    room_id, low, high, whole_state=full_state, was_in=True
                )
        if by_room:
            firsts = [of_room[0].event_id for of_room in by_room.values()]
            before = await self._memberships_before(event_id for event_id in firsts if event_id)
            for room_id, of_room in by_room.items():
                first = of_room[0].event_id
                # State resolution takes away only what was there.
                earlier = Membership.JOIN if first is None else before.get(first)
                _add_changed(plan, room_id, earlier, of_room, low, high, full_state)
        return plan

    async def _memberships_before(self, event_ids: Iterable[str]) -> dict[str, str | None]:
        """What the user was in a room before each of these membership events."""
        events = await self._events.get_events(list(event_ids))
        replaced = {
            event_id: event.metadata.replaces_state
            for event_id, event in events.items()
            if event.metadata.replaces_state is not None
        }
        before = await self._events.get_events(list(replaced.values()))
        return {
            event_id: before[earlier].membership
            for event_id, earlier in replaced.items()
            if earlier in before
        }


def _add_changed(
    plan: SyncPlan,
    room_id: str,
    earlier: str | None,
    changes: Sequence[MembershipChange],
    low: int,
    high: int,
    full_state: bool,
) -> None:
    """Put a room into the plan in which the user's membership changed in the range."""
    last = changes[-1]
    was_in = earlier == Membership.JOIN
    if last.membership == Membership.JOIN:
        if was_in and all(change.membership == Membership.JOIN for change in changes):
            room = RoomPlan(room_id, low, high, whole_state=full_state, was_in=True)
        else:
            room = RoomPlan(room_id, BEGINNING, high, whole_state=True)
        plan.joined[room_id] = room
    elif last.membership in _GONE:
        has_been_in = was_in or any(change.membership == Membership.JOIN for change in changes)
        stayed = was_in and len(changes) == 1
        plan.left[room_id] = RoomPlan(
            room_id,
            low if was_in else BEGINNING,
            last.stream_ordering,
            whole_state=has_been_in and not was_in,
            was_in=stayed,
            is_left=True,
            own_event_id=last.event_id,
            only_own_event=not has_been_in,
        )
    elif last.event_id is not None:
        kind = plan.invited if last.membership == Membership.INVITE else plan.knocked
        kind[room_id] = last.event_id
