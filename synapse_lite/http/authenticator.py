"""What the endpoints need to know of accounts and of other servers; higher layers implement it.

`app` binds the implementations, see `Homeserver.part`.
"""

from __future__ import annotations

from ..api.errors import ForbiddenError, MissingTokenError
from ..types.requester import Requester
from .request import Request


class Authenticator:
    """Says which user a request comes from. Implementations override `authenticate`."""

    async def authenticate(
        self, request: Request, *, allow_guest: bool, required: bool
    ) -> Requester | None:
        """The requester; None only when the request has no token and none is `required`.

        Raises MissingTokenError, UnknownTokenError, GuestAccessForbiddenError, UserLockedError,
        UserDeactivatedError.
        """
        raise NotImplementedError

    def is_rate_limited(self, requester: Requester) -> bool:
        """Whether limits on requests apply to the requester. Must not wait for anything."""
        return True

    async def user(self, request: Request, *, allow_guest: bool) -> Requester:
        """The requester of a request that must have one."""
        requester = await self.authenticate(request, allow_guest=allow_guest, required=True)
        if requester is None:
            raise MissingTokenError("Missing access token")
        return requester

    async def optional(self, request: Request) -> Requester | None:
        """The requester (guests too), or None when the request carries no token."""
        return await self.authenticate(request, allow_guest=True, required=False)

    async def admin(self, request: Request) -> Requester:
        """The requester, who must be an administrator of this server."""
        requester = await self.user(request, allow_guest=False)
        if not requester.is_admin:
            raise ForbiddenError("You are not a server administrator")
        return requester


class ServerAuthenticator:
    """Says which homeserver a signed request comes from."""

    async def server(self, request: Request) -> str:
        """The name of the server that signed the request (`Authorization: X-Matrix`).

        Raises UnauthorizedError, ForbiddenError.
        """
        raise NotImplementedError
