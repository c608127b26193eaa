"""From a request to the bytes of its answer; the only place where errors become answers."""

from __future__ import annotations

import hmac
import logging
import math
from collections.abc import Awaitable, Callable, Mapping

import attrs
from twisted.internet.defer import CancelledError

from ..api.errors import (
    LimitExceededError,
    MatrixError,
    MissingTokenError,
    UnauthorizedError,
    UnknownError,
)
from ..logging import context
from ..server import Homeserver
from ..types.requester import Requester
from ..util.json import JsonValue, encode_json
from .authenticator import Authenticator, ServerAuthenticator
from .endpoint import Auth, Endpoint, FileBody, Request, Response
from .metrics import EndpointMetrics
from .router import MethodNotAllowedError

logger = logging.getLogger(__name__)

TranslateError = Callable[[BaseException], MatrixError | None]
"""Knows errors of other layers, for example of a database that is away (status 503)."""

Caller = Requester | str | None
"""Who calls: a user, a server's name, or nobody in particular."""

JSON_TYPE = "application/json"


@attrs.frozen
class Encoded:
    """An answer ready to be sent. `content_type` is empty when there is no body."""

    status: int
    body: bytes | FileBody
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


@attrs.frozen(eq=False)
class Route:
    """An endpoint as one process serves it."""

    endpoint: Endpoint
    answer: Callable[..., Awaitable[JsonValue | Response | Encoded]]
    authenticate: Callable[[Request], Awaitable[Caller]] | None
    check_limit: Callable[[str], None] | None
    is_rate_limited: Callable[[Requester], bool]
    max_body_bytes: int
    compress: bool
    metrics: EndpointMetrics


def authenticate_function(
    hs: Homeserver, auth: Auth
) -> Callable[[Request], Awaitable[Caller]] | None:
    """What an endpoint with this `auth` runs first; None when it lets everybody in."""
    if auth is Auth.NONE:
        return None
    if auth is Auth.REPLICATION:
        return _replication_check(hs.config.worker.replication_secret)
    if auth is Auth.SERVER:
        return hs.part(ServerAuthenticator).server
    authenticator = hs.part(Authenticator)
    if auth is Auth.ADMIN:
        return authenticator.admin
    if auth is Auth.OPTIONAL:
        return authenticator.optional
    allow_guest = auth is Auth.GUEST

    async def user(request: Request) -> Requester:
        return await authenticator.user(request, allow_guest=allow_guest)

    return user


def _replication_check(secret: str | None) -> Callable[[Request], Awaitable[Caller]] | None:
    if secret is None:
        # Then such endpoints are served on loopback addresses only, see config._checks.
        return None
    expected = secret.encode("utf-8")

    async def check(request: Request) -> Caller:
        bearer = request.bearer
        if bearer is None:
            raise MissingTokenError("Missing replication secret")
        if not hmac.compare_digest(bearer.encode("utf-8"), expected):
            raise UnauthorizedError("Wrong replication secret")
        return None

    return check


async def answer(route: Route, request: Request, parameters: Mapping[str, str]) -> Encoded:
    """Authenticate, check the limit, run the servlet. Raises what they raise."""
    caller: Caller = None
    if route.authenticate is not None:
        caller = await route.authenticate(request)
        if caller is not None:
            name = caller.user_id if isinstance(caller, Requester) else caller
            context.current().describe(requester=name)
    if route.check_limit is not None:
        _check_limit(route, request, caller)
    if route.endpoint.auth.passes_caller:
        value = await route.answer(request, caller, **parameters)
    else:
        value = await route.answer(request, **parameters)
    return encode(value)


def _check_limit(route: Route, request: Request, caller: Caller) -> None:
    assert route.check_limit is not None
    if not isinstance(caller, Requester):
        route.check_limit(caller or request.client_ip)
    elif route.is_rate_limited(caller):
        route.check_limit(caller.user_id)


def encode(value: JsonValue | Response | Encoded) -> Encoded:
    """What a servlet returned, ready to be sent."""
    if isinstance(value, Encoded):
        return value
    if not isinstance(value, Response):
        return Encoded(200, value if isinstance(value, bytes) else encode_json(value))
    body = value.body
    if not isinstance(body, (bytes, FileBody)):
        body = encode_json(body)
    headers = []
    content_type = JSON_TYPE
    for name, text in value.headers.items():
        if not name.isascii() or "\r" in text or "\n" in text:
            raise ValueError(f"The header {name!r} must be one line")
        if name.lower() == "content-type":
            content_type = text
        else:
            headers.append((name, text))
    return Encoded(value.status, body, content_type, tuple(headers))


def error_answer(error: Exception, translate: TranslateError | None, client_gone: bool) -> Encoded:
    """The answer to a request that failed. Unknown errors are logged, and say nothing outside."""
    if isinstance(error, MatrixError):
        return _matrix_error(error)
    if client_gone and isinstance(error, CancelledError):
        return Encoded(499, b"")
    translated = None if translate is None else translate(error)
    if translated is not None:
        logger.warning("Request failed: %s: %s", type(error).__name__, error)
        return _matrix_error(translated)
    logger.error("Request failed with an unexpected error", exc_info=error)
    return _matrix_error(UnknownError("Internal server error"))


def _matrix_error(error: MatrixError) -> Encoded:
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, LimitExceededError):
        retry_after_ms = error.extra.get("retry_after_ms")
        if isinstance(retry_after_ms, int):
            headers = (("Retry-After", str(math.ceil(retry_after_ms / 1000))),)
    elif isinstance(error, MethodNotAllowedError):
        headers = (("Allow", ", ".join((*error.allowed, "OPTIONS"))),)
    return Encoded(error.status, encode_json(error.to_json()), headers=headers)
