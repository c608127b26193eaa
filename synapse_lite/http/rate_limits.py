"""The rate limits that endpoints name, each one bucket per user or address."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..api.errors import LimitExceededError
from ..config.ratelimiting import RateLimit
from ..server import Homeserver
from ..util.ratelimiter import Ratelimiter


class RateLimits:
    """Part: the ratelimiters of this process by the name of their option."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._config = hs.config.ratelimiting
        self._limiters: dict[str, Ratelimiter] = {}

    def checker(self, name: str) -> Callable[[str], None]:
        """A function that takes a key and raises LimitExceededError once its bucket is empty.

        `name` is an option of the section, dotted where it is nested (`rc_login.address`). Raises
        LookupError for a name that is not configured.
        """
        limiter = self._limiter(name)

        def check(key: str) -> None:
            retry_after_ms = limiter.check(key)
            if retry_after_ms > 0:
                raise LimitExceededError(retry_after_ms=retry_after_ms)

        return check

    def _limiter(self, name: str) -> Ratelimiter:
        if name not in self._limiters:
            value: object = self._config
            for attribute in name.split("."):
                value = getattr(value, attribute, None)
            if not isinstance(value, RateLimit):
                raise LookupError(f"There is no rate limit {name}")
            self._limiters[name] = Ratelimiter(
                self._clock, value.per_second, math.ceil(value.burst_count)
            )
        return self._limiters[name]
