"""Logging in: from a password to a device with an access token."""

from __future__ import annotations

from ..api.constants import LoginType
from ..http.rate_limits import RateLimits
from ..server import Homeserver
from ..storage.devices import DevicesStore, NewLogin
from ..util.json import JsonDict
from .password_check import PasswordCheck, PasswordSubmission
from .sessions import DeviceChoice, Sessions


class LoginHandler:
    """Logs users in, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._devices = hs.part(DevicesStore)
        self._check = hs.part(PasswordCheck)
        self._sessions = hs.part(Sessions)
        limits = hs.part(RateLimits)
        self._limit_address = limits.checker("rc_login.address")
        self._limit_account = limits.checker("rc_login.account")
        self._server_name = hs.name
        self._base_url = hs.config.server.public_baseurl
        self._has_passwords = hs.config.password.enabled and hs.config.password.localdb_enabled

    def flows(self) -> list[JsonDict]:
        """The ways to log in."""
        return [{"type": LoginType.PASSWORD}] if self._has_passwords else []

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

    def answer(self, user_id: str, login: NewLogin | None) -> JsonDict:
        """What the client of a user is told after logging in, or registering with or without."""
        answer: JsonDict = {"user_id": user_id, "home_server": self._server_name}
        if login is not None:
            answer["device_id"] = login.device_id
            answer.update(self._sessions.tokens_of(login))
            if self._base_url is not None:
                answer["well_known"] = {"m.homeserver": {"base_url": self._base_url}}
        return answer
