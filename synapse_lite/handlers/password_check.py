"""Checking who knows the password of an account: for log-in, and within a session."""

from __future__ import annotations

import attrs

from ..api.errors import (
    ForbiddenError,
    InvalidParamError,
    LimitExceededError,
    UserDeactivatedError,
)
from ..http.parameters import optional_dict, optional_str, require_str
from ..server import Homeserver
from ..storage.registration import RegistrationWorkerStore
from ..storage.threepids import ThreepidsStore
from ..types.threepids import (
    MAX_ADDRESS_LENGTH,
    InvalidThreepidError,
    Threepid,
    canonical_phone,
    canonical_threepid,
)
from ..util.async_helpers import Linearizer
from ..util.json import JsonDict
from ..util.ratelimiter import Ratelimiter
from .account_state import check_usable
from .passwords import MAX_PASSWORD_LENGTH, PasswordHandler

_MAX_NAME_BYTES = 255


@attrs.frozen
class PasswordSubmission:
    """A password and whose it is to be: `user` is a localpart or a user id.

    Neither `user` nor `threepid` is known where a client names none, or one that cannot be.
    """

    user: str | None
    password: str = attrs.field(repr=False)
    threepid: Threepid | None = None
    names_nobody: bool = False


def password_submission(body: JsonDict) -> PasswordSubmission:
    """Read the fields of `m.login.password` (section "Password-based").

    Takes the identifier types and the older fields `user`, `medium` and `address`. Raises
    MissingParamError, BadJsonError, InvalidParamError.
    """
    password = require_str(body, "password", MAX_PASSWORD_LENGTH * 4)
    identifier = optional_dict(body, "identifier")
    if identifier is None:
        user = optional_str(body, "user", max_bytes=_MAX_NAME_BYTES)
        if user is None and "medium" in body:
            return PasswordSubmission(None, password, _threepid(body))
        return PasswordSubmission(user, password, names_nobody=user is None)
    kind = require_str(identifier, "type", _MAX_NAME_BYTES)
    if kind == "m.id.user":
        return PasswordSubmission(require_str(identifier, "user", _MAX_NAME_BYTES), password)
    if kind == "m.id.thirdparty":
        return PasswordSubmission(None, password, _threepid(identifier))
    if kind == "m.id.phone":
        return PasswordSubmission(None, password, _phone(identifier))
    raise InvalidParamError("Unknown type of identifier")


def _threepid(identifier: JsonDict) -> Threepid | None:
    """An address that some account may have; None for what is no address."""
    medium = require_str(identifier, "medium", _MAX_NAME_BYTES)
    address = require_str(identifier, "address", MAX_ADDRESS_LENGTH)
    try:
        return canonical_threepid(medium, address)
    except InvalidThreepidError:
        return None


def _phone(identifier: JsonDict) -> Threepid | None:
    """A phone number as people type it. Clients of old call it `number`."""
    require_str(identifier, "country", _MAX_NAME_BYTES)
    key = "phone" if "phone" in identifier else "number"
    try:
        return canonical_phone(require_str(identifier, key, MAX_ADDRESS_LENGTH))
    except InvalidThreepidError:
        return None


class PasswordCheck:
    """Checks passwords, slowly and not too often for one account."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationWorkerStore)
        self._threepids = hs.part(ThreepidsStore)
        self._passwords = hs.part(PasswordHandler)
        self._server_name = hs.name
        self._is_enabled = hs.config.password.enabled and hs.config.password.localdb_enabled
        limit = hs.config.ratelimiting.rc_login.failed_attempts
        self._failures = Ratelimiter(hs.clock, limit.per_second, limit.burst_count)
        self._turns = Linearizer("password_check", clock=hs.clock)

    def user_id_of(self, user: str) -> str:
        """The user id that a localpart or user id stands for; None is not an answer."""
        return user if user.startswith("@") else f"@{user}:{self._server_name}"

    async def check(self, submission: PasswordSubmission) -> str:
        """The id of the user whose password it is.

        An unknown user costs as much time as a wrong password, and is answered alike. Attempts at
        one account follow each other, so that many at once get no further than the limit.

        Raises ForbiddenError, LimitExceededError, UserDeactivatedError, UserLockedError.
        """
        if not self._is_enabled:
            raise ForbiddenError("Passwords are not used on this server")
        user_id = await self._find(submission)
        async with self._turns.queue(user_id):
            retry_after_ms = self._failures.check(user_id, update=False)
            if retry_after_ms:
                raise LimitExceededError(retry_after_ms=retry_after_ms)
            stored = await self._store.get_password_hash(user_id)
            if not await self._passwords.is_right(submission.password, stored):
                self._failures.check(user_id)
                await self._refuse(user_id)
        check_usable(await self._store.get_user(user_id))
        return user_id

    async def _find(self, submission: PasswordSubmission) -> str:
        """The account meant: people do not always write their name in lower case."""
        if submission.threepid is not None:
            return await self._threepids.get_user_of_threepid(submission.threepid) or ""
        if not submission.user:
            return ""
        user_id = self.user_id_of(submission.user)
        if user_id != user_id.lower() and await self._store.get_user(user_id) is None:
            return user_id.lower()
        return user_id

    async def _refuse(self, user_id: str) -> None:
        user = await self._store.get_user(user_id)
        if user is not None and user.is_deactivated:
            raise UserDeactivatedError("This account has been deactivated")
        raise ForbiddenError("Invalid username or password")
