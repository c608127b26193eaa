"""The memory that the caches of one store share."""

from __future__ import annotations

import heapq
from typing import Protocol


class Evictable(Protocol):
    """A cache that can give up entries, least recently used first."""

    def oldest_use(self) -> int | None:
        """The tick at which its least recently used entry was used; None when it is empty."""

    def evict_oldest(self) -> None:
        """Drop that entry."""


class MemoryBudget:
    """A limit in bytes on what several caches hold together.

    `tick` is a clock that moves with each insertion. A cache notes it in the entries that it
    answers from, so that the least recently used entry of all caches can be found.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.tick = 0
        self._caches: list[Evictable] = []

    def join(self, cache: Evictable) -> None:
        """Count a cache in."""
        self._caches.append(cache)

    def shrink(self) -> None:
        """When more than the limit is used, evict from the cache unused longest.

        Goes 1/32 below the limit, so that the search among the caches is rare.
        """
        if self.used <= self.limit:
            return
        target = self.limit - self.limit // 32
        candidates: list[tuple[int, int]] = []
        for index, cache in enumerate(self._caches):
            oldest = cache.oldest_use()
            if oldest is not None:
                candidates.append((oldest, index))
        heapq.heapify(candidates)
        while self.used > target and candidates:
            _, index = candidates[0]
            self._caches[index].evict_oldest()
            oldest = self._caches[index].oldest_use()
            if oldest is None:
                heapq.heappop(candidates)
            else:
                heapq.heapreplace(candidates, (oldest, index))
