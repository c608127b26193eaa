"""Answers that several requests share while they are made, and for a while after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from ..async_helpers import SharedCall
from ..clock import Clock
from .budget import MemoryBudget
from .expiring import ExpiringCache
from .missing import MISSING

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ResponseCache(Generic[K, V]):
    """Shares a call among all who ask for its key, and keeps its result for `ttl_ms`.

    With `ttl_ms` 0 only calls under way are shared. Failures reach all who wait and are not kept.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        ttl_ms: int = 0,
        *,
        max_entries: int = 1000,
        budget: MemoryBudget | None = None,
    ) -> None:
        self._calls: SharedCall[K, V] = SharedCall()
        self._kept: ExpiringCache[K, V] = ExpiringCache(
            clock, name, ttl_ms, max_entries, budget=budget
        )

    async def get(self, key: K, fn: Callable[[], Awaitable[V]]) -> V:
        """The answer that is kept or being made for a key, else that of `fn()`."""
        kept = self._kept.get(key)
        if kept is not MISSING:
            return kept
        return await self._calls.get(key, lambda: self._make(key, fn))

    async def _make(self, key: K, fn: Callable[[], Awaitable[V]]) -> V:
        value = await fn()
        self._kept.set(key, value)
        return value

    def forget(self, key: K) -> None:
        """Drop the answer that is kept for a key."""
        self._kept.pop(key)
