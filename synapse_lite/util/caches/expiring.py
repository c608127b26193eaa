"""A dictionary whose entries live for a fixed time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..clock import Clock
from .budget import BudgetedCache, MemoryBudget
from .missing import MISSING, Missing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ENTRY_BYTES = 600
"""A key of two ids or three, a value as long as an event id, and their places."""


class ExpiringCache(BudgetedCache, Generic[K, V]):
    """A mapping bounded by age, by number and, with a `budget`, by the memory of all caches.

    Entries expire without a timer. They weigh the same, whatever the values are.

    An entry lives for `max_age_ms` after it was set or, with `refresh_on_use`, last read. What has
    expired is never answered, and is removed by whatever is done next.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        max_age_ms: int,
        max_entries: int,
        *,
        refresh_on_use: bool = False,
        budget: MemoryBudget | None = None,
    ) -> None:
        super().__init__(name, budget)
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._max_entries = max_entries
        self._refresh_on_use = refresh_on_use
        # All live equally long, so that the order of beginning is the order of expiry.
        # Each with its time in ms, and the tick of the budget at that time.
        self._entries: OrderedDict[K, tuple[V, int, int]] = OrderedDict()

    def get(self, key: K) -> V | Missing:
        """The value, or MISSING."""
        now = self._remove_expired()
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return MISSING
        self.hits += 1
        if self._refresh_on_use:
            self._entries[key] = (entry[0], now, self.budget.tick)
            self._entries.move_to_end(key)
        return entry[0]

    def set(self, key: K, value: V) -> None:
        """Put a value in; its life begins now."""
        now = self._remove_expired()
        if key not in self._entries:
            self._resize(_ENTRY_BYTES)
        self._entries[key] = (value, now, self.budget.tick)
        self._entries.move_to_end(key)
        self.budget.tick += 1
        while len(self._entries) > self._max_entries:
            self.evict_oldest()
        self.budget.shrink()

    def pop(self, key: K) -> V | Missing:
        """Take a value out; MISSING when it is not there."""
        self._remove_expired()
        entry = self._entries.pop(key, None)
        if entry is None:
            return MISSING
        self._resize(-_ENTRY_BYTES)
        return entry[0]

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._resize(-self.size_bytes)

    def __contains__(self, key: K) -> bool:
        self._remove_expired()
        return key in self._entries

    def __len__(self) -> int:
        self._remove_expired()
        return len(self._entries)

    def oldest_use(self) -> int | None:
        """The tick at which the entry that would expire first was set or read."""
        return next(iter(self._entries.values()))[2] if self._entries else None

    def evict_oldest(self) -> None:
        """Drop that entry."""
        self._entries.popitem(last=False)
        self._resize(-_ENTRY_BYTES)
        self.evictions += 1

    def _remove_expired(self) -> int:
        """Remove what has expired. Returns the time, in ms."""
        now = self._clock.time_ms()
        while self._entries:
            _, since, _ = next(iter(self._entries.values()))
            if now - since < self._max_age_ms:
                break
            self._entries.popitem(last=False)
            self._resize(-_ENTRY_BYTES)
        return now
