"""Tokens by which other services learn who a user is (client-server API, "OpenID")."""

from __future__ import annotations

from ..api.errors import ForbiddenError
from ..server import Homeserver
from ..storage.access_tokens import hash_token
from ..storage.short_tokens import OpenIdTokensStore
from ..types.requester import Requester
from ..util.json import JsonDict
from .access_tokens import OPENID_PREFIX, make_token

LIFETIME_SECONDS = 3600


class OpenIdHandler:
    """Hands out OpenID tokens, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(OpenIdTokensStore)
        self._clock = hs.clock
        self._server_name = hs.name

    async def request_token(self, requester: Requester, user_id: str) -> JsonDict:
        """A token, as the client gets it. Raises ForbiddenError for another user."""
        if requester.user_id != user_id:
            raise ForbiddenError("Tokens can be had for oneself only")
        token = make_token(OPENID_PREFIX)
        expires_ts = self._clock.time_ms() + LIFETIME_SECONDS * 1000
        await self._store.add_openid_token(user_id, hash_token(token), expires_ts)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "matrix_server_name": self._server_name,
            "expires_in": LIFETIME_SECONDS,
        }
