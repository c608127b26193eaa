"""How the master learns that a client has received a refreshed access token.

The first use of the new token revokes the refresh token that it replaces (client-server API,
"Refreshing access tokens"), and only the master writes. `app` binds what stands for
`TokenConfirmation` in a process.
"""

from __future__ import annotations

import logging

from ..api.urls import REPLICATION
from ..http.client import InternalClient, UnreachableError
from ..http.endpoint import Auth, Request, Servlet, endpoint
from ..http.parameters import require_int
from ..server import Homeserver
from ..util.json import JsonDict

logger = logging.getLogger(__name__)

PATH = "/confirm_refresh_token"

TIMEOUT_SECONDS = 2.0
"""A request that a worker could answer by itself waits no longer for this."""


class TokenConfirmation:
    """Told of the first use of an access token that came from a refresh."""

    async def confirm(self, refresh_token_id: int) -> None:
        """Revoke what the refresh token replaces. May be repeated."""
        raise NotImplementedError


class WorkerTokenConfirmation(TokenConfirmation):
    """The worker's side: one HTTP call to the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._client = hs.part(InternalClient)
        self._uri = f"{hs.config.worker.replication_http_uri}{REPLICATION[0]}{PATH}"

    async def confirm(self, refresh_token_id: int) -> None:
        """See TokenConfirmation. While the master is away, the next use of the token tells it."""
        try:
            await self._client.post(
                self._uri,
                {"refresh_token_id": refresh_token_id},
                timeout_seconds=TIMEOUT_SECONDS,
                idempotent=True,
            )
        except UnreachableError as error:
            logger.warning("Cannot tell the master of a refreshed token: %s", error)


@endpoint("POST", REPLICATION, PATH, auth=Auth.REPLICATION)
class ConfirmRefreshToken(Servlet):
    """The master's side of the call."""

    def __init__(self, hs: Homeserver) -> None:
        self._confirmation = hs.part(TokenConfirmation)

    async def answer(self, request: Request) -> JsonDict:
        await self._confirmation.confirm(require_int(request.json(), "refresh_token_id"))
        return {}


SERVLETS: tuple[type[Servlet], ...] = (ConfirmRefreshToken,)
