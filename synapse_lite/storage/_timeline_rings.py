"""The newest events of active rooms, by id, so that following a room needs no query.

What the rings know is exact: a room without a ring has had no event since `floor`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict

import attrs

from ..util.caches.budget import BudgetedCache, MemoryBudget

_ROOM_BYTES = 420
_EVENT_BYTES = 145


@attrs.define
class _Ring:
    """Orderings and ids in step; complete for orderings above `floor`.

    `used` is the tick of the budget at the last event.
    """

    floor: int
    used: int = 0
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


class TimelineRings(BudgetedCache):
    """One ring for each room that has had an event lately, of its newest `events_per_room`.

    When the memory of all caches is short, the room that was quiet for longest goes first, and
    then the floor of all rooms without a ring rises to its last event.
    """

    def __init__(self, events_per_room: int, budget: MemoryBudget) -> None:
        super().__init__("timeline_rings", budget)
        self._events_per_room = events_per_room
        self._rings: OrderedDict[str, _Ring] = OrderedDict()
        self.floor = 0

    def reset(self, floor: int) -> None:
        """Nothing is known of what happened up to this position."""
        self._rings.clear()
        self._resize(-self.size_bytes)
        self.floor = floor

    def append(self, room_id: str, ordering: int, event_id: str) -> None:
        """A room has a new event; nearly always the newest of all."""
        ring = self._rings.get(room_id)
        if ordering <= (self.floor if ring is None else ring.floor):
            return
        if ring is None:
            ring = self._rings[room_id] = _Ring(self.floor)
            self._resize(_ROOM_BYTES)
        at = bisect_right(ring.orderings, ordering)
        if at and ring.orderings[at - 1] == ordering:
            return
        ring.orderings.insert(at, ordering)
        ring.event_ids.insert(at, event_id)
        self._resize(_EVENT_BYTES)
        self._rings.move_to_end(room_id)
        ring.used = self.budget.tick
        self.budget.tick += 1
        if len(ring.orderings) >= 2 * self._events_per_room:
            self._trim(ring)
        self.budget.shrink()

    def _trim(self, ring: _Ring) -> None:
        """Drop the older half: cheaper than one by one."""
        drop = len(ring.orderings) - self._events_per_room
        ring.floor = ring.orderings[drop - 1]
        del ring.orderings[:drop], ring.event_ids[:drop]
        self._resize(-drop * _EVENT_BYTES)

    def __len__(self) -> int:
        """How many rooms have a ring."""
        return len(self._rings)

    def oldest_use(self) -> int | None:
        """The tick at which the quietest room had its last event; asking for it is no use."""
        return next(iter(self._rings.values())).used if self._rings else None

    def evict_oldest(self) -> None:
        """Drop the ring of that room."""
        _, ring = self._rings.popitem(last=False)
        self.floor = max(self.floor, ring.orderings[-1])
        self._resize(-_ROOM_BYTES - _EVENT_BYTES * len(ring.orderings))
        self.evictions += 1

    def since(self, room_id: str, low: int, high: int, limit: int) -> RingSlice | None:
        """The newest `limit` events with low < ordering <= high; None if the ring cannot tell."""
        found = self._find(room_id, low, high, limit)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def _find(self, room_id: str, low: int, high: int, limit: int) -> RingSlice | None:
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
