"""Logging in: from a password to a device with an access token."""

from __future__ import annotations

from ..api.constants import LoginType
from ..api.errors import ForbiddenError
from ..http.rate_limits import RateLimits
from ..server import Homeserver
from ..storage.access_tokens import hash_token
from ..storage.devices import DevicesStore, NewLogin
from ..storage.registration import RegistrationWorkerStore
from ..util.json import JsonDict
from .access_tokens import LOGIN_PREFIX, may_be_token
from .account_state import check_usable
from .login_tokens import hands_out_login_tokens
from .password_check import PasswordCheck, PasswordSubmission
from .sessions import DeviceChoice, Sessions


class LoginHandler:
    """Logs users in, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._devices = hs.part(DevicesStore)
        self._users = hs.part(RegistrationWorkerStore)
        self._check = hs.part(PasswordCheck)
        self._sessions = hs.part(Sessions)
        limits = hs.part(RateLimits)
        self._limit_address = limits.checker("rc_login.address")
        self._limit_account = limits.checker("rc_login.account")
        self._server_name = hs.name
        self._base_url = hs.config.server.public_baseurl
        self.takes_tokens = hands_out_login_tokens(hs.config)
        self._has_passwords = hs.config.password.enabled and hs.config.password.localdb_enabled

    def flows(self) -> list[JsonDict]:
        """The ways to log in."""
        flows: list[JsonDict] = []
        if self._has_passwords:
            flows.append({"type": LoginType.PASSWORD})
        if self.takes_tokens:
            flows.append({"type": LoginType.TOKEN, "get_login_token": True})
        return flows

    async def log_in(self, submission: PasswordSubmission, device: DeviceChoice) -> JsonDict:
        """Log in with a password; the answer for the client.

        Raises LimitExceededError, ForbiddenError, UserDeactivatedError, UserLockedError.
        """
        self._limit_address(device.ip)
        user_id = await self._check.check(submission)
        self._limit_account(user_id)
        login = self._sessions.new_login(device)
        await self._devices.log_in_device(user_id, login)
        return self.answer(user_id, login)

    async def log_in_with_token(self, token: str, device: DeviceChoice) -> JsonDict:
        """Log in with a token of `m.login.token`, which is used up; the answer for the client.

        Raises as `log_in`; an account that cannot be used does not use the token up.
        """
        self._limit_address(device.ip)
        token_hash = hash_token(token)
        user_id = None
        if may_be_token(LOGIN_PREFIX, token):
            user_id = await self._devices.get_user_of_login_token(token_hash)
        if user_id is None:
            raise ForbiddenError("The login token is not valid")
        check_usable(await self._users.get_user(user_id))
        self._limit_account(user_id)
        login = self._sessions.new_login(device)
        if not await self._devices.log_in_with_token(user_id, token_hash, login):
            raise ForbiddenError("The login token is not valid")
        return self.answer(user_id, login)

    def answer(self, user_id: str, login: NewLogin | None) -> JsonDict:
        """What the client of a user is told after logging in, or registering with or without."""
        answer: JsonDict = {"user_id": user_id, "home_server": self._server_name}
        if login is not None:
            answer["device_id"] = login.device_id
            answer.update(self._sessions.tokens_of(login))
            if self._base_url is not None:
                answer["well_known"] = {"m.homeserver": {"base_url": self._base_url}}
        return answer
