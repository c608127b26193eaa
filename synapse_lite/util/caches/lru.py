"""A dictionary that forgets what has not been used for longest.

Using an entry only notes when: the entry gets its new place when it would have been the next to
go. That makes use cheap, and the order among entries nearly that of use ("second chance").
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator
from typing import Any, Generic, TypeVar

from .budget import BudgetedCache, MemoryBudget, first_to_go
from .missing import MISSING, Missing
from .sizes import ENTRY_BYTES, estimated_size

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Entry(Generic[V]):
    """A value in a cache. Awaiting it gives the value at once.

    `used` and `placed` are ticks of the budget: of the last use, and of the use that the entry's
    place in the order stands for.
    """

    __slots__ = ("placed", "size", "used", "value")

    def __init__(self, value: V, size: int, used: int) -> None:
        self.value = value
        self.size = size
        self.used = self.placed = used

    def __await__(self) -> Generator[Any, Any, V]:
        return self.value
        yield  # makes this a generator function, the cheapest awaitable


class LruCache(BudgetedCache, Generic[K, V]):
    """A bounded mapping.

    Bounded by `max_entries`, by `max_bytes`, or by the `budget` that it shares with other caches,
    or by several of them. `size_of` weighs a value in bytes. `on_drop` is called with each key
    that leaves, for whatever reason.
    """

    def __init__(
        self,
        name: str,
        *,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        size_of: Callable[[V], int] | None = None,
        budget: MemoryBudget | None = None,
        on_drop: Callable[[K], None] | None = None,
    ) -> None:
        if max_entries is None and max_bytes is None and budget is None:
            raise ValueError(f"The cache {name} has no bound")
        super().__init__(name, budget)
        self.entries: OrderedDict[K, Entry[V]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._size_of: Callable[[V], int] = size_of or estimated_size
        self._on_drop = on_drop

    def get(self, key: K) -> V | Missing:
        """The value, or MISSING; counted as a hit or a miss."""
        entry = self.entries.get(key)
        if entry is None:
            self.misses += 1
            return MISSING
        self.hits += 1
        entry.used = self.budget.tick
        return entry.value

    def peek(self, key: K) -> V | Missing:
        """The value, or MISSING, without any trace of the question."""
        entry = self.entries.get(key)
        return MISSING if entry is None else entry.value

    def set(self, key: K, value: V) -> Entry[V]:
        """Put a value in, evicting others where there is no room."""
        budget = self.budget
        size = ENTRY_BYTES + self._size_of(value)
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry(value, size, budget.tick)
            self._resize(size)
        else:
            self._resize(size - entry.size)
            entry.value, entry.size = value, size
            entry.used = entry.placed = budget.tick
            self.entries.move_to_end(key)
        budget.tick += 1  # so that a use from here on is later than this
        self._make_room()
        return entry

    def pop(self, key: K) -> V | Missing:
        """Take a value out; MISSING when it is not there."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return MISSING
        self._dropped(key, entry)
        return entry.value

    def clear(self) -> None:
        """Drop everything."""
        while self.entries:
            self._dropped(*self.entries.popitem())

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: K) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[K]:
        """The keys."""
        return iter(self.entries)

    def oldest_use(self) -> int | None:
        """The tick of the budget at which the first to go was last used; None when empty."""
        entry = first_to_go(self.entries)
        return None if entry is None else entry.used

    def evict_oldest(self) -> None:
        """Drop the entry that was not used for longest."""
        first_to_go(self.entries)
        self.evictions += 1
        self._dropped(*self.entries.popitem(last=False))

    def _make_room(self) -> None:
        if self._max_entries is not None:
            while len(self.entries) > self._max_entries:
                self.evict_oldest()
        if self._max_bytes is not None:
            while self.size_bytes > self._max_bytes:
                self.evict_oldest()
        self.budget.shrink()

    def _dropped(self, key: K, entry: Entry[V]) -> None:
        self._resize(-entry.size)
        if self._on_drop is not None:
            self._on_drop(key)
