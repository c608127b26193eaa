"""Cached reads that no other stream's rows make stale."""

from __future__ import annotations

from typing import Any

from ._base import Counter, Query, Stream, row


@row
class CacheRow:
    """One entry of a cached read is stale; `keys` null means all of its entries."""

    cache_func: str
    keys: list[Any] | None
    invalidation_ts: int


CACHES = Stream(
    name="caches",
    says="An entry of a cached read is stale.",
    row=CacheRow,
    counter=Counter("caches", "cache_invalidation_stream"),
    rows=Query("get_cache_rows"),
)
