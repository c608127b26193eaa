"""A dictionary whose entries live for a fixed time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..clock import Clock
from ..metrics import track_cache
from .missing import MISSING, Missing

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """A mapping bounded by age and by number; entries expire without a timer.

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
    ) -> None:
        self.name = name
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.size_bytes = 0  # values are not weighed
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._max_entries = max_entries
        self._refresh_on_use = refresh_on_use
        # All live equally long, so that the order of beginning is the order of expiry.
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        track_cache(self)

    def get(self, key: K) -> V | Missing:
        """The value, or MISSING."""
        now = self._remove_expired()
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return MISSING
        self.hits += 1
        if self._refresh_on_use:
            self._entries[key] = (entry[0], now)
            self._entries.move_to_end(key)
        return entry[0]

    def set(self, key: K, value: V) -> None:
        """Put a value in; its life begins now."""
        self._entries[key] = (value, self._remove_expired())
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
            self.evictions += 1

    def pop(self, key: K) -> V | Missing:
        """Take a value out; MISSING when it is not there."""
        self._remove_expired()
        entry = self._entries.pop(key, None)
        return MISSING if entry is None else entry[0]

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()

    def __contains__(self, key: K) -> bool:
        self._remove_expired()
        return key in self._entries

    def __len__(self) -> int:
        self._remove_expired()
        return len(self._entries)

    def _remove_expired(self) -> int:
        """Remove what has expired. Returns the time, in ms."""
        now = self._clock.time_ms()
        while self._entries:
            _, since = next(iter(self._entries.values()))
            if now - since < self._max_age_ms:
                break
            self._entries.popitem(last=False)
        return now
