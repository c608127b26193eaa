"""Sessions of clients: the tokens that a log-in gets, and how they are renewed."""

from __future__ import annotations

import random
import string

import attrs

from ..api.errors import UnknownTokenError
from ..http.rate_limits import RateLimits
from ..replication.token_confirmation import TokenConfirmation
from ..server import Homeserver
from ..storage.access_tokens import hash_token
from ..storage.devices import NewLogin
from ..storage.refresh_tokens import (
    NewRefreshToken,
    NewTokens,
    RefreshToken,
    RefreshTokensStore,
)
from ..storage.registration import RegistrationWorkerStore
from ..util.json import JsonDict
from .access_tokens import REFRESH_PREFIX, make_access_token, make_token, may_be_token
from .account_state import check_usable

MAX_DEVICE_ID_BYTES = 255
MAX_DEVICE_NAME_BYTES = 400


@attrs.frozen
class DeviceChoice:
    """The device that a client wants to be; one is made up where it names none.

    `ip` and `user_agent` are those of the request.
    """

    device_id: str | None = None
    display_name: str | None = None
    ip: str = ""
    user_agent: str = ""
    can_refresh: bool = False


class Sessions:
    """Begins sessions and lets them go on, on the master. All lifetimes are in ms."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RefreshTokensStore)
        self._users = hs.part(RegistrationWorkerStore)
        self._limit = hs.part(RateLimits).checker("rc_refresh")
        self._config = hs.config.sessions
        self._clock = hs.clock

    def new_login(self, device: DeviceChoice) -> NewLogin:
        """The device with fresh tokens."""
        device_id = device.device_id or "".join(random.choices(string.ascii_uppercase, k=10))
        login = NewLogin(
            device_id, device.display_name, make_access_token(), device.ip, device.user_agent
        )
        session_ends_ts = self._until(self._config.session_lifetime)
        if not device.can_refresh:
            lifetime = self._config.nonrefreshable_access_token_lifetime
            return attrs.evolve(login, expires_ts=self._until(lifetime, session_ends_ts))
        tokens = self._new_tokens(session_ends_ts)
        return attrs.evolve(
            login,
            token=tokens.access_token,
            expires_ts=tokens.expires_ts,
            refresh=tokens.refresh,
        )

    def tokens_of(self, login: NewLogin) -> JsonDict:
        """What a client is told of the tokens of its log-in."""
        return self._answer(login.token, login.expires_ts, login.refresh)

    async def refresh(self, text: str) -> JsonDict:
        """New tokens for a refresh token, as the client gets them.

        Raises UnknownTokenError, softly where the device may log in again; UserLockedError,
        UserDeactivatedError, LimitExceededError.
        """
        token = await self._find(text)
        self._limit(f"{token.user_id} {token.device_id}")
        check_usable(await self._users.get_user(token.user_id))
        tokens = self._new_tokens(token.session_ends_ts)
        if not await self._store.refresh_session(token.token_id, tokens):
            raise UnknownTokenError("Unknown refresh token")
        return self._answer(tokens.access_token, tokens.expires_ts, tokens.refresh)

    async def _find(self, text: str) -> RefreshToken:
        token = None
        if may_be_token(REFRESH_PREFIX, text):
            token = await self._store.get_refresh_token(hash_token(text))
        if token is None:
            raise UnknownTokenError("Unknown refresh token")
        now = self._clock.time_ms()
        for end in (token.expires_ts, token.session_ends_ts):
            if end is not None and end <= now:
                raise UnknownTokenError("The session has expired", soft_logout=True)
        return token

    def _new_tokens(self, session_ends_ts: int | None) -> NewTokens:
        config = self._config
        return NewTokens(
            make_access_token(),
            self._until(config.refreshable_access_token_lifetime, session_ends_ts),
            NewRefreshToken(
                make_token(REFRESH_PREFIX),
                self._until(config.refresh_token_lifetime, session_ends_ts),
                session_ends_ts,
            ),
        )

    def _until(self, lifetime: int | None, latest: int | None = None) -> int | None:
        """When something that begins now ends."""
        if lifetime is None:
            return latest
        end = self._clock.time_ms() + lifetime
        return end if latest is None else min(end, latest)

    def _answer(
        self, access_token: str, expires_ts: int | None, refresh: NewRefreshToken | None
    ) -> JsonDict:
        answer: JsonDict = {"access_token": access_token}
        if refresh is not None:
            answer["refresh_token"] = refresh.token
        if expires_ts is not None:
            answer["expires_in_ms"] = max(0, expires_ts - self._clock.time_ms())
        return answer


class MasterTokenConfirmation(TokenConfirmation):
    """The master's side: writes it."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RefreshTokensStore)

    async def confirm(self, refresh_token_id: int) -> None:
        """See TokenConfirmation."""
        await self._store.confirm_refresh_token(refresh_token_id)
