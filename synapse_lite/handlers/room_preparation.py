"""What events do to their room, worked out in memory before the transaction that stores them.

A message that follows the room's only head needs nothing but caches: the state before it is the
current state, and stays so. Forks take the states of all heads, and state resolution where they
differ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from ..api.constants import EventTypes, Membership
from ..api.errors import ForbiddenError
from ..events.auth import (
    auth_types_for_event,
    check_auth,
    check_state_dependent_auth,
    check_state_independent_auth,
    redaction_allowed,
)
from ..events.context import EventContext
from ..events.event import Event, StateKey
from ..events.resolution import EventLoader, resolve_state
from ..server import Homeserver
from ..state.service import StateService
from ..storage.events import Head, RoomHeads
from ..storage.memberships import MembershipsWorkerStore
from ..storage.persist_events import (
    ClientTxn,
    EventWrite,
    PersistEventsStore,
    Redaction,
    RoomWrite,
    StateChange,
)
from ..storage.state_groups import NewStateGroup
from ..storage.unread import NO_NOTICE, Totals
from ..types.state_map import EMPTY_STATE, StateMap
from .notices import EventNotices

_CREATE: StateKey = (EventTypes.CREATE, "")
_OUT_OF_BAND = (Membership.INVITE, Membership.KNOCK, Membership.LEAVE, Membership.BAN)


@attrs.frozen
class EventToPersist:
    """An event on its way into the database.

    A local event that is not allowed is refused; one from outside is stored as rejected or, when
    only the current state forbids it, as soft-failed. Without `check_current_state` it is not held
    against the current state, which may be out of date when this server comes back into a room.
    """

    event: Event
    context: EventContext = attrs.Factory(EventContext)
    is_local: bool = False
    txn: ClientTxn | None = None
    check_current_state: bool = True


@attrs.frozen
class _State:
    """A state and its group; none for the state before the first event."""

    ids: StateMap
    group: int | None


@attrs.define
class RoomView:
    """A room as it will be once the events prepared so far are stored."""

    room_id: str
    backfilled: bool
    old_heads: Mapping[str, Head]
    heads: dict[str, Head]
    current: _State
    totals: Totals
    states: dict[int, StateMap] = attrs.field(factory=dict)
    groups: list[NewStateGroup] = attrs.field(factory=list)
    events: dict[str, Event] = attrs.field(factory=dict)
    writes: list[EventWrite] = attrs.field(factory=list)

    def copy(self) -> RoomView:
        """A view to which events can be added without changing this one."""
        return attrs.evolve(
            self,
            heads=dict(self.heads),
            states=dict(self.states),
            groups=list(self.groups),
            events=dict(self.events),
            writes=list(self.writes),
        )

    def to_write(self) -> RoomWrite:
        """What is to be stored."""
        return RoomWrite(
            self.room_id,
            self.writes,
            removed_heads=frozenset(self.old_heads.keys() - self.heads.keys()),
            added_heads=tuple(h for key, h in self.heads.items() if key not in self.old_heads),
            groups=self.groups,
            states=list(self.states.items()),
            backfilled=self.backfilled,
        )


class RoomPreparation:
    """Works out the consequences of events, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(PersistEventsStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._states = hs.part(StateService)
        self._notices = hs.part(EventNotices)
        self._server_name = hs.name
        self._is_mine = hs.is_mine

    async def view_of(self, room_id: str, *, backfilled: bool) -> RoomView:
        """The room as it is now. Nobody else may prepare events of it meanwhile."""
        heads = await self._store.get_room_heads(room_id)
        state = await self._store.get_current_state_ids(room_id)
        # History that is fetched later changes no totals.
        totals = Totals() if backfilled else await self._store.get_notify_totals(room_id)
        by_id = {head.event_id: head for head in heads.heads}
        current = _State(state, heads.state_group)
        return RoomView(room_id, backfilled, by_id, dict(by_id), current, totals)

    async def add(self, view: RoomView, items: Sequence[EventToPersist]) -> RoomView:
        """The view with more events. Raises ForbiddenError if a local one is not allowed."""
        view = view.copy()
        for item in items:
            if item.event.metadata.outlier:
                await self._add_outlier(view, item)
            else:
                await self._add_event(view, item)
            view.events[item.event.event_id] = item.event
        return view

    async def _add_outlier(self, view: RoomView, item: EventToPersist) -> None:
        event = item.event
        out_of_band = (
            event.membership in _OUT_OF_BAND
            and event.state_key is not None
            and self._is_mine(event.state_key)
            and event.metadata.rejected_reason is None
            # In a room that we are in, the state says what our users are.
            and not await self._memberships.is_host_joined(view.room_id, self._server_name)
        )
        view.writes.append(
            EventWrite(event, out_of_band=out_of_band, is_local=item.is_local, totals=view.totals)
        )

    async def _add_event(self, view: RoomView, item: EventToPersist) -> None:
        event, metadata = item.event, item.event.metadata
        before = await self._state_before(view, item)
        auth_state = await self._auth_state(view, before.ids, event)
        await self._check(view, item, before, auth_state)
        after = before
        if event.is_state:
            metadata.replaces_state = before.ids.get(event.state_tuple)
            if metadata.rejected_reason is None:
                after = self._new_state(view, before, {event.state_tuple: event.event_id})
        metadata.state_group = after.group
        heads: RoomHeads | None = None
        changes: Sequence[StateChange] = ()
        accepted = metadata.rejected_reason is None and not metadata.soft_failed
        if accepted and not view.backfilled and after.group is not None:
            changes = await self._advance(view, item, before, after)
            heads = RoomHeads.of(view.heads.values())
        notice = NO_NOTICE
        if accepted and not view.backfilled:
            notice = await self._notices.of_event(
                event, auth_state, changes, lambda event_id: self._event(view, event_id)
            )
            view.totals = view.totals.after(notice)
        view.writes.append(
            EventWrite(
                event,
                heads=heads,
                state_changes=changes,
                redaction=await self._redaction(view, event, auth_state) if accepted else None,
                missing_prev=await self._missing_prev(view, item),
                txn=item.txn,
                is_local=item.is_local,
                notice=notice,
                totals=view.totals,
            )
        )

    # The state before

    async def _state_before(self, view: RoomView, item: EventToPersist) -> _State:
        context = item.context
        if context.state_group_before is not None:
            return await self._state_of(view, context.state_group_before)
        if context.delta is not None:
            base = _State(EMPTY_STATE, None)
            if context.prev_group is not None:
                base = await self._state_of(view, context.prev_group)
            return self._new_state(view, base, context.delta)
        return await self._state_after_all(view, item.event)

    async def _state_after_all(self, view: RoomView, event: Event) -> _State:
        """The state after the events that this one follows, when nobody has told it."""
        if not event.prev_event_ids:
            return _State(EMPTY_STATE, None)
        if view.heads.keys() == set(event.prev_event_ids) and view.current.group is not None:
            return view.current
        groups = set()
        stored = await self._events(view, event.prev_event_ids)
        for event_id in event.prev_event_ids:
            prev = stored.get(event_id)
            if prev is None or prev.metadata.state_group is None:
                raise ForbiddenError(f"The state before {event.event_id} is not known")
            groups.add(prev.metadata.state_group)
        if len(groups) == 1:
            return await self._state_of(view, groups.pop())
        return await self._resolved(view, event, groups, store=True)

    async def _state_of(self, view: RoomView, group: int) -> _State:
        if group == view.current.group:
            return view.current
        ids = view.states.get(group)
        if ids is None:
            ids = await self._store.get_state_ids_for_group(group)
        return _State(ids, group)

    def _new_state(
        self, view: RoomView, base: _State, delta: Mapping[StateKey, str | None]
    ) -> _State:
        if not delta:
            return base
        (group,) = self._store.reserve_state_groups(1)
        ids = base.ids.with_changes(delta)
        view.groups.append(NewStateGroup(group, view.room_id, base.group, delta))
        view.states[group] = ids
        return _State(ids, group)

    async def _resolved(
        self, view: RoomView, event: Event, groups: Collection[int], *, store: bool
    ) -> _State:
        """The resolution of several groups; it gets a group of its own only with `store`."""
        if view.states.keys().isdisjoint(groups):
            found = await self._states.state_before(view.room_id, event.room_version, groups)
            if found.state_group is not None or not store:
                return _State(found.state, found.state_group)
            assert found.prev_group is not None, "a resolution is a change of one of its groups"
            base = await self._state_of(view, found.prev_group)
            return self._new_state(view, base, found.delta)
        states = {group: await self._state_of(view, group) for group in sorted(groups)}
        resolved = StateMap(
            await resolve_state(
                event.room_version,
                [state.ids for state in states.values()],
                _ViewLoader(self._store, {**view.events, event.event_id: event}),
            )
        )
        nearest = min(states.values(), key=lambda state: len(resolved.changes_since(state.ids)))
        delta = resolved.changes_since(nearest.ids)
        if not delta:
            return nearest
        if store:
            return self._new_state(view, nearest, delta)
        return _State(nearest.ids.with_changes(delta), None)

    # What is allowed

    async def _auth_state(
        self, view: RoomView, state: StateMap, event: Event
    ) -> dict[StateKey, Event]:
        """The part of a state that decides about an event."""
        ids = state.filtered(_auth_keys(event))
        events = await self._events(view, ids.values())
        return {key: events[event_id] for key, event_id in ids.items() if event_id in events}

    async def _check(
        self,
        view: RoomView,
        item: EventToPersist,
        before: _State,
        auth_state: Mapping[StateKey, Event],
    ) -> None:
        """Raise for a local event that is not allowed; mark one from outside."""
        metadata = item.event.metadata
        if metadata.rejected_reason is not None:
            return
        try:
            await self._check_before(view, item, auth_state)
        except ForbiddenError as error:
            if item.is_local:
                raise
            metadata.rejected_reason = error.message
            return
        if view.backfilled or not item.check_current_state or not view.heads:
            return
        try:
            await self._check_current(view, item.event, before)
        except ForbiddenError:
            if item.is_local:
                raise
            metadata.soft_failed = True

    async def _check_before(
        self, view: RoomView, item: EventToPersist, auth_state: Mapping[StateKey, Event]
    ) -> None:
        event = item.event
        auth_events = await self._events(view, event.auth_event_ids)
        if len(auth_events) < len(set(event.auth_event_ids)):
            raise ForbiddenError("An auth event is not known")
        create = None
        if event.room_version.room_id_from_create_event:
            create = auth_state.get(_CREATE)
        check = check_state_independent_auth if item.is_local else check_auth
        check(event, auth_events.values(), create_event=create)
        check_state_dependent_auth(event, auth_state)

    async def _check_current(self, view: RoomView, event: Event, before: _State) -> None:
        keys = _auth_keys(event)
        if view.current.ids.filtered(keys) != before.ids.filtered(keys):
            state = await self._auth_state(view, view.current.ids, event)
            check_state_dependent_auth(event, state)

    # What changes

    async def _advance(
        self, view: RoomView, item: EventToPersist, before: _State, after: _State
    ) -> Sequence[StateChange]:
        """Move the heads and the current state on; returns the changes of the state."""
        event = item.event
        followed = {key: h for key, h in view.heads.items() if key not in event.prev_event_ids}
        if item.is_local or not await self._is_followed(view, event):
            assert after.group is not None, "an accepted event has a state"
            followed[event.event_id] = Head(event.event_id, event.depth, after.group)
        view.heads = followed
        old = view.current
        view.current = await self._current_state(view, event, after)
        if view.current.ids is old.ids:
            return ()
        delta: Mapping[StateKey, str | None]
        if view.current is after and before.ids is old.ids and event.is_state:
            delta = {event.state_tuple: event.event_id}
        else:
            delta = view.current.ids.changes_since(old.ids)
        return await self._described(view, event, old.ids, delta)

    async def _is_followed(self, view: RoomView, event: Event) -> bool:
        """Whether an event of the room that came earlier follows this one."""
        missing = await self._store.get_backward_extremities(view.room_id)
        if event.event_id in missing:
            return True
        return any(event.event_id in other.prev_event_ids for other in view.events.values())

    async def _current_state(self, view: RoomView, event: Event, after: _State) -> _State:
        """The state after all heads."""
        groups = {head.state_group for head in view.heads.values()}
        if groups == {after.group}:
            return after
        if len(groups) == 1:
            return await self._state_of(view, groups.pop())
        return await self._resolved(view, event, groups, store=False)

    async def _described(
        self,
        view: RoomView,
        event: Event,
        old: StateMap,
        delta: Mapping[StateKey, str | None],
    ) -> list[StateChange]:
        members = [e for (kind, _), e in delta.items() if kind == EventTypes.MEMBER and e]
        events = await self._events({**view.events, event.event_id: event}, members)
        changes = []
        for (kind, state_key), event_id in sorted(delta.items()):
            member = None if event_id is None else events.get(event_id)
            changes.append(
                StateChange(
                    kind,
                    state_key,
                    event_id,
                    old.get((kind, state_key)),
                    None if member is None else member.membership,
                    None if member is None else member.sender,
                )
            )
        return changes

    async def _redaction(
        self, view: RoomView, event: Event, auth_state: Mapping[StateKey, Event]
    ) -> Redaction | None:
        if event.redacts is None:
            return None
        found = await self._events(view, (event.redacts,))
        target = found.get(event.redacts)
        any_sender = redaction_allowed(event, "", auth_state)
        if target is None:
            return Redaction(event.redacts, is_here=False, any_sender=any_sender)
        if target.room_id != event.room_id:
            return None
        if not redaction_allowed(event, target.sender, auth_state):
            return None
        return Redaction(event.redacts, is_here=True, any_sender=any_sender)

    async def _missing_prev(self, view: RoomView, item: EventToPersist) -> list[str]:
        """Events that this one follows and that are not here, or only as outliers."""
        prev_ids = item.event.prev_event_ids
        if item.is_local or all(event_id in view.old_heads for event_id in prev_ids):
            return []
        known = await self._events(view, prev_ids)
        return [
            event_id
            for event_id in dict.fromkeys(prev_ids)
            if event_id not in known or known[event_id].metadata.outlier
        ]

    async def _event(self, view: RoomView, event_id: str) -> Event | None:
        return (await self._events(view, (event_id,))).get(event_id)

    async def _events(
        self, view: RoomView | Mapping[str, Event], event_ids: Collection[str]
    ) -> dict[str, Event]:
        """Events that are stored or about to be, also rejected ones."""
        new = view.events if isinstance(view, RoomView) else view
        found = {event_id: new[event_id] for event_id in event_ids if event_id in new}
        others = [event_id for event_id in event_ids if event_id not in new]
        if others:
            found.update(await self._store.get_events(others, allow_rejected=True))
        return found


class _ViewLoader(EventLoader):
    """Events for state resolution: those about to be stored, then those that are."""

    def __init__(self, store: PersistEventsStore, new: Mapping[str, Event]) -> None:
        self._store = store
        self._new = new

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """See the base."""
        found = {event_id: self._new[event_id] for event_id in event_ids if event_id in self._new}
        others = [event_id for event_id in event_ids if event_id not in self._new]
        found.update(await self._store.get_events(others, allow_rejected=True))
        return found

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """See the base."""
        found: set[str] = set()
        stored: set[str] = set()
        waiting = list(event_ids)
        while waiting:
            event_id = waiting.pop()
            event = self._new.get(event_id)
            if event is None:
                stored.add(event_id)
                continue
            waiting += [auth_id for auth_id in event.auth_event_ids if auth_id not in found]
            found.update(event.auth_event_ids)
        return found | await self._store.get_auth_chain_ids(stored)


def _auth_keys(event: Event) -> set[StateKey]:
    keys = auth_types_for_event(
        event.room_version, event.type, event.sender, event.state_key, event.content
    )
    keys.add(_CREATE)
    return keys
