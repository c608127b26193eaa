"""The stages of user-interactive authentication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import attrs

from ..api.constants import LoginType
from ..api.errors import ForbiddenError, UnauthorizedError
from ..http.parameters import require_str
from ..http.rate_limits import RateLimits
from ..server import Homeserver
from ..storage.registration_tokens import RegistrationTokensStore
from ..util.json import JsonDict, JsonValue
from .password_check import PasswordCheck, password_submission

MAX_TOKEN_BYTES = 64
"""Longest registration token (section "Token-authenticated registration")."""

Stage = Callable[[JsonDict, str | None, str], Awaitable[JsonValue]]
"""Takes what the client submits, the user that must be authenticated, and the client's address."""


class UiAuthStages:
    """Checks what clients submit for a stage."""

    def __init__(self, hs: Homeserver) -> None:
        self._passwords = hs.part(PasswordCheck)
        self._tokens = hs.part(RegistrationTokensStore)
        self._limit_tokens = hs.part(RateLimits).checker("rc_registration_token_validity")
        self._stages: dict[str, Stage] = {
            LoginType.DUMMY: self._dummy,
            LoginType.PASSWORD: self._password,
            LoginType.REGISTRATION_TOKEN: self._registration_token,
        }

    @property
    def names(self) -> Collection[str]:
        """All stages that there are."""
        return self._stages.keys()

    async def check(
        self, stage: str, auth: JsonDict, user_id: str | None, client_ip: str
    ) -> JsonValue:
        """What the stage finds out. Raises MatrixError, of any class, if it is not passed."""
        return await self._stages[stage](auth, user_id, client_ip)

    async def _dummy(self, auth: JsonDict, user_id: str | None, client_ip: str) -> JsonValue:
        return True

    async def _password(self, auth: JsonDict, user_id: str | None, client_ip: str) -> JsonValue:
        """The password of the user who is logged in, who need not be named."""
        submission = password_submission(auth)
        if submission.names_nobody:
            submission = attrs.evolve(submission, user=user_id)
        found = await self._passwords.check(submission)
        if found != user_id:
            raise ForbiddenError("The password is that of another user")
        return found

    async def _registration_token(
        self, auth: JsonDict, user_id: str | None, client_ip: str
    ) -> JsonValue:
        """A token that can still be used; it is counted when the account is made."""
        token = require_str(auth, "token", MAX_TOKEN_BYTES)
        self._limit_tokens(client_ip)
        if not await self._tokens.is_registration_token_usable(token):
            raise UnauthorizedError("The registration token cannot be used")
        return token
