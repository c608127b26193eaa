"""State resolution version 1 (room version 1, "State resolution")."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from ...api.constants import EventTypes
from ...api.errors import ForbiddenError
from ..auth.check import check_state_dependent_auth
from ..auth.selection import auth_types_for_event
from ..event import Event, StateKey
from .loader import EventLoader

_AUTH_PASSES = (EventTypes.POWER_LEVELS, EventTypes.JOIN_RULES, EventTypes.MEMBER)


async def resolve_v1(
    state_sets: Sequence[Mapping[StateKey, str]], loader: EventLoader
) -> dict[StateKey, str]:
    """Resolve different states by the algorithm of room version 1."""
    resolved, conflicts = _split(state_sets)
    events = await loader.events({id for ids in conflicts.values() for id in ids})
    candidates = {key: [events[id] for id in ids if id in events] for key, ids in conflicts.items()}
    state = await _auth_state(resolved, events.values(), loader)
    for event_type in _AUTH_PASSES:
        chosen = {
            key: _resolve_auth_conflict(key, found, state)
            for key, found in candidates.items()
            if key[0] == event_type and found
        }
        # Only now, so that the conflicts of one pass do not depend on each other's order.
        state.update(chosen)
        resolved.update({key: event.event_id for key, event in chosen.items()})
    for key, found in candidates.items():
        if key[0] not in _AUTH_PASSES and found:
            resolved[key] = _resolve_other_conflict(found, state).event_id
    return resolved


def _split(
    state_sets: Sequence[Mapping[StateKey, str]],
) -> tuple[dict[StateKey, str], dict[StateKey, set[str]]]:
    """What no two states disagree about, and the ids of each key that they disagree about.

    A key that a state lacks is no disagreement here.
    """
    ids: dict[StateKey, set[str]] = {}
    for state_set in state_sets:
        for key, event_id in state_set.items():
            ids.setdefault(key, set()).add(event_id)
    agreed = {key: next(iter(found)) for key, found in ids.items() if len(found) == 1}
    return agreed, {key: found for key, found in ids.items() if len(found) > 1}


async def _auth_state(
    resolved: Mapping[StateKey, str], events: Collection[Event], loader: EventLoader
) -> dict[StateKey, Event]:
    """The agreed state events that authorising the events takes."""
    wanted = {
        key
        for event in events
        for key in auth_types_for_event(
            event.room_version, event.type, event.sender, event.state_key, event.content
        )
    }
    found = await loader.events({resolved[key] for key in wanted if key in resolved})
    return {event.state_tuple: event for event in found.values()}


def _oldest_first(events: Collection[Event]) -> list[Event]:
    """By ascending depth, then descending SHA-1 of the event id."""
    by_hash = sorted(events, key=lambda event: _hash(event.event_id), reverse=True)
    return sorted(by_hash, key=lambda event: event.depth)


def _hash(event_id: str) -> str:
    return hashlib.sha1(event_id.encode("utf-8"), usedforsecurity=False).hexdigest()


def _resolve_auth_conflict(
    key: StateKey, candidates: Collection[Event], state: Mapping[StateKey, Event]
) -> Event:
    """Follow the candidates from the oldest on, as long as each allows the next."""
    ordered = _oldest_first(candidates)
    chosen = ordered[0]
    for event in ordered[1:]:
        if not _is_allowed(event, {**state, key: chosen}):
            break
        chosen = event
    return chosen


def _resolve_other_conflict(
    candidates: Collection[Event], state: Mapping[StateKey, Event]
) -> Event:
    """The newest candidate that is allowed.

    When none is, the specification is silent, and the oldest is taken as other servers do.
    """
    ordered = _oldest_first(candidates)
    return next((event for event in reversed(ordered) if _is_allowed(event, state)), ordered[0])


def _is_allowed(event: Event, state: Mapping[StateKey, Event]) -> bool:
    try:
        check_state_dependent_auth(event, state)
    except ForbiddenError:
        return False
    return True
