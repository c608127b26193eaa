"""Tokens with which a client that is logged in lets another one in (`m.login.token`)."""

from __future__ import annotations

from ..api.errors import LimitExceededError, UnrecognizedError
from ..config import Config
from ..server import Homeserver
from ..storage.access_tokens import hash_token
from ..storage.short_tokens import LoginTokensStore
from ..types.requester import Requester
from ..util.json import JsonDict
from ..util.ratelimiter import Ratelimiter
from .access_tokens import LOGIN_PREFIX, make_token


def hands_out_login_tokens(config: Config) -> bool:
    """Whether users can get login tokens: enabled, and with a way to approve that."""
    password = config.password.enabled and config.password.localdb_enabled
    options = config.existing_session
    return options.enabled and (password or not options.require_ui_auth)


class LoginTokenHandler:
    """Hands out login tokens, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(LoginTokensStore)
        self._is_enabled = hands_out_login_tokens(hs.config)
        self.needs_approval = hs.config.existing_session.require_ui_auth
        self._timeout_ms = hs.config.existing_session.token_timeout
        limit = hs.config.ratelimiting.rc_login.token
        self._limiter = Ratelimiter(hs.clock, limit.per_second, limit.burst_count)
        self._clock = hs.clock

    def check(self, requester: Requester) -> None:
        """Raise UnrecognizedError where there are no such tokens; LimitExceededError.

        Counts nothing, so that the user is not asked for the password in vain.
        """
        if not self._is_enabled:
            raise UnrecognizedError("This server hands out no login tokens")
        self._limit(requester, update=False)

    async def issue(self, requester: Requester) -> JsonDict:
        """A token, as the client gets it. Raises LimitExceededError."""
        self._limit(requester, update=True)
        token = make_token(LOGIN_PREFIX)
        await self._store.add_login_token(
            requester.user_id, hash_token(token), self._clock.time_ms() + self._timeout_ms
        )
        return {"login_token": token, "expires_in_ms": self._timeout_ms}

    def _limit(self, requester: Requester, *, update: bool) -> None:
        retry_after_ms = self._limiter.check(requester.user_id, update=update)
        if retry_after_ms:
            raise LimitExceededError(retry_after_ms=retry_after_ms)
