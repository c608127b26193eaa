"""All cached reads of one store, by name."""

from __future__ import annotations

from typing import Any

from .budget import MemoryBudget
from .cached import CachedMethod, CachedRead


class CacheRegistry:
    """What a store owns as `self.caches`: its cached reads, and their limit in bytes together.

    `factor` multiplies the number of entries that each cache may hold.
    """

    def __init__(self, total_bytes: int, factor: float = 1.0) -> None:
        self.budget = MemoryBudget(total_bytes)
        self.factor = factor
        self._methods: dict[str, CachedMethod[Any, Any]] = {}

    def add(self, method: CachedMethod[Any, Any]) -> None:
        """Register a cached read. Raises ValueError when its name is taken."""
        if method.name in self._methods:
            raise ValueError(f"There are two cached reads named {method.name}")
        self._methods[method.name] = method

    def build_all(self, instance: object) -> None:
        """Create the cached reads of every class that the store is made of."""
        seen: set[str] = set()
        for cls in type(instance).__mro__:
            for name, attribute in vars(cls).items():
                if name not in seen and isinstance(attribute, CachedRead):
                    getattr(instance, name)
                seen.add(name)

    def get(self, name: str) -> CachedMethod[Any, Any] | None:
        """The cached read of this name, or None when this store has none."""
        return self._methods.get(name)

    def names(self) -> list[str]:
        """The names of all cached reads, sorted."""
        return sorted(self._methods)

    @property
    def size_bytes(self) -> int:
        """The estimated bytes of all caches together."""
        return self.budget.used

    def invalidate_all(self) -> None:
        """Forget everything. Reads that have begun are not kept."""
        for method in self._methods.values():
            method.invalidate_all()
