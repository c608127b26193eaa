"""What administrators do by the client API (section "Server Administration")."""

from __future__ import annotations

from ...api.urls import ADMIN_V1, CLIENT, CLIENT_V1
from ...handlers.moderation import ModerationHandler, WhoIsHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import require_bool
from ...server import Homeserver
from ...types.requester import Requester
from ...util.json import JsonDict


@endpoint("GET", CLIENT, "/admin/whois/{user_id}")
@endpoint("GET", ADMIN_V1, "/whois/{user_id}", auth=Auth.ADMIN)
class WhoIs(Servlet):
    """Where the requests of a user come from: for administrators, and for oneself."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(WhoIsHandler)

    async def answer(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        return await self._handler.whois(requester, user_id)


@endpoint("GET PUT", CLIENT_V1, "/admin/lock/{user_id}", auth=Auth.ADMIN)
class LockUser(Servlet):
    """Lock an account (section "Account locking")."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(ModerationHandler)

    async def get(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        """Whether it is."""
        return {"locked": await self._handler.is_locked(user_id)}

    async def put(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        """Lock or unlock it."""
        locked = require_bool(request.json(), "locked")
        await self._handler.set_locked(user_id, locked)
        return {"locked": locked}


@endpoint("GET PUT", CLIENT_V1, "/admin/suspend/{user_id}", auth=Auth.ADMIN)
class SuspendUser(Servlet):
    """Suspend an account (section "Account suspension")."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(ModerationHandler)

    async def get(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        """Whether it is."""
        return {"suspended": await self._handler.is_suspended(user_id)}

    async def put(self, request: Request, requester: Requester, user_id: str) -> JsonDict:
        """Suspend it, or lift that."""
        suspended = require_bool(request.json(), "suspended")
        await self._handler.set_suspended(user_id, suspended)
        return {"suspended": suspended}


SERVLETS: tuple[type[Servlet], ...] = (WhoIs, LockUser, SuspendUser)
