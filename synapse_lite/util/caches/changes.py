"""What has changed since a position of a stream, answered without a query."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection

from .budget import BudgetedCache, MemoryBudget

_ENTITY_BYTES = 460
"""The name of an entity, its place, and nearly always a position of its own."""


class StreamChangeCache(BudgetedCache):
    """The last position at which each entity (a user, a room) changed.

    Every change after `earliest_known` is in it. Asked about an older position it answers that
    anything may have changed: it may say "yes" wrongly, never "no". Positions may arrive in any
    order, and several entities may change at one.

    Bounded by the `budget` that it shares with other caches, and by `max_entries`: what a change
    costs grows a little with their number.
    """

    def __init__(
        self,
        name: str,
        earliest_known: int,
        max_entries: int,
        budget: MemoryBudget | None = None,
    ) -> None:
        super().__init__(name, budget)
        self.earliest_known = earliest_known
        self._max_entries = max_entries
        self._last_change: dict[str, int] = {}
        self._at: dict[int, set[str]] = {}
        self._positions: list[int] = []
        # The tick of the budget when the first entity was noted at a position.
        self._ticks: dict[int, int] = {}

    def __len__(self) -> int:
        """How many entities have changed."""
        return len(self._last_change)

    def entity_changed(self, entity: str, pos: int) -> None:
        """Note that an entity changed at a position."""
        if pos <= self.earliest_known:
            return
        last = self._last_change.get(entity)
        if last is None:
            self._resize(_ENTITY_BYTES)
        elif last >= pos:
            return
        else:
            self._forget(entity, last)
        self._last_change[entity] = pos
        entities = self._at.get(pos)
        if entities is None:
            self._at[pos] = {entity}
            self._ticks[pos] = self.budget.tick
            self.budget.tick += 1
            insort(self._positions, pos)
        else:
            entities.add(entity)
        while len(self._last_change) > self._max_entries:
            self.evict_oldest()
        self.budget.shrink()

    def _forget(self, entity: str, last: int) -> None:
        entities = self._at[last]
        entities.discard(entity)
        if not entities:
            del self._at[last], self._ticks[last]
            del self._positions[bisect_left(self._positions, last)]

    def oldest_use(self) -> int | None:
        """The tick at which something changed at the oldest position; None without any."""
        return self._ticks[self._positions[0]] if self._positions else None

    def evict_oldest(self) -> None:
        """Forget all that changed at the oldest position, which is the end of what is known."""
        oldest = self._positions.pop(0)
        entities = self._at.pop(oldest)
        del self._ticks[oldest]
        for entity in entities:
            del self._last_change[entity]
        self._resize(-_ENTITY_BYTES * len(entities))
        self.evictions += len(entities)
        self.earliest_known = oldest

    def _knows(self, pos: int) -> bool:
        if pos < self.earliest_known:
            self.misses += 1
            return False
        self.hits += 1
        return True

    def has_changed(self, entity: str, pos: int) -> bool:
        """Whether the entity may have changed after a position."""
        if not self._knows(pos):
            return True
        last = self._last_change.get(entity)
        return last is not None and last > pos

    def changed_among(self, entities: Collection[str], pos: int) -> set[str]:
        """Those of some entities that may have changed after a position."""
        if not self._knows(pos):
            return set(entities)
        if not self._positions or self._positions[-1] <= pos:
            return set()
        last_change = self._last_change
        return {entity for entity in entities if last_change.get(entity, pos) > pos}

    def all_changed_since(self, pos: int) -> list[str] | None:
        """All that changed after a position, least recently changed first.

        None when the position is older than what is known.
        """
        if not self._knows(pos):
            return None
        first = bisect_right(self._positions, pos)
        return [entity for position in self._positions[first:] for entity in self._at[position]]

    def any_changed(self, pos: int) -> bool:
        """Whether anything may have changed after a position."""
        if not self._knows(pos):
            return True
        return bool(self._positions) and self._positions[-1] > pos

    def latest_change_of(self, entity: str) -> int | None:
        """Where the entity changed last; None when that was not after `earliest_known`."""
        return self._last_change.get(entity)

    def reset(self, earliest_known: int) -> None:
        """Forget everything and know only what comes after a position."""
        self._last_change.clear()
        self._at.clear()
        self._positions.clear()
        self._ticks.clear()
        self._resize(-self.size_bytes)
        self.earliest_known = earliest_known
