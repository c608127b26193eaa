"""Third-party identifiers of the account (section "Adding Account Administrative Contact …")."""

from __future__ import annotations

import re
from typing import ClassVar

from ...api.errors import InvalidParamError
from ...api.urls import CLIENT
from ...handlers.threepids import NO_SUPPORT, Purpose, ThreepidHandler, TokenRequest
from ...handlers.ui_auth import UiAuthHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_str, require_dict, require_enum, require_int, require_str
from ...server import Homeserver
from ...types.requester import Requester
from ...types.threepids import (
    EMAIL,
    MEDIUMS,
    MSISDN,
    InvalidThreepidError,
    Threepid,
    canonical_email,
    canonical_phone,
    canonical_threepid,
)
from ...util.json import JsonDict
from .account import password_operation

_MAX_TEXT = 1024
_SECRET = re.compile(r"[0-9a-zA-Z.=_-]{1,255}\Z")
_COUNTRY = re.compile(r"[A-Z]{2}\Z")


def _session(body: JsonDict) -> None:
    """Check the fields that name a session of confirming an address."""
    _client_secret(body)
    require_str(body, "sid", _MAX_TEXT, allow_empty=False)


def _client_secret(body: JsonDict) -> None:
    if _SECRET.match(require_str(body, "client_secret")) is None:
        raise InvalidParamError("client_secret has 1 to 255 of the characters 0-9 a-z A-Z . = _ -")


def _id_server(body: JsonDict) -> str | None:
    optional_str(body, "id_access_token", max_bytes=_MAX_TEXT)
    return optional_str(body, "id_server", max_bytes=_MAX_TEXT) or None


def _address(body: JsonDict) -> Threepid:
    medium = require_enum(body, "medium", MEDIUMS)
    try:
        return canonical_threepid(medium, require_str(body, "address", _MAX_TEXT))
    except InvalidThreepidError as error:
        raise InvalidParamError(str(error)) from error


class _Threepids(Servlet):
    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(ThreepidHandler)


@endpoint("GET POST", CLIENT, "/account/3pid")
class AccountThreepids(_Threepids):
    """The identifiers of the account."""

    async def get(self, request: Request, requester: Requester) -> JsonDict:
        """All of them."""
        return {"threepids": await self._handler.list(requester.user_id)}

    async def post(self, request: Request, requester: Requester) -> JsonDict:
        """Add one that an identity server has confirmed. Clients of old say `threePidCreds`."""
        body = request.json()
        old = "threePidCreds" in body and "three_pid_creds" not in body
        credentials = require_dict(body, "threePidCreds" if old else "three_pid_creds")
        _session(credentials)
        raise self._handler.refuse_session(_id_server(credentials))


@endpoint("POST", CLIENT, "/account/3pid/add", limit="rc_3pid_validation")
class AddThreepid(_Threepids):
    """Add one that this server has confirmed, with user-interactive authentication."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._ui_auth = hs.part(UiAuthHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        _session(body)
        approval = await self._ui_auth.approve(
            password_operation("add threepid", request, requester), body
        )
        await self._ui_auth.finish(approval)
        raise self._handler.refuse_session(None)


@endpoint("POST", CLIENT, "/account/3pid/bind", limit="rc_3pid_validation")
class BindThreepid(_Threepids):
    """Have an identity server show whose an identifier is."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        _session(body)
        require_str(body, "id_access_token", _MAX_TEXT)
        raise self._handler.refuse_session(require_str(body, "id_server", _MAX_TEXT))


@endpoint("POST", CLIENT, "/account/3pid/delete")
class DeleteThreepid(_Threepids):
    """Take an identifier from the account."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        _id_server(body)
        return await self._handler.delete(requester.user_id, _address(body))


@endpoint("POST", CLIENT, "/account/3pid/unbind")
class UnbindThreepid(Servlet):
    """Have an identity server forget an identifier: nothing was ever told to one."""

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        _id_server(body)
        _address(body)
        return NO_SUPPORT


class _RequestToken(_Threepids):
    """Asks for a message that confirms an address."""

    purpose: ClassVar[Purpose]
    medium: ClassVar[str]

    async def answer(self, request: Request) -> JsonDict:
        body = request.json()
        _client_secret(body)
        require_int(body, "send_attempt")
        optional_str(body, "next_link", max_bytes=_MAX_TEXT)
        try:
            threepid = self._threepid(body)
        except InvalidThreepidError as error:
            raise InvalidParamError(str(error)) from error
        await self._handler.request_token(TokenRequest(self.purpose, threepid, _id_server(body)))
        return {}

    def _threepid(self, body: JsonDict) -> Threepid | None:
        if self.medium == EMAIL:
            return canonical_email(require_str(body, "email", _MAX_TEXT))
        if _COUNTRY.match(require_str(body, "country")) is None:
            raise InvalidParamError("country must be a code of two capital letters")
        return canonical_phone(require_str(body, "phone_number", _MAX_TEXT))


def _request_token(template: str, name: str, purpose: Purpose, medium: str) -> type[Servlet]:
    """The servlet of one of the six endpoints, which differ in nothing else."""
    declare = endpoint("POST", CLIENT, template, auth=Auth.NONE, limit="rc_3pid_validation")
    fields = {"__doc__": _RequestToken.__doc__, "purpose": purpose, "medium": medium}
    return declare(type(name, (_RequestToken,), fields))


_TOKEN_SERVLETS = (
    _request_token("/register/email/requestToken", "RegisterEmailToken", Purpose.REGISTER, EMAIL),
    _request_token("/register/msisdn/requestToken", "RegisterPhoneToken", Purpose.REGISTER, MSISDN),
    _request_token("/account/3pid/email/requestToken", "AddEmailToken", Purpose.ADD, EMAIL),
    _request_token("/account/3pid/msisdn/requestToken", "AddPhoneToken", Purpose.ADD, MSISDN),
    _request_token(
        "/account/password/email/requestToken",
        "PasswordEmailToken",
        Purpose.RESET_PASSWORD,
        EMAIL,
    ),
    _request_token(
        "/account/password/msisdn/requestToken",
        "PasswordPhoneToken",
        Purpose.RESET_PASSWORD,
        MSISDN,
    ),
)

SERVLETS: tuple[type[Servlet], ...] = (
    AccountThreepids,
    AddThreepid,
    BindThreepid,
    DeleteThreepid,
    UnbindThreepid,
    *_TOKEN_SERVLETS,
)
