"""How often something may be done for a key: a bucket that fills at a steady rate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

from .clock import Clock

_TOLERANCE = 1e-6
"""Seconds that rounding may add up to."""

_LONGEST_INTERVAL = 86_400.0
"""Seconds between actions where the rate is 0: a day, so that the answer is still a number."""


class Ratelimiter:
    """Allows `burst_count` actions at once for each key, and `per_second` on average.

    A rate of 0 counts as one action a day. Holds at most `max_keys` keys: when there are
    more, those longest untouched begin anew.
    """

    def __init__(
        self, clock: Clock, per_second: float, burst_count: float, *, max_keys: int = 100_000
    ) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst_count = burst_count
        self._max_keys = max_keys
        # When the bucket of a key is full again: seconds on a time of our own, which begins at 0
        # for the sake of precision and never goes back.
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()
        self._last_seen = clock.time()
        self._now = 0.0

    def check(
        self,
        key: Hashable,
        n: int = 1,
        *,
        per_second: float | None = None,
        burst_count: float | None = None,
        update: bool = True,
    ) -> int:
        """Do `n` actions for a key if they are allowed now.

        Returns 0 when they are; otherwise after how many ms to try again, and nothing is counted.
        `per_second` and `burst_count` replace the limits for this key; `update=False` only asks.
        """
        rate = self._per_second if per_second is None else per_second
        burst = self._burst_count if burst_count is None else burst_count
        interval = 1 / rate if rate > 0 else _LONGEST_INTERVAL
        now = self._advance()
        full_at = max(self._full_at.get(key, now), now) + n * interval
        wait = full_at - now - burst * interval
        if wait > _TOLERANCE:
            return max(1, math.ceil((wait - _TOLERANCE) * 1000))
        if update and n > 0:
            self._note(key, full_at)
        return 0

    def __len__(self) -> int:
        return len(self._full_at)

    def _advance(self) -> float:
        seen = self._clock.time()
        self._now += max(0.0, seen - self._last_seen)
        self._last_seen = seen
        return self._now

    def _note(self, key: Hashable, full_at: float) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        # Two for each one that comes in: buckets that are full again do not pile up.
        for _ in range(2):
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > self._now:
                break
            del self._full_at[oldest]
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
