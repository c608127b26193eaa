"""The newest events of active rooms, by id, so that following a room needs no query.

What the rings know is exact: a room without a ring has had no event since `floor`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict

import attrs


@attrs.define
class _Ring:
    """Orderings and ids in step; complete for orderings above `floor`."""

    floor: int
    orderings: list[int] = attrs.field(factory=list)
    event_ids: list[str] = attrs.field(factory=list)


@attrs.frozen
class RingSlice:
    """Ids of the newest events of a range in rising order, with their positions.

    `limited`: there are more in the range.
    """

    orderings: list[int]
    event_ids: list[str]
    limited: bool


class TimelineRings:
    """One ring for each room that has had an event lately.

    At most `events_per_room` in one ring and `events_in_all` together; the room that was quiet
    for longest goes first, and then the floor of all rooms without a ring rises to its last event.
    """

    def __init__(self, events_per_room: int, events_in_all: int) -> None:
        self._events_per_room = events_per_room
        self._events_in_all = events_in_all
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self._count = 0
        self.floor = 0

    def reset(self, floor: int) -> None:
        """Nothing is known of what happened up to this position."""
        self._rings.clear()
        self._count = 0
        self.floor = floor

    def append(self, room_id: str, ordering: int, event_id: str) -> None:
        """A room has a new event; nearly always the newest of all."""
        ring = self._rings.get(room_id)
        if ordering <= (self.floor if ring is None else ring.floor):
            return
        if ring is None:
            ring = self._rings[room_id] = _Ring(self.floor)
        at = bisect_right(ring.orderings, ordering)
        if at and ring.orderings[at - 1] == ordering:
            return
        ring.orderings.insert(at, ordering)
        ring.event_ids.insert(at, event_id)
        self._count += 1
        self._rings.move_to_end(room_id)
        if len(ring.orderings) >= 2 * self._events_per_room:
            self._trim(ring)
        while self._count > self._events_in_all:
            self._evict()

    def _trim(self, ring: _Ring) -> None:
        """Drop the older half: cheaper than one by one."""
        drop = len(ring.orderings) - self._events_per_room
        ring.floor = ring.orderings[drop - 1]
        del ring.orderings[:drop], ring.event_ids[:drop]
        self._count -= drop

    def _evict(self) -> None:
        _, ring = self._rings.popitem(last=False)
        self.floor = max(self.floor, ring.orderings[-1])
        self._count -= len(ring.orderings)

    def since(self, room_id: str, low: int, high: int, limit: int) -> RingSlice | None:
        """The newest `limit` events with low < ordering <= high; None if the ring cannot tell."""
        ring = self._rings.get(room_id)
        if ring is None:
            return RingSlice([], [], limited=False) if low >= self.floor else None
        end = bisect_right(ring.orderings, high)
        start = bisect_right(ring.orderings, low, 0, end)
        limited = end - start > limit
        if not limited and low < ring.floor:
            return None
        start = max(start, end - limit)
        return RingSlice(ring.orderings[start:end], ring.event_ids[start:end], limited)
