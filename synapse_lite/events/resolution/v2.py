"""State resolution versions 2 and 2.1 (room versions 2 and 12, "State resolution")."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from ...api.constants import EventTypes, Membership
from ...api.errors import ForbiddenError
from ..auth.check import check_state_dependent_auth
from ..auth.selection import auth_types_for_event
from ..event import Event, StateKey
from .loader import EventLoader
from .ordering import auth_state_of, mainline_order, reverse_topological_power_order

_CREATE: StateKey = (EventTypes.CREATE, "")


async def resolve_v2(
    state_sets: Sequence[Mapping[StateKey, str]], loader: EventLoader
) -> dict[StateKey, str]:
    """Resolve different states by version 2."""
    unconflicted, conflicted = _split(state_sets)
    full = conflicted | await loader.auth_difference([set(one.values()) for one in state_sets])
    return await _resolve(unconflicted, full, unconflicted, loader)


async def resolve_v2_1(
    state_sets: Sequence[Mapping[StateKey, str]], loader: EventLoader
) -> dict[StateKey, str]:
    """Resolve different states by version 2.1.

    It replays more, the conflicted state subgraph, and begins with nothing.
    """
    unconflicted, conflicted = _split(state_sets)
    full = conflicted | await loader.auth_difference([set(one.values()) for one in state_sets])
    full |= await loader.conflicted_subgraph(conflicted)
    return await _resolve(unconflicted, full, {}, loader)


def _split(
    state_sets: Sequence[Mapping[StateKey, str]],
) -> tuple[dict[StateKey, str], set[str]]:
    """The unconflicted state map and the conflicted state set."""
    first, *others = state_sets
    unconflicted = {
        key: event_id
        for key, event_id in first.items()
        if all(other.get(key) == event_id for other in others)
    }
    conflicted = {
        event_id
        for state_set in state_sets
        for key, event_id in state_set.items()
        if key not in unconflicted
    }
    return unconflicted, conflicted


async def _resolve(
    unconflicted: Mapping[StateKey, str],
    full_conflicted: Collection[str],
    base: Mapping[StateKey, str],
    loader: EventLoader,
) -> dict[StateKey, str]:
    """The algorithm that both versions share; `base` is the state on which events are replayed."""
    loaded = await loader.events(full_conflicted)
    events = {id: event for id, event in loaded.items() if event.is_state}
    replay = await _prepare(events, base, loader)
    power_events = _with_auth_events(filter(_is_power_event, events.values()), events)
    replay.apply(reverse_topological_power_order(power_events, replay.known, replay.create))
    power_ids = {event.event_id for event in power_events}
    rest = [event for event_id, event in events.items() if event_id not in power_ids]
    power_levels_id = replay.state.get((EventTypes.POWER_LEVELS, ""))
    replay.apply(await mainline_order(rest, power_levels_id, loader))
    return {**replay.state, **unconflicted}


def _is_power_event(event: Event) -> bool:
    if event.type in (EventTypes.POWER_LEVELS, EventTypes.JOIN_RULES):
        return event.state_key == ""
    return (
        event.membership in (Membership.LEAVE, Membership.BAN) and event.sender != event.state_key
    )


def _with_auth_events(start: Iterable[Event], within: Mapping[str, Event]) -> list[Event]:
    """The events and what of their auth chains is reached inside the full conflicted set.

    Walking only inside the set is how other servers read the specification.
    """
    pending = list(start)
    found = {event.event_id: event for event in pending}
    while pending:
        for auth_id in pending.pop().auth_event_ids:
            if auth_id in within and auth_id not in found:
                found[auth_id] = within[auth_id]
                pending.append(within[auth_id])
    return list(found.values())


@attrs.define
class _Replay:
    """The iterative auth checks: a state, and the events at hand to authorise with."""

    state: dict[StateKey, str]
    known: dict[str, Event]
    create: Event | None
    """m.room.create where room ids come from it and it is thus no auth event."""

    def apply(self, events: Iterable[Event]) -> None:
        """Set each event that the state so far allows."""
        for event in events:
            try:
                check_state_dependent_auth(event, self._auth_state(event))
            except ForbiddenError:
                continue
            self.state[event.state_tuple] = event.event_id
            self.known[event.event_id] = event

    def _auth_state(self, event: Event) -> dict[StateKey, Event]:
        """The state so far, completed by the event's own auth events that are not rejected."""
        state = {
            key: auth_event
            for key, auth_event in auth_state_of(event, self.known, self.create).items()
            if auth_event.metadata.rejected_reason is None
        }
        for key in _auth_keys(event):
            event_id = self.state.get(key)
            if event_id is not None and event_id in self.known:
                state[key] = self.known[event_id]
        return state


def _auth_keys(event: Event) -> set[StateKey]:
    keys = auth_types_for_event(
        event.room_version, event.type, event.sender, event.state_key, event.content
    )
    keys.add(_CREATE)
    return keys


async def _prepare(
    events: Mapping[str, Event], base: Mapping[StateKey, str], loader: EventLoader
) -> _Replay:
    """Load at once all that the checks of these events will look at."""
    wanted = {auth_id for event in events.values() for auth_id in event.auth_event_ids}
    for event in events.values():
        wanted.update(base[key] for key in _auth_keys(event) if key in base)
    create_id = _create_id(events.values())
    if create_id is not None:
        wanted.add(create_id)
    known = {**events, **await loader.events(wanted.difference(events))}
    create = None if create_id is None else known.get(create_id)
    return _Replay(dict(base), known, create)


def _create_id(events: Iterable[Event]) -> str | None:
    """The id of m.room.create if the room id tells it."""
    event = next(iter(events), None)
    if event is None or not event.room_version.room_id_from_create_event:
        return None
    return "$" + event.room_id[1:]
