"""The memory that the caches of one store share."""

from __future__ import annotations

import heapq
import sys
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol, TypeVar

from ..metrics import track_cache


class MemoryBudget:
    """A limit in bytes on what several caches hold together.

    `tick` is a clock that moves with each insertion. A cache notes it in the entries that it
    answers from, so that the least recently used entry of all caches can be found.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.tick = 0
        self._caches: list[BudgetedCache] = []

    def join(self, cache: BudgetedCache) -> None:
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


class BudgetedCache(ABC):
    """What counts its bytes in a budget, and is shown in the metrics. Without a budget it only
    counts.

    A subclass calls `_resize` for what comes and goes, moves the tick on when something comes, and
    calls `budget.shrink()` last: anything that it holds may be evicted then, and whenever another
    cache grows.
    """

    def __init__(self, name: str, budget: MemoryBudget | None) -> None:
        self.name = name
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self.size_bytes = 0
        self.budget = MemoryBudget(sys.maxsize) if budget is None else budget
        self.budget.join(self)
        track_cache(self)

    @abstractmethod
    def __len__(self) -> int:
        """How many entries it holds."""

    @abstractmethod
    def oldest_use(self) -> int | None:
        """The tick at which what would be evicted first was last used; None when it is empty."""

    @abstractmethod
    def evict_oldest(self) -> None:
        """Drop that."""

    def _resize(self, by: int) -> None:
        self.size_bytes += by
        self.budget.used += by


class Placed(Protocol):
    """What has a place in an order of use.

    `used` and `placed` are ticks of a budget: of the last use, and of the use that the place
    stands for.
    """

    used: int
    placed: int


K = TypeVar("K", bound=Hashable)
P = TypeVar("P", bound=Placed)


def first_to_go(entries: OrderedDict[K, P]) -> P | None:
    """The entry that was not used for longest, which is the first one then; None without any.

    Using an entry need only note when: it gets its new place here, when it would have been the
    next to go.
    """
    while entries:
        key, entry = next(iter(entries.items()))
        if entry.used == entry.placed:
            return entry
        entry.placed = entry.used
        entries.move_to_end(key)
    return None
