"""Making accounts."""

from __future__ import annotations

import secrets
import string

import attrs

from ..api.constants import MAX_ID_LENGTH
from ..api.errors import ForbiddenError, InvalidUsernameError, LimitExceededError, UserInUseError
from ..server import Homeserver
from ..storage.account_tasks import TaskName
from ..storage.devices import NewLogin
from ..storage.registration import NewUser, RegistrationStore, UserExistsError
from ..storage.registration_tokens import UnusableTokenError
from ..types.ids import is_strict_localpart
from ..util.ratelimiter import Ratelimiter
from .account_tasks import AccountTasks
from .passwords import PasswordHandler

_MADE_UP_LETTERS = 12

_ATTEMPTS = 10
"""For each account that an address may make, so many questions for names or sessions.

Enough for whoever types a name, too few for trying many.
"""


@attrs.frozen
class Application:
    """What somebody asks for; `username` is a localpart, None to have one made up.

    With `is_upgrade` it is that of a guest, who has proved to be that.
    """

    username: str | None
    password: str = attrs.field(repr=False)
    displayname: str | None = None
    is_admin: bool = False
    user_type: str | None = None
    registration_token: str | None = attrs.field(default=None, repr=False)
    is_upgrade: bool = False


class RegistrationHandler:
    """Makes accounts, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationStore)
        self._passwords = hs.part(PasswordHandler)
        self._tasks = hs.part(AccountTasks)
        self._server_name = hs.name
        self._auto_join = bool(hs.config.registration.auto_join_rooms)
        limit = hs.config.ratelimiting.rc_registration
        self._registrations = Ratelimiter(hs.clock, limit.per_second, limit.burst_count)
        self._attempts = Ratelimiter(
            hs.clock, limit.per_second * _ATTEMPTS, limit.burst_count * _ATTEMPTS
        )

    async def check_username(self, username: str) -> str:
        """The user id that the name would get. Raises InvalidUsernameError, UserInUseError."""
        user_id = f"@{username}:{self._server_name}"
        if not is_strict_localpart(username):
            raise InvalidUsernameError("User names have only the characters a-z 0-9 . _ = - / +")
        if username.startswith("_"):
            raise InvalidUsernameError("User names do not begin with an underscore")
        if len(user_id) > MAX_ID_LENGTH:
            raise InvalidUsernameError(f"User ids have at most {MAX_ID_LENGTH} characters")
        if await self._store.get_user(user_id) is not None:
            raise UserInUseError("This user name is taken")
        return user_id

    def count_registration(self, client_ip: str) -> None:
        """Count an account that is going to be made. Raises LimitExceededError."""
        retry_after_ms = self._registrations.check(client_ip)
        if retry_after_ms:
            raise LimitExceededError(retry_after_ms=retry_after_ms)

    def count_attempt(self, client_ip: str) -> None:
        """Count a question for a name or a session. Raises LimitExceededError."""
        retry_after_ms = self._attempts.check(client_ip)
        if retry_after_ms:
            raise LimitExceededError(retry_after_ms=retry_after_ms)

    async def register(self, application: Application, login: NewLogin | None) -> str:
        """Make an account, logged in at once if `login` is given. Returns the user id.

        Raises InvalidUsernameError, UserInUseError, WeakPasswordError, and ForbiddenError for a
        registration token that cannot be used.
        """
        username = made_up_name() if application.username is None else application.username
        if application.is_upgrade:
            user_id = f"@{username}:{self._server_name}"
        else:
            user_id = await self.check_username(username)
        self._passwords.check_policy(application.password)
        new = NewUser(
            user_id=user_id,
            password_hash=await self._passwords.hash(application.password),
            displayname=application.displayname or username,
            is_admin=application.is_admin,
            user_type=application.user_type,
            registration_token=application.registration_token,
            auto_join=self._auto_join,
        )
        write = self._store.upgrade_guest if application.is_upgrade else self._store.register_user
        try:
            await write(new, login)
        except UserExistsError:
            raise UserInUseError("This user name is taken") from None
        except UnusableTokenError:
            raise ForbiddenError("The registration token can no longer be used") from None
        if self._auto_join:
            self._tasks.begin(user_id, TaskName.AUTO_JOIN)
        return user_id


def made_up_name() -> str:
    """A localpart for somebody who has chosen none."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(_MADE_UP_LETTERS))
