"""Web pages for stages of user-interactive authentication (client-server API, "Fallback")."""

from __future__ import annotations

import importlib
import secrets
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

import attrs

from ...api.constants import LoginType
from ...api.errors import InvalidParamError, MatrixError
from ...api.urls import CLIENT
from ...handlers.ui_auth_fallback import UiAuthFallback
from ...http.endpoint import Auth, Request, Response, Servlet, endpoint
from ...server import Homeserver
from ...util.json import JsonDict

_MAX_FORM_BYTES = 16 * 1024
_MAX_FIELDS = 16


@attrs.frozen
class _Page:
    """What the page of a stage asks for; without a field a button is enough."""

    title: str
    field: str | None = None
    label: str = ""
    input_type: str = "text"


_PAGES = {
    LoginType.DUMMY: _Page("Go on"),
    LoginType.PASSWORD: _Page("Enter your password", "password", "Password", "password"),
    LoginType.REGISTRATION_TOKEN: _Page(
        "Enter your registration token", "token", "Registration token"
    ),
}


@endpoint(
    "GET POST",
    CLIENT,
    "/auth/{stage}/fallback/web",
    auth=Auth.NONE,
    max_body_bytes=_MAX_FORM_BYTES,
)
class AuthFallback(Servlet):
    """A page on which the user completes a stage."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._fallback = hs.part(UiAuthFallback)

    @cached_property
    def _template(self) -> Any:
        # Few servers ever show the page; the others need not keep Jinja in memory for it.
        jinja2 = importlib.import_module("jinja2")
        loader = jinja2.PackageLoader("synapse_lite.rest.client")
        environment = jinja2.Environment(loader=loader, autoescape=True)
        return environment.get_template("auth_fallback.html.j2")

    async def get(self, request: Request, stage: str) -> Response:
        """The form."""
        session = await self._fallback.session(stage, request.query("session"))
        return self._answer(stage, is_done=stage in session.completed)

    async def post(self, request: Request, stage: str) -> Response:
        """Complete the stage with what the form holds; when that fails the form comes again."""
        session = await self._fallback.session(stage, request.query("session"))
        form = _form(request)
        try:
            await self._fallback.complete(session, stage, form, request.client_ip)
        except MatrixError as error:
            return self._answer(stage, error=error.message)
        return self._answer(stage, is_done=True)

    def _answer(self, stage: str, *, is_done: bool = False, error: str | None = None) -> Response:
        nonce = secrets.token_urlsafe(16)
        text = self._template.render(page=_PAGES[stage], error=error, is_done=is_done, nonce=nonce)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
            " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(200, text.encode("utf-8"), headers)


def _form(request: Request) -> JsonDict:
    """The fields of the form. Raises InvalidParamError."""
    try:
        fields = parse_qs(
            request.body.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise InvalidParamError("The form cannot be decoded") from error
    return {name: values[-1] for name, values in fields.items()}


SERVLETS: tuple[type[Servlet], ...] = (AuthFallback,)
