"""The two orders in which state resolution 2 replays events."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from ...api.constants import EventTypes
from ..auth.power_levels import PowerLevels
from ..event import Event, StateKey
from .loader import EventLoader

_POWER_LEVELS: StateKey = (EventTypes.POWER_LEVELS, "")
_CREATE: StateKey = (EventTypes.CREATE, "")


def auth_state_of(
    event: Event, known: Mapping[str, Event], create: Event | None
) -> dict[StateKey, Event]:
    """The auth events of an event as a state, with m.room.create where it is no auth event."""
    state = {
        auth_event.state_tuple: auth_event
        for auth_event in (known.get(event_id) for event_id in event.auth_event_ids)
        if auth_event is not None and auth_event.is_state
    }
    if create is not None:
        state.setdefault(_CREATE, create)
    return state


def reverse_topological_power_order(
    events: Collection[Event], known: Mapping[str, Event], create: Event | None
) -> list[Event]:
    """Auth events before those that they authorise; else greater power, then earlier time first.

    "Reverse topological power ordering": Kahn's algorithm with a heap of what could come next.
    `known` holds the auth events of all events.
    """
    by_id = {event.event_id: event for event in events}
    missing: dict[str, int] = {}
    citing: dict[str, list[str]] = {}
    for event in by_id.values():
        within = {auth_id for auth_id in event.auth_event_ids if auth_id in by_id}
        missing[event.event_id] = len(within)
        for auth_id in within:
            citing.setdefault(auth_id, []).append(event.event_id)
    rank = {
        event.event_id: (-_sender_level(event, known, create), event.origin_server_ts, event_id)
        for event_id, event in by_id.items()
    }
    ready = [rank[event_id] for event_id, count in missing.items() if not count]
    heapq.heapify(ready)
    ordered = []
    while ready:
        event_id = heapq.heappop(ready)[2]
        ordered.append(by_id[event_id])
        for citing_id in citing.get(event_id, ()):
            missing[citing_id] -= 1
            if not missing[citing_id]:
                heapq.heappush(ready, rank[citing_id])
    return ordered


def _sender_level(event: Event, known: Mapping[str, Event], create: Event | None) -> int:
    state = auth_state_of(event, known, create)
    return PowerLevels.of_state(state, event.room_version).of_user(event.sender)


async def mainline_order(
    events: Collection[Event], power_levels_id: str | None, loader: EventLoader
) -> list[Event]:
    """Events by how early in the history of power levels they hang, then by time.

    `power_levels_id` is the current m.room.power_levels, whose mainline is taken.
    """
    parents = _PowerLevelParents(loader)
    position: dict[str, float] = {}
    event_id = power_levels_id
    while event_id is not None and event_id not in position:
        position[event_id] = len(position)
        event_id = await parents.of_id(event_id)
    placed = [(await _mainline_position(event, position, parents), event) for event in events]
    placed.sort(key=lambda entry: (-entry[0], entry[1].origin_server_ts, entry[1].event_id))
    return [event for _, event in placed]


async def _mainline_position(
    event: Event, position: dict[str, float], parents: _PowerLevelParents
) -> float:
    """The position of the nearest m.room.power_levels on the mainline; infinite if there is none.

    What is found is noted for the events on the way.
    """
    passed = []
    event_id = await parents.of_event(event)
    while event_id is not None and event_id not in position:
        passed.append(event_id)
        position[event_id] = float("inf")
        event_id = await parents.of_id(event_id)
    found = float("inf") if event_id is None else position[event_id]
    for passed_id in passed:
        position[passed_id] = found
    return found


class _PowerLevelParents:
    """The m.room.power_levels among the auth events of an event; remembers what was asked."""

    def __init__(self, loader: EventLoader) -> None:
        self._loader = loader
        self._known: dict[str, Event] = {}

    async def of_id(self, event_id: str) -> str | None:
        events = await self._load((event_id,))
        return await self.of_event(events[0]) if events else None

    async def of_event(self, event: Event) -> str | None:
        for auth_event in await self._load(event.auth_event_ids):
            if auth_event.is_state and auth_event.state_tuple == _POWER_LEVELS:
                return auth_event.event_id
        return None

    async def _load(self, event_ids: Collection[str]) -> list[Event]:
        missing = [event_id for event_id in event_ids if event_id not in self._known]
        if missing:
            self._known.update(await self._loader.events(missing))
        return [self._known[event_id] for event_id in event_ids if event_id in self._known]
