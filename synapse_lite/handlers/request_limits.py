"""Limits on what one user may do, counted where the user does it."""

from __future__ import annotations

from ..http.authenticator import Authenticator
from ..http.rate_limits import RateLimits
from ..server import Homeserver
from ..types.requester import Requester


class RequestLimits:
    """The limits of the configuration, with the exemptions of some requesters."""

    def __init__(self, hs: Homeserver) -> None:
        self._limits = hs.part(RateLimits)
        self._authenticator = hs.part(Authenticator)

    def check(self, requester: Requester, limit: str, key: str | None = None) -> None:
        """Count one action against a limit, by user unless another key is given.

        `limit` is an option's name, dotted where it is nested. Raises LimitExceededError.
        """
        if self._authenticator.is_rate_limited(requester):
            self._limits.checker(limit)(requester.user_id if key is None else key)
