"""Devices (client-server API, "Device management")."""

from __future__ import annotations

from ...api.urls import CLIENT
from ...handlers.devices import DeviceHandler
from ...handlers.sessions import MAX_DEVICE_ID_BYTES, MAX_DEVICE_NAME_BYTES
from ...handlers.ui_auth import UiAuthHandler
from ...http.endpoint import Auth, Request, Servlet, endpoint
from ...http.parameters import optional_str, require_str_list
from ...server import Homeserver
from ...storage.devices import Device as StoredDevice
from ...types.requester import Requester
from ...util.json import JsonDict
from .account import password_operation

MAX_DEVICES = 1000
"""Most devices in one request."""


def _to_json(device: StoredDevice) -> JsonDict:
    """All fields, since some clients need each of them and the specification has no nulls."""
    return {
        "device_id": device.device_id,
        "display_name": device.display_name or "",
        "last_seen_ip": device.last_seen_ip or "",
        "last_seen_ts": device.last_seen_ts or 0,
    }


@endpoint("GET", CLIENT, "/devices", auth=Auth.GUEST)
class Devices(Servlet):
    """All devices of the user."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(DeviceHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        devices = await self._handler.get_devices(requester.user_id)
        return {"devices": [_to_json(device) for device in devices]}


@endpoint("GET PUT", CLIENT, "/devices/{device_id}", auth=Auth.GUEST)
@endpoint("DELETE", CLIENT, "/devices/{device_id}")
class Device(Servlet):
    """One device of the user."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(DeviceHandler)
        self._ui_auth = hs.part(UiAuthHandler)

    async def get(self, request: Request, requester: Requester, device_id: str) -> JsonDict:
        """The device."""
        return _to_json(await self._handler.get_device(requester.user_id, device_id))

    async def put(self, request: Request, requester: Requester, device_id: str) -> JsonDict:
        """Change its name; without one in the body nothing changes."""
        name = optional_str(request.json(), "display_name", max_bytes=MAX_DEVICE_NAME_BYTES)
        if name is None:
            await self._handler.get_device(requester.user_id, device_id)
        else:
            await self._handler.rename(requester.user_id, device_id, name)
        return {}

    async def delete(self, request: Request, requester: Requester, device_id: str) -> JsonDict:
        """Log it out, with user-interactive authentication."""
        approval = await self._ui_auth.approve(
            password_operation(f"delete device {device_id}", request, requester),
            request.json_or_empty(),
        )
        await self._handler.delete(requester.user_id, [device_id])
        await self._ui_auth.finish(approval)
        return {}


@endpoint("POST", CLIENT, "/delete_devices")
class DeleteDevices(Servlet):
    """Log several devices out, with user-interactive authentication."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._handler = hs.part(DeviceHandler)
        self._ui_auth = hs.part(UiAuthHandler)

    async def answer(self, request: Request, requester: Requester) -> JsonDict:
        body = request.json()
        device_ids = require_str_list(body, "devices", MAX_DEVICES, MAX_DEVICE_ID_BYTES)
        approval = await self._ui_auth.approve(
            password_operation("delete devices", request, requester), body
        )
        await self._handler.delete(requester.user_id, device_ids)
        await self._ui_auth.finish(approval)
        return {}


SERVLETS: tuple[type[Servlet], ...] = (Devices, Device, DeleteDevices)
