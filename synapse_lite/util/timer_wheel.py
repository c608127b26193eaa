"""Times at which something is due, for many keys at once: one timer instead of one for each key."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class TimerWheel(Generic[K]):
    """Keys in buckets by when they are due. Setting a key, and taking what is due, cost O(1) each.

    A key is due at the end of the bucket that its time lies in: never too early, and late by less
    than a bucket, plus the time until somebody asks.
    """

    def __init__(self, bucket_ms: int) -> None:
        self._bucket_ms = bucket_ms
        self._bucket_of: dict[K, int] = {}
        self._buckets: dict[int, dict[K, None]] = {}

    def __len__(self) -> int:
        return len(self._bucket_of)

    def set(self, key: K, due_ms: int) -> None:
        """The key is due then, and not when it was due before."""
        bucket = due_ms // self._bucket_ms + 1
        if self._bucket_of.get(key) == bucket:
            return
        self.discard(key)
        self._bucket_of[key] = bucket
        self._buckets.setdefault(bucket, {})[key] = None

    def discard(self, key: K) -> None:
        """The key is not due any more."""
        bucket = self._bucket_of.pop(key, None)
        if bucket is None:
            return
        keys = self._buckets[bucket]
        del keys[key]
        if not keys:
            del self._buckets[bucket]

    def take_due(self, now_ms: int) -> list[K]:
        """The keys that are due at a time, earliest first; they are forgotten."""
        current = now_ms // self._bucket_ms
        due: list[K] = []
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= current):
            keys = self._buckets.pop(bucket)
            due.extend(keys)
            for key in keys:
                del self._bucket_of[key]
        return due
