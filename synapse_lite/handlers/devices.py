"""Devices of users: listing, naming, logging out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from ..api.errors import NotFoundError
from ..server import Homeserver
from ..storage.client_ips import ClientIp
from ..storage.devices import Device, DevicesStore
from ..types.requester import Requester
from .client_ips import MasterClientIps


class DeviceHandler:
    """Devices, on the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(DevicesStore)
        self._client_ips = hs.part(MasterClientIps)

    async def get_devices(self, user_id: str) -> list[Device]:
        """All devices of a user, as last seen up to now."""
        seen = self._latest(user_id)
        return [_brought_up(device, seen) for device in await self._store.get_devices(user_id)]

    async def get_device(self, user_id: str, device_id: str) -> Device:
        """One device. Raises NotFoundError."""
        device = await self._store.get_device(user_id, device_id)
        if device is None:
            raise NotFoundError("No such device")
        return _brought_up(device, self._latest(user_id))

    def _latest(self, user_id: str) -> Mapping[str | None, ClientIp]:
        """The latest use of each device that is not yet written."""
        found: dict[str | None, ClientIp] = {}
        for seen in self._client_ips.pending(user_id):
            known = found.get(seen.device_id)
            if known is None or known.last_seen_ms < seen.last_seen_ms:
                found[seen.device_id] = seen
        return found

    async def rename(self, user_id: str, device_id: str, display_name: str | None) -> None:
        """Change the display name. Raises NotFoundError."""
        if not await self._store.rename_device(user_id, device_id, display_name):
            raise NotFoundError("No such device")

    async def delete(self, user_id: str, device_ids: Collection[str]) -> None:
        """Log devices out and forget them; those that do not exist are passed over."""
        if device_ids:
            await self._store.delete_devices(user_id, device_ids)

    async def log_out(self, requester: Requester) -> None:
        """Forget the device that makes the request, and its token."""
        if requester.device_id is not None:
            await self._store.delete_devices(requester.user_id, [requester.device_id])
        elif requester.access_token_id is not None:
            await self._store.delete_access_token(requester.access_token_id)

    async def log_out_everywhere(self, requester: Requester) -> None:
        """Forget all of the user's devices and tokens."""
        await self._store.log_out_everywhere(requester.user_id)


def _brought_up(device: Device, seen: Mapping[str | None, ClientIp]) -> Device:
    latest = seen.get(device.device_id)
    if latest is None or latest.last_seen_ms < (device.last_seen_ts or 0):
        return device
    return attrs.evolve(
        device,
        last_seen_ts=latest.last_seen_ms,
        last_seen_ip=latest.ip,
        last_seen_user_agent=latest.user_agent,
    )
