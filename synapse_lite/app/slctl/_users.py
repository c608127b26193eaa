"""Registers users through the admin API, with the shared secret."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

_SECONDS = 30.0
_PATH = "/_synapse/admin/v1/register"
_MAX_ANSWER = 1024 * 1024


class RegistrationFailedError(Exception):
    """The server did not make the user. `errcode` is what it said, if it said anything."""

    def __init__(self, message: str, errcode: str | None = None) -> None:
        super().__init__(message)
        self.errcode = errcode


def register_user(
    base_url: str, shared_secret: str, localpart: str, password: str, *, admin: bool
) -> str:
    """Make a user and return the user id. The log-in that comes with it is not used.

    Raises RegistrationFailedError.
    """
    nonce = _call(base_url, None)["nonce"]
    answer = _call(
        base_url,
        {
            "nonce": nonce,
            "username": localpart,
            "password": password,
            "admin": admin,
            "inhibit_login": True,
            "mac": registration_mac(shared_secret, nonce, localpart, password, admin=admin),
        },
    )
    user_id: str = answer["user_id"]
    return user_id


def registration_mac(
    shared_secret: str, nonce: str, localpart: str, password: str, *, admin: bool
) -> str:
    """What proves that one knows the secret."""
    parts = (nonce, localpart, password, "admin" if admin else "notadmin")
    message = b"\0".join(part.encode("utf-8") for part in parts)
    return hmac.new(shared_secret.encode("utf-8"), message, hashlib.sha1).hexdigest()


def _call(base_url: str, body: dict[str, Any] | None) -> dict[str, Any]:
    request = urllib.request.Request(
        base_url.rstrip("/") + _PATH,
        data=None if body is None else json.dumps(body).encode("utf-8"),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            answer = json.loads(response.read(_MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise _refusal(error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RegistrationFailedError(f"{base_url} does not answer: {error}") from error
    if not isinstance(answer, dict):
        raise RegistrationFailedError(f"{base_url} gave an answer that is not understood")
    return answer


def _refusal(error: urllib.error.HTTPError) -> RegistrationFailedError:
    try:
        answer = json.loads(error.read(_MAX_ANSWER))
        return RegistrationFailedError(
            f"{answer['error']} ({answer['errcode']})", answer["errcode"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return RegistrationFailedError(f"The server answered {error.code} {error.reason}")
