"""Logging in: from a password to a device with an access token."""

from __future__ import annotations

import random
import string

import attrs

from ..api.constants import LoginType
from ..http.rate_limits import RateLimits
from ..server import Homeserver
from ..storage.devices import DevicesStore, NewLogin
from ..util.json import JsonDict
from .access_tokens import make_access_token
from .password_check import PasswordCheck, PasswordSubmission

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

    def new_login(self) -> NewLogin:
        """The device with a fresh token."""
        device_id = self.device_id or "".join(random.choices(string.ascii_uppercase, k=10))
        return NewLogin(device_id, self.display_name, make_access_token(), self.ip, self.user_agent)


class LoginHandler:
    """Logs users in, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._devices = hs.part(DevicesStore)
        self._check = hs.part(PasswordCheck)
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
        login = device.new_login()
        await self._devices.log_in_device(user_id, login)
        return self.answer(user_id, login)

    def answer(self, user_id: str, login: NewLogin | None) -> JsonDict:
        """What the client of a user is told after logging in, or registering with or without."""
        answer: JsonDict = {"user_id": user_id, "home_server": self._server_name}
        if login is not None:
            answer["access_token"] = login.token
            answer["device_id"] = login.device_id
            if self._base_url is not None:
                answer["well_known"] = {"m.homeserver": {"base_url": self._base_url}}
        return answer
