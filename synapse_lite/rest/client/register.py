"""Registering (client-server API, "Account registration")."""

from __future__ import annotations

from ...api.constants import MAX_ID_LENGTH, LoginType
from ...api.errors import ForbiddenError, InvalidUsernameError
from ...api.urls import CLIENT, CLIENT_V1
from ...handlers.access_tokens import MAX_TOKEN_LENGTH
from ...handlers.account import AccountHandler
from ...handlers.client_ips import MAX_USER_AGENT
from ...handlers.guests import GuestHandler
from ...handlers.login import LoginHandler
from ...handlers.passwords import MAX_PASSWORD_LENGTH
from ...handlers.registration import Application, RegistrationHandler
from ...handlers.sessions import DeviceChoice, Sessions
from ...handlers.ui_auth import Approval, Flow, Operation, UiAuthHandler
from ...handlers.ui_auth_stages import MAX_TOKEN_BYTES
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_bool, optional_str, require_str
from ...server import Homeserver
from ...storage.registration_tokens import RegistrationTokensStore
from ...util.json import JsonDict
from .login import device_choice, device_name

_MAX_PASSWORD_BYTES = MAX_PASSWORD_LENGTH * 4


@endpoint("POST", CLIENT, "/register", auth=Auth.NONE)
class Register(Servlet):
    """Make an account, with user-interactive authentication."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(RegistrationHandler)
        self._account = hs.part(AccountHandler)
        self._guests = hs.part(GuestHandler)
        self._ui_auth = hs.part(UiAuthHandler)
        self._login = hs.part(LoginHandler)
        self._sessions = hs.part(Sessions)
        config = hs.config.registration
        self._is_enabled = config.enable_registration
        stage = LoginType.DUMMY
        if config.registration_requires_token:
            stage = LoginType.REGISTRATION_TOKEN
        self._flows: tuple[Flow, ...] = ((stage,),)

    async def answer(self, request: Request) -> JsonDict:
        if request.query_enum("kind", ("user", "guest"), "user") == "guest":
            return await self._register_guest(request)
        if not self._is_enabled:
            raise ForbiddenError("Registration has been disabled")
        self._handler.count_attempt(request.client_ip)
        body = request.json()
        guest = await self._guest(body)
        await self._check_early(body, guest)
        approval = await self._ui_auth.approve(
            Operation("register", self._flows, client_ip=request.client_ip), body
        )
        application = _application(body, approval, is_upgrade=guest is not None)
        login = None
        if not optional_bool(body, "inhibit_login", default=False):
            login = self._sessions.new_login(device_choice(request, body))
        self._handler.count_registration(request.client_ip)
        user_id = await self._handler.register(application, login)
        await self._ui_auth.finish(approval)
        return self._login.answer(user_id, login)

    async def _register_guest(self, request: Request) -> JsonDict:
        """Of the body only the name of the device counts."""
        self._guests.check_enabled()
        name = device_name(request.json_or_empty())
        device = DeviceChoice(None, name, request.client_ip, request.user_agent[:MAX_USER_AGENT])
        login = self._sessions.new_login(device)
        user_id = await self._guests.register(login, request.client_ip)
        return self._login.answer(user_id, login)

    async def _guest(self, body: JsonDict) -> str | None:
        """The name of the guest who asks for an account; None for somebody new."""
        token = optional_str(body, "guest_access_token", max_bytes=MAX_TOKEN_LENGTH)
        return None if token is None else await self._guests.localpart_of(token)

    async def _check_early(self, body: JsonDict, guest: str | None) -> None:
        """Say what is wrong with name or password before stages are asked for."""
        username = _username(body)
        if guest is not None and username != guest:
            raise ForbiddenError("username must be the name that the guest has")
        if guest is None and username is not None:
            await self._handler.check_username(username)
        password = optional_str(body, "password", max_bytes=_MAX_PASSWORD_BYTES)
        if password is not None:
            self._account.check_new_password(password)


def _username(body: JsonDict) -> str | None:
    """The name asked for; capital letters are what people type, not what they mean."""
    username = optional_str(body, "username", max_bytes=MAX_ID_LENGTH)
    if username == "":
        raise InvalidUsernameError("The user name must not be empty")
    return None if username is None else username.lower()


def _application(body: JsonDict, approval: Approval, *, is_upgrade: bool) -> Application:
    token = approval.results.get(LoginType.REGISTRATION_TOKEN)
    return Application(
        username=_username(body),
        password=require_str(body, "password", _MAX_PASSWORD_BYTES),
        registration_token=token if isinstance(token, str) else None,
        is_upgrade=is_upgrade,
    )


@endpoint("GET", CLIENT, "/register/available", auth=Auth.NONE)
class RegisterAvailable(Servlet):
    """Whether a user name can be had."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(RegistrationHandler)
        self._is_enabled = hs.config.registration.enable_registration

    async def answer(self, request: Request) -> JsonDict:
        if not self._is_enabled:
            raise ForbiddenError("Registration has been disabled")
        self._handler.count_attempt(request.client_ip)
        await self._handler.check_username(request.query("username").lower())
        return {"available": True}


@endpoint(
    "GET",
    CLIENT_V1,
    "/register/m.login.registration_token/validity",
    auth=Auth.NONE,
    limit="rc_registration_token_validity",
)
class RegistrationTokenValidity(Servlet):
    """Whether a registration token could be used now."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._tokens = hs.part(RegistrationTokensStore)
        self._is_enabled = hs.config.registration.enable_registration

    async def answer(self, request: Request) -> JsonDict:
        if not self._is_enabled:
            raise ForbiddenError("Registration has been disabled")
        token = request.query("token")
        if len(token) > MAX_TOKEN_BYTES:
            return {"valid": False}
        return {"valid": await self._tokens.is_registration_token_usable(token)}


SERVLETS: tuple[type[Servlet], ...] = (Register, RegisterAvailable, RegistrationTokenValidity)
