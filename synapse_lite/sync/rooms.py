"""Timelines and states of the rooms of an answer.

Everything is read for all rooms at once; a step that finds its events in memory asks nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs
import msgspec

from ..api.constants import EventTypes, HistoryVisibility
from ..events.bundle import Bundle
from ..events.event import Event, StateKey
from ..events.visibility import visibility_in
from ..server import Homeserver
from ..storage.state_changes import RoomState, StateChange, StateChangesWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore
from ..storage.timeline import TimelineSlice, TimelineWorkerStore
from ..types.tokens import RoomToken
from ..util.json import JsonDict
from .lazy_members import SentMembers
from .pieces import Pieces, Timeline
from .plan import RoomPlan
from .request import Bundles, Formatter, SyncRequest, Visibility
from .state_section import at_start, changed_state, first_of_keys, whole_state
from .summary import Summaries, Summary, touches_summary

DEFAULT_LIMIT = 10
"""Events of a timeline for clients that do not say how many they want."""

_WINDOW = 100
"""So many events are looked through for those that a selective filter wants."""

_VISIBILITY: StateKey = (EventTypes.HISTORY_VISIBILITY, "")
_OPEN = (HistoryVisibility.SHARED, HistoryVisibility.WORLD_READABLE)

_NO_EVENTS = msgspec.Raw(b'{"events":[]}')


@attrs.frozen
class RoomPart:
    """A room's part of an answer. `has_news`: there is something in it."""

    timeline: msgspec.Raw
    state: msgspec.Raw
    summary: JsonDict | None
    has_news: bool


@attrs.define(eq=False)
class _Draft:
    """A part while it is made. `start` is the position at which the timeline begins."""

    plan: RoomPlan
    events: list[Event]
    limited: bool
    prev_batch: RoomToken
    start: int
    ids: Mapping[StateKey, str] | None = None
    changes: Sequence[StateChange] = ()
    state_ids: list[str] = attrs.field(factory=list)
    member_ids: dict[str, str] = attrs.field(factory=dict)
    summary: Summary | None = None

    @property
    def room_id(self) -> str:
        return self.plan.room_id


class RoomParts:
    """Makes the parts of rooms."""

    def __init__(
        self, hs: Homeserver, visibility: Visibility, formatter: Formatter, bundles: Bundles
    ) -> None:
        self._timelines = hs.part(TimelineWorkerStore)
        self._states = hs.part(StateChangesWorkerStore)
        self._groups = hs.part(StateGroupsWorkerStore)
        self._max_limit = hs.config.server.filter_timeline_limit
        self._visibility = visibility
        self._bundles = bundles
        self._pieces = Pieces(hs, formatter)
        self._summaries = Summaries(hs)
        self._sent = SentMembers(self._timelines.caches.budget)

    async def build(
        self,
        request: SyncRequest,
        plans: Sequence[RoomPlan],
        position: int,
        ignored: Collection[str],
    ) -> dict[str, RoomPart]:
        """The parts of the rooms of a plan. The answer ends at `position`.

        Events of ignored users are left out, unless they are state.
        """
        drafts = await self._drafts(request, plans, ignored)
        states = await self._load_states(request, drafts)
        await self._prefetch_states(request, drafts)
        await self._hide(request, drafts)
        self._cut(request, drafts)
        await self._add_summaries(request, drafts, states)
        self._choose_state(request, drafts)
        if request.filter.lazy_load_members:
            await self._choose_members(request, drafts, states)
        return await self._to_parts(request, drafts, position)

    # What happened

    def _limit(self, request: SyncRequest) -> int:
        limit = request.filter.timeline.limit
        return min(DEFAULT_LIMIT if limit is None else limit, self._max_limit)

    async def _drafts(
        self, request: SyncRequest, plans: Sequence[RoomPlan], ignored: Collection[str]
    ) -> list[_Draft]:
        """The events of each room that the filter wants, and the changes of its state."""
        timeline = request.filter.timeline
        limit = self._limit(request)
        window = max(limit, _WINDOW) if timeline.is_selective or ignored else limit
        slices = await self._timelines.get_events_in_ranges(
            {plan.room_id: (plan.low, plan.high) for plan in plans if not plan.only_own_event},
            window,
        )
        changes = await self._states.get_state_changes_for_rooms(
            {
                plan.room_id: plan.low
                for plan in plans
                if not (plan.whole_state or plan.only_own_event)
            },
            max((plan.high for plan in plans), default=0),
        )
        drafts = []
        for plan in plans:
            found = slices.get(plan.room_id) or TimelineSlice([], False, RoomToken(plan.high))
            events = found.events if timeline.wants_room(plan.room_id) else []
            events = timeline.select(events)
            if ignored:
                events = [e for e in events if e.is_state or e.sender not in ignored]
            start = _before(found.events[0]) if found.limited and found.events else plan.low
            draft = _Draft(plan, events, found.limited, found.prev_batch, start)
            if found.limited and not found.events:
                draft.start = plan.high  # the client wants no timeline
            draft.changes = [
                change
                for change in changes.get(plan.room_id, ())
                if change.stream_ordering <= plan.high
            ]
            drafts.append(draft)
        return drafts

    async def _load_states(
        self, request: SyncRequest, drafts: Iterable[_Draft]
    ) -> Mapping[str, RoomState]:
        """The states of rooms that need one: of a joined room as it is, of a left one as it was."""
        lazy = request.filter.lazy_load_members
        joined = []
        left: dict[str, _Draft] = {}
        for draft in drafts:
            plan = draft.plan
            if plan.only_own_event:
                continue
            if not plan.is_left:
                changed = any(touches_summary(change.key) for change in draft.changes)
                if plan.whole_state or changed or (lazy and draft.events):
                    joined.append(draft.room_id)
            elif plan.whole_state and plan.own_event_id is not None:
                left[plan.own_event_id] = draft
        states = await self._states.get_room_states(joined) if joined else {}
        for draft in drafts:
            if draft.room_id in states:
                draft.ids = states[draft.room_id].ids
        if left:
            await self._load_left_states(left)
        return states

    async def _load_left_states(self, left: Mapping[str, _Draft]) -> None:
        groups = await self._timelines.get_event_state_groups(list(left))
        states = await self._groups.get_state_ids_for_groups(list(groups.values()))
        for event_id, group in groups.items():
            left[event_id].ids = states[group]

    async def _prefetch_states(self, request: SyncRequest, drafts: Iterable[_Draft]) -> None:
        """Bring the events of whole states into memory, all in one go."""
        wanted: list[str] = []
        for draft in drafts:
            if draft.plan.whole_state and draft.ids is not None:
                wanted += self._whole_state(request, draft.ids, {})
                visibility = draft.ids.get(_VISIBILITY)
                if visibility is not None:
                    wanted.append(visibility)
        if wanted:
            await self._timelines.get_events(wanted)

    def _whole_state(
        self,
        request: SyncRequest,
        ids: Mapping[StateKey, str],
        in_timeline: Mapping[StateKey, Event],
    ) -> list[str]:
        return whole_state(
            ids,
            in_timeline,
            request.filter.state.wants,
            without_members=request.filter.lazy_load_members,
        )

    # Who may see it

    async def _hide(self, request: SyncRequest, drafts: Iterable[_Draft]) -> None:
        """Leave out what the user may not see; see to it that leaving is seen."""
        unclear = []
        for draft in drafts:
            if not draft.plan.was_in and draft.events and not await self._is_open(draft):
                unclear.append(draft)
        if unclear:
            events = [event for draft in unclear for event in draft.events]
            visible = await self._visibility.filter_for_user(request.user_id, events)
            ids = {event.event_id for event in visible}
            for draft in unclear:
                draft.events = [event for event in draft.events if event.event_id in ids]
        gone = {
            draft.plan.own_event_id: draft
            for draft in drafts
            if draft.plan.own_event_id is not None
            and request.filter.timeline.wants_room(draft.room_id)
        }
        if gone:
            own = await self._timelines.get_events([event_id for event_id in gone if event_id])
            for event_id, event in own.items():
                draft = gone[event_id]
                if event not in draft.events and request.filter.timeline.wants_event(event):
                    draft.events.append(event)

    async def _is_open(self, draft: _Draft) -> bool:
        """Whether everybody who has joined may see all of these events."""
        if draft.ids is None:
            return False
        event_id = draft.ids.get(_VISIBILITY)
        if event_id is None:
            return True
        setting = await self._timelines.get_event(event_id, allow_none=True)
        if setting is None or visibility_in(setting.content) not in _OPEN:
            return False
        # What it was before matters only if it was set among these events.
        return setting.metadata.replaces_state is None or _before(setting) < _before(
            draft.events[0]
        )

    def _cut(self, request: SyncRequest, drafts: Iterable[_Draft]) -> None:
        """Keep the newest events, as many as the client wants."""
        limit = self._limit(request)
        for draft in drafts:
            if len(draft.events) > limit:
                draft.events = draft.events[len(draft.events) - limit :]
                draft.limited = True
                draft.start = _before(draft.events[0]) if draft.events else draft.plan.high
            if draft.events and not draft.plan.only_own_event:
                draft.prev_batch = RoomToken(_before(draft.events[0]), draft.events[0].depth)

    # What else the client needs to know

    async def _add_summaries(
        self, request: SyncRequest, drafts: Sequence[_Draft], states: Mapping[str, RoomState]
    ) -> None:
        wanted = {
            draft.room_id: states[draft.room_id]
            for draft in drafts
            if draft.room_id in states
            and (
                draft.plan.whole_state
                or any(touches_summary(change.key) for change in draft.changes)
            )
        }
        if not wanted:
            return
        summaries = await self._summaries.of_rooms(request.user_id, wanted)
        for draft in drafts:
            draft.summary = summaries.get(draft.room_id)

    def _choose_state(self, request: SyncRequest, drafts: Iterable[_Draft]) -> None:
        for draft in drafts:
            if not request.filter.state.wants_room(draft.room_id):
                continue
            in_timeline = _set_by_timeline(request, draft)
            if draft.plan.only_own_event:
                if request.state_after and draft.plan.own_event_id is not None:
                    draft.state_ids = [draft.plan.own_event_id]
            elif draft.plan.whole_state:
                if draft.ids is not None:
                    draft.state_ids = self._whole_state(request, draft.ids, in_timeline)
            elif draft.changes:
                draft.state_ids = changed_state(draft.changes, in_timeline, draft.start)

    async def _choose_members(
        self, request: SyncRequest, drafts: Iterable[_Draft], states: Mapping[str, RoomState]
    ) -> None:
        """Membership events without which the client could not show what it gets."""
        since = 0 if request.since is None else request.since.events
        redundant = request.since is None or request.filter.state.include_redundant_members
        for draft in drafts:
            if draft.ids is None or not request.filter.state.wants_room(draft.room_id):
                continue
            users = {event.sender for event in draft.events}
            if draft.plan.whole_state:
                users.add(request.user_id)
            if draft.summary is not None:
                users.update(draft.summary.heroes)
            in_timeline = _set_by_timeline(request, draft)
            known = set(draft.state_ids)
            for user_id in users:
                event_id = at_start((EventTypes.MEMBER, user_id), draft.ids, in_timeline)
                if event_id is None or event_id in known:
                    continue
                if (
                    redundant
                    or draft.plan.whole_state
                    or not self._sent.has(
                        request.requester, draft.room_id, user_id, event_id, since
                    )
                ):
                    draft.member_ids[user_id] = event_id

    # Bytes

    async def _to_parts(
        self, request: SyncRequest, drafts: Sequence[_Draft], position: int
    ) -> dict[str, RoomPart]:
        events = await self._load(drafts)
        bundles = await self._relations(request, drafts)
        parts = {}
        for draft in drafts:
            parts[draft.room_id] = await self._to_part(request, draft, events, bundles)
            if request.filter.lazy_load_members:
                self._note_members(request, draft, events, position)
        return parts

    async def _load(self, drafts: Iterable[_Draft]) -> Mapping[str, Event]:
        """The events of the states, and those that formatting will quote."""
        wanted: list[str] = []
        for draft in drafts:
            wanted += draft.state_ids
            wanted += draft.member_ids.values()
        events = await self._timelines.get_events(wanted)
        quoted = [
            event_id
            for event in (*events.values(), *(e for draft in drafts for e in draft.events))
            for event_id in (event.metadata.replaces_state, event.metadata.redacted_by)
            if event_id is not None
        ]
        if quoted:
            await self._timelines.get_events(quoted)
        return events

    async def _relations(
        self, request: SyncRequest, drafts: Iterable[_Draft]
    ) -> Mapping[str, Bundle]:
        """What is told of relations: with a limited timeline. Another one shows them themselves."""
        limited = [event for draft in drafts if draft.limited for event in draft.events]
        if not limited or request.filter.form.federation:
            return {}
        return await self._bundles.of_events(limited, request.requester)

    async def _to_part(
        self,
        request: SyncRequest,
        draft: _Draft,
        events: Mapping[str, Event],
        bundles: Mapping[str, Bundle],
    ) -> RoomPart:
        form = request.filter.form
        state = [events[event_id] for event_id in draft.state_ids if event_id in events]
        shown = Timeline(
            room_id=draft.room_id,
            events=tuple(draft.events),
            limited=draft.limited,
            prev_batch=draft.prev_batch.to_text(),
            state=tuple(request.filter.state.select(state)),
            bundles={
                event.event_id: bundles[event.event_id]
                for event in draft.events
                if event.event_id in bundles
            },
        )
        piece = await self._pieces.get(shown, form)
        members = request.filter.state.select(
            events[event_id] for event_id in draft.member_ids.values() if event_id in events
        )
        extra = await self._pieces.format(members, None, form)
        return RoomPart(
            timeline=await self._pieces.timeline_for(request.requester, shown, piece, form),
            state=_joined(piece.state, extra),
            summary=None if draft.summary is None else draft.summary.content,
            has_news=bool(
                draft.events
                or draft.limited
                or shown.state
                or draft.summary is not None
                or draft.plan.is_left
            ),
        )

    def _note_members(
        self, request: SyncRequest, draft: _Draft, events: Mapping[str, Event], position: int
    ) -> None:
        members = dict(draft.member_ids)
        state = [events[event_id] for event_id in draft.state_ids if event_id in events]
        for event in (*state, *draft.events):
            if event.type == EventTypes.MEMBER and event.state_key is not None:
                members[event.state_key] = event.event_id
        self._sent.note(request.requester, draft.room_id, members, position)


def _set_by_timeline(request: SyncRequest, draft: _Draft) -> Mapping[StateKey, Event]:
    """What the client learns from the timeline: nothing, if the state is that after it."""
    return {} if request.state_after else first_of_keys(draft.events)


def _before(event: Event) -> int:
    """The position directly before an event."""
    ordering = event.metadata.stream_ordering
    assert ordering is not None, "an event that was read has a position"
    return ordering - 1


def _joined(shared: bytes, extra: Sequence[msgspec.Raw]) -> msgspec.Raw:
    items = [bytes(item) for item in extra]
    if shared:
        items.insert(0, shared)
    if not items:
        return _NO_EVENTS
    return msgspec.Raw(b'{"events":[' + b",".join(items) + b"]}")
