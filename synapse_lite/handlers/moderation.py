"""What administrators of this server do about accounts: look, lock, suspend."""

from __future__ import annotations

from ..api.errors import ForbiddenError, InvalidParamError, NotFoundError
from ..server import Homeserver
from ..storage.client_ips import ClientIp, ClientIpsWorkerStore
from ..storage.registration import RegistrationStore, User
from ..types.ids import is_user_id
from ..types.requester import Requester
from ..util.json import JsonDict
from .client_ips import MasterClientIps


class ModerationHandler:
    """Locks and suspends accounts, on the master. Who asks must be an administrator."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(RegistrationStore)
        self._is_mine = hs.is_mine

    async def is_locked(self, user_id: str) -> bool:
        """Whether an account is locked. Raises as `set_locked`."""
        return (await self._account(user_id)).is_locked

    async def is_suspended(self, user_id: str) -> bool:
        """Whether an account is suspended. Raises as `set_locked`."""
        return (await self._account(user_id)).is_suspended

    async def set_locked(self, user_id: str, locked: bool) -> None:
        """Lock an account, or unlock it.

        Raises InvalidParamError for accounts of other servers, NotFoundError, and ForbiddenError
        for accounts of administrators.
        """
        await self._account(user_id)
        await self._store.set_locked(user_id, locked)

    async def set_suspended(self, user_id: str, suspended: bool) -> None:
        """Suspend an account, or lift that. Raises as `set_locked`."""
        await self._account(user_id)
        await self._store.set_suspended(user_id, suspended)

    async def _account(self, user_id: str) -> User:
        if not is_user_id(user_id) or not self._is_mine(user_id):
            raise InvalidParamError("This is not a user of this server")
        user = await self._store.get_user(user_id)
        if user is None or user.is_deactivated:
            raise NotFoundError("There is no such account")
        if user.is_admin:
            raise ForbiddenError("Administrators cannot be locked or suspended")
        return user


class WhoIsHandler:
    """Tells where the requests of a user come from, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._users = hs.part(RegistrationStore)
        self._store = hs.part(ClientIpsWorkerStore)
        self._client_ips = hs.part(MasterClientIps)

    async def whois(self, requester: Requester, user_id: str) -> JsonDict:
        """Devices, their sessions and addresses, as clients get them.

        Raises ForbiddenError unless one asks for oneself or is an administrator, and
        NotFoundError for a user who has no account here.
        """
        if requester.user_id != user_id and not requester.is_admin:
            raise ForbiddenError("Only administrators may look at other users")
        if await self._users.get_user(user_id) is None:
            raise NotFoundError("There is no such account")
        stored = await self._store.get_client_ips(user_id)
        return {"user_id": user_id, "devices": _devices([*stored, *self._pending(user_id)])}

    def _pending(self, user_id: str) -> list[ClientIp]:
        return self._client_ips.pending(user_id)


def _devices(seen: list[ClientIp]) -> JsonDict:
    """By device, by access token, by address; of the same address the latest use."""
    latest = {(each.device_id, each.access_token_id, each.ip): each for each in seen}
    sessions: dict[tuple[str | None, int], list[JsonDict]] = {}
    for each in sorted(latest.values(), key=lambda each: -each.last_seen_ms):
        connection = {
            "ip": each.ip,
            "last_seen": each.last_seen_ms,
            "user_agent": each.user_agent,
        }
        sessions.setdefault((each.device_id, each.access_token_id), []).append(connection)
    devices: dict[str, JsonDict] = {}
    for (device_id, _), connections in sessions.items():
        device = devices.setdefault(device_id or "", {"sessions": []})
        device["sessions"].append({"connections": connections})
    return devices
