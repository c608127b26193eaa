"""One's own account (client-server API, "Account management" and "Current account information")."""

from __future__ import annotations

from ...api.constants import LoginType
from ...api.urls import CLIENT
from ...handlers.account import AccountHandler
from ...handlers.passwords import MAX_PASSWORD_LENGTH
from ...handlers.ui_auth import Operation, UiAuthHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_bool, optional_str, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict

PASSWORD_FLOWS = ((LoginType.PASSWORD,),)
"""The user must give the password once more."""

_MAX_PASSWORD_BYTES = MAX_PASSWORD_LENGTH * 4


def password_operation(name: str, request: Request, requester: Requester) -> Operation:
    """An operation on one's own account that needs the password again."""
    return Operation(name, PASSWORD_FLOWS, requester.user_id, request.client_ip)


@endpoint("GET", CLIENT, "/account/whoami", served_by=("client_reader",), auth=Auth.GUEST)
class WhoAmI(Servlet):
    """Whose token this is."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        answer: JsonDict = {"user_id": requester.user_id, "is_guest": requester.is_guest}
        if requester.device_id is not None:
            answer["device_id"] = requester.device_id
        return answer


@endpoint("POST", CLIENT, "/account/password")
class ChangePassword(Servlet):
    """Set a new password."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(AccountHandler)
        self._ui_auth = hs.part(UiAuthHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        asked = optional_str(body, "new_password", max_bytes=_MAX_PASSWORD_BYTES)
        if asked is not None:
            self._handler.check_new_password(asked)
        log_out_others = optional_bool(body, "logout_devices", default=True)
        approval = await self._ui_auth.approve(
            password_operation("change password", request, requester), body
        )
        password = require_str(body, "new_password", _MAX_PASSWORD_BYTES)
        await self._handler.change_password(requester, password, log_out_others=log_out_others)
        await self._ui_auth.finish(approval)
        return {}


@endpoint("POST", CLIENT, "/account/deactivate")
class Deactivate(Servlet):
    """End the account."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(AccountHandler)
        self._ui_auth = hs.part(UiAuthHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json_or_empty()
        erase = optional_bool(body, "erase", default=False)
        approval = await self._ui_auth.approve(
            password_operation("deactivate", request, requester), body
        )
        await self._handler.deactivate(requester.user_id, erase=erase)
        await self._ui_auth.finish(approval)
        # Accounts here have no addresses that an identity server could know.
        return {"id_server_unbind_result": "success"}


SERVLETS: tuple[type[Servlet], ...] = (WhoAmI, ChangePassword, Deactivate)
