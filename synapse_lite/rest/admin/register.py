"""Making accounts with the shared secret, at the path that existing tools use."""

from __future__ import annotations

from ...api.constants import MAX_ID_LENGTH
from ...api.urls import ADMIN_V1
from ...handlers.client_ips import MAX_USER_AGENT
from ...handlers.login import LoginHandler
from ...handlers.passwords import MAX_PASSWORD_LENGTH
from ...handlers.registration import Application, RegistrationHandler
from ...handlers.sessions import DeviceChoice, Sessions
from ...handlers.shared_secret import SharedSecretRegistration, SharedSecretRequest
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_bool, optional_enum, optional_str, require_str
from ...server import Homeserver
from ...util.json import JsonDict

USER_TYPES = ("support", "bot")

_MAX_DISPLAYNAME_BYTES = 1024
_MAX_PASSWORD_BYTES = MAX_PASSWORD_LENGTH * 4
_MAX_HEX = 256


@endpoint("GET POST", ADMIN_V1, "/register", auth=Auth.NONE)
class SharedSecretRegister(Servlet):
    """GET a nonce, POST an account signed with it and `registration_shared_secret`."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._signatures = hs.part(SharedSecretRegistration)
        self._registration = hs.part(RegistrationHandler)
        self._login = hs.part(LoginHandler)
        self._sessions = hs.part(Sessions)

    async def get(self, request: Request) -> JsonDict:
        """A nonce, good for one registration within a minute."""
        return {"nonce": self._signatures.new_nonce()}

    async def post(self, request: Request) -> JsonDict:
        """Make the account, logged in unless `inhibit_login`."""
        body = request.json()
        signed = SharedSecretRequest(
            nonce=require_str(body, "nonce", _MAX_HEX),
            username=require_str(body, "username", MAX_ID_LENGTH),
            password=require_str(body, "password", _MAX_PASSWORD_BYTES),
            is_admin=optional_bool(body, "admin", default=False),
            user_type=optional_enum(body, "user_type", USER_TYPES),
            mac=require_str(body, "mac", _MAX_HEX),
        )
        displayname = optional_str(body, "displayname", max_bytes=_MAX_DISPLAYNAME_BYTES)
        inhibit_login = optional_bool(body, "inhibit_login", default=False)
        self._signatures.check(signed)
        application = Application(
            username=signed.username.lower(),
            password=signed.password,
            displayname=displayname,
            is_admin=signed.is_admin,
            user_type=signed.user_type,
        )
        device = DeviceChoice(ip=request.client_ip, user_agent=request.user_agent[:MAX_USER_AGENT])
        login = None if inhibit_login else self._sessions.new_login(device)
        user_id = await self._registration.register(application, login)
        return self._login.answer(user_id, login)


SERVLETS: tuple[type[Servlet], ...] = (SharedSecretRegister,)
