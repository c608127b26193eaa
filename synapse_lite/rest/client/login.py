"""Logging in and out (client-server API, "Login")."""

from __future__ import annotations

from ...api.constants import LoginType
from ...api.errors import UnknownError
from ...api.urls import CLIENT, CLIENT_V1
from ...handlers.access_tokens import MAX_TOKEN_LENGTH
from ...handlers.auth import AccountAuthenticator
from ...handlers.client_ips import MAX_USER_AGENT
from ...handlers.devices import DeviceHandler
from ...handlers.login import LoginHandler
from ...handlers.login_tokens import LoginTokenHandler
from ...handlers.password_check import password_submission
from ...handlers.sessions import (
    MAX_DEVICE_ID_BYTES,
    MAX_DEVICE_NAME_BYTES,
    DeviceChoice,
    Sessions,
)
from ...handlers.ui_auth import UiAuthHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_bool, optional_str, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict
from .account import password_operation


def device_choice(request: Request, body: JsonDict) -> DeviceChoice:
    """The device that a client asks for when it logs in or registers."""
    return DeviceChoice(
        optional_str(body, "device_id", max_bytes=MAX_DEVICE_ID_BYTES) or None,
        device_name(body),
        request.client_ip,
        request.user_agent[:MAX_USER_AGENT],
        optional_bool(body, "refresh_token", default=False),
    )


def device_name(body: JsonDict) -> str | None:
    """How a client wants its device to be called."""
    return optional_str(body, "initial_device_display_name", max_bytes=MAX_DEVICE_NAME_BYTES)


@endpoint("GET POST", CLIENT, "/login", auth=Auth.NONE)
class Login(Servlet):
    """How one may log in, and doing it."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(LoginHandler)

    async def get(self, request: Request) -> JsonDict:
        """The flows."""
        return {"flows": self._handler.flows()}

    async def post(self, request: Request) -> JsonDict:
        """Log in with a password, or a token."""
        body = request.json()
        kind = require_str(body, "type")
        if kind == LoginType.TOKEN and self._handler.takes_tokens:
            token = require_str(body, "token", MAX_TOKEN_LENGTH)
            return await self._handler.log_in_with_token(token, device_choice(request, body))
        if kind != LoginType.PASSWORD:
            raise UnknownError("This way to log in is not offered", status=400)
        return await self._handler.log_in(password_submission(body), device_choice(request, body))


@endpoint("POST", CLIENT_V1, "/login/get_token")
class GetLoginToken(Servlet):
    """Get a token with which another client of the user logs in."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(LoginTokenHandler)
        self._ui_auth = hs.part(UiAuthHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        self._handler.check(requester)
        body = request.json_or_empty()
        if not self._handler.needs_approval:
            return await self._handler.issue(requester)
        approval = await self._ui_auth.approve(
            password_operation("get login token", request, requester), body
        )
        answer = await self._handler.issue(requester)
        await self._ui_auth.finish(approval)
        return answer


@endpoint("POST", CLIENT, "/refresh", auth=Auth.NONE)
class Refresh(Servlet):
    """Get a new access token for a refresh token (section "Refreshing access tokens")."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._sessions = hs.part(Sessions)

    async def answer(self, request: Request) -> JsonDict:
        token = require_str(request.json(), "refresh_token", MAX_TOKEN_LENGTH)
        return await self._sessions.refresh(token)


@endpoint("POST", CLIENT, "/logout", auth=Auth.NONE)
class Logout(Servlet):
    """Log out the device that asks. Locked accounts may, so the servlet authenticates itself."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._authenticator = hs.part(AccountAuthenticator)
        self._devices = hs.part(DeviceHandler)

    async def answer(self, request: Request) -> JsonDict:
        await self._devices.log_out(await self._authenticator.even_locked(request))
        return {}


@endpoint("POST", CLIENT, "/logout/all", auth=Auth.NONE)
class LogoutAll(Servlet):
    """Log out all devices of a user. Locked accounts may, so the servlet authenticates itself."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._authenticator = hs.part(AccountAuthenticator)
        self._devices = hs.part(DeviceHandler)

    async def answer(self, request: Request) -> JsonDict:
        await self._devices.log_out_everywhere(await self._authenticator.even_locked(request))
        return {}


SERVLETS: tuple[type[Servlet], ...] = (Login, GetLoginToken, Refresh, Logout, LogoutAll)
