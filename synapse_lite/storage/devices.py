"""Devices: what users are logged in with."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from ._base import BaseStore
from .refresh_tokens import NewRefreshToken, RefreshTokensStore
from .short_tokens import LoginTokensStore
from .transaction import Transaction

_COLUMNS = ("device_id", "display_name", "last_seen_ts", "last_seen_ip", "last_seen_user_agent")


@attrs.frozen
class Device:
    """A device of a user. Times are in ms."""

    device_id: str
    display_name: str | None
    last_seen_ts: int | None = None
    last_seen_ip: str | None = None
    last_seen_user_agent: str | None = None


@attrs.frozen
class NewLogin:
    """A device that is logged in, with its tokens, and where the request came from.

    `expires_ts` is of the access token, in ms.
    """

    device_id: str
    display_name: str | None
    token: str = attrs.field(repr=False)
    ip: str = ""
    user_agent: str = ""
    expires_ts: int | None = None
    refresh: NewRefreshToken | None = None


class DevicesWorkerStore(BaseStore):
    """Reads of devices, in any process."""

    async def get_devices(self, user_id: str) -> list[Device]:
        """The devices of a user, by device id."""
        rows = await self.db.read(
            "get_devices", lambda txn: txn.select("devices", _COLUMNS, user_id=user_id)
        )
        return sorted((Device(*row) for row in rows), key=lambda device: device.device_id)

    async def get_device(self, user_id: str, device_id: str) -> Device | None:
        """One device of a user."""
        row = await self.db.read(
            "get_device",
            lambda txn: txn.select_one("devices", _COLUMNS, user_id=user_id, device_id=device_id),
        )
        return None if row is None else Device(*row)


class DevicesStore(DevicesWorkerStore, RefreshTokensStore, LoginTokensStore):
    """Writes of devices. A device and its tokens come and go together."""

    async def log_in_device(self, user_id: str, login: NewLogin) -> int:
        """Give a device a token, in place of those that it had. Returns the token's id.

        A new device gets the display name; a known one keeps its own.
        """
        return await self.db.run("log_in_device", self._log_in_device_txn, user_id, login)

    async def log_in_with_token(self, user_id: str, token_hash: str, login: NewLogin) -> bool:
        """Use up a login token, and give a device a token as `log_in_device`.

        Returns False, and changes nothing, if the token can no longer be used.
        """
        return await self.db.run(
            "log_in_with_token", self._log_in_with_token_txn, user_id, token_hash, login
        )

    def _log_in_with_token_txn(
        self, txn: Transaction, user_id: str, token_hash: str, login: NewLogin
    ) -> bool:
        if not self._use_login_token_txn(txn, user_id, token_hash):
            return False
        self._log_in_device_txn(txn, user_id, login)
        return True

    def _log_in_device_txn(self, txn: Transaction, user_id: str, login: NewLogin) -> int:
        now = self.clock.time_ms()
        seen = {
            "last_seen_ts": now,
            "last_seen_ip": login.ip,
            "last_seen_user_agent": login.user_agent,
        }
        key = {"user_id": user_id, "device_id": login.device_id}
        is_new = txn.insert_ignore(
            "devices", **key, display_name=login.display_name, created_ts=now, **seen
        )
        if not is_new:
            self._delete_tokens_of_devices_txn(txn, user_id, [login.device_id])
            self._delete_refresh_tokens_of_devices_txn(txn, user_id, [login.device_id])
            txn.update("devices", key, seen)
        refresh_id = None
        if login.refresh is not None:
            refresh_id = self._insert_refresh_token_txn(
                txn, user_id, login.device_id, login.refresh
            )
        return self._insert_access_token_txn(
            txn, user_id, login.token, login.device_id, login.expires_ts, refresh_id
        )

    async def rename_device(self, user_id: str, device_id: str, display_name: str | None) -> bool:
        """Change the display name. Returns whether there is such a device."""
        changed = await self.db.run(
            "rename_device",
            lambda txn: txn.update(
                "devices",
                {"user_id": user_id, "device_id": device_id},
                {"display_name": display_name},
            ),
        )
        return changed > 0

    async def delete_devices(self, user_id: str, device_ids: Collection[str]) -> None:
        """Log devices out and forget them; those that do not exist are passed over."""
        await self.db.run("delete_devices", self._delete_devices_txn, user_id, device_ids)

    def _delete_devices_txn(
        self, txn: Transaction, user_id: str, device_ids: Collection[str]
    ) -> None:
        self._delete_tokens_of_devices_txn(txn, user_id, device_ids)
        self._delete_refresh_tokens_of_devices_txn(txn, user_id, device_ids)
        clause, args = txn.in_clause("device_id", device_ids)
        txn.execute(f"DELETE FROM devices WHERE user_id = ? AND {clause}", [user_id, *args])

    async def log_out_everywhere(self, user_id: str) -> None:
        """Delete all devices and tokens of a user."""
        await self.db.run("log_out_everywhere", self._log_out_txn, user_id, None, None)

    def _log_out_txn(
        self,
        txn: Transaction,
        user_id: str,
        except_device_id: str | None,
        except_token_id: int | None,
    ) -> None:
        """Delete the user's devices and tokens, but for those that make this request."""
        self._delete_tokens_of_user_txn(txn, user_id, except_token_id)
        self._delete_refresh_tokens_of_user_txn(txn, user_id, except_device_id)
        self._delete_login_tokens_of_user_txn(txn, user_id)
        # No device has an empty id.
        txn.execute(
            "DELETE FROM devices WHERE user_id = ? AND device_id <> ?",
            (user_id, except_device_id or ""),
        )
