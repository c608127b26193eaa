"""Where requests of users came from."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ._base import BaseStore, MasterStore
from .transaction import Transaction

KEPT_MS = 28 * 24 * 60 * 60 * 1000
"""How long an address is remembered."""


@attrs.frozen
class ClientIp:
    """One use of an access token from an address; `last_seen_ms` since the epoch."""

    user_id: str
    access_token_id: int
    ip: str
    user_agent: str
    device_id: str | None
    last_seen_ms: int


class ClientIpsWorkerStore(BaseStore):
    """Reads of addresses, in any process."""

    async def get_client_ips(self, user_id: str) -> list[ClientIp]:
        """What is known of a user, latest first."""
        rows = await self.db.read(
            "get_client_ips",
            lambda txn: txn.query(
                "SELECT user_id, access_token_id, ip, user_agent, device_id, last_seen"
                " FROM user_ips WHERE user_id = ? ORDER BY last_seen DESC",
                (user_id,),
            ),
        )
        return [ClientIp(*row) for row in rows]


class ClientIpsStore(ClientIpsWorkerStore, MasterStore):
    """Writes of addresses."""

    async def write_client_ips(self, seen: Sequence[ClientIp]) -> None:
        """Store many at once: two statements, however many there are."""
        await self.db.run_relaxed("write_client_ips", self._write_client_ips_txn, seen)

    @staticmethod
    def _write_client_ips_txn(txn: Transaction, seen: Sequence[ClientIp]) -> None:
        txn.upsert_many(
            "user_ips",
            ("user_id", "access_token_id", "ip"),
            ("device_id", "user_agent", "last_seen"),
            [
                (
                    each.user_id,
                    each.access_token_id,
                    each.ip,
                    each.device_id,
                    each.user_agent,
                    each.last_seen_ms,
                )
                for each in seen
            ],
        )
        txn.executemany(
            "UPDATE devices SET last_seen_ts = ?, last_seen_ip = ?, last_seen_user_agent = ?"
            " WHERE user_id = ? AND device_id = ? AND (last_seen_ts IS NULL OR last_seen_ts <= ?)",
            [
                (
                    each.last_seen_ms,
                    each.ip,
                    each.user_agent,
                    each.user_id,
                    each.device_id,
                    each.last_seen_ms,
                )
                for each in seen
                if each.device_id is not None
            ],
        )

    async def forget_old_client_ips(self) -> None:
        """Delete what is older than `KEPT_MS`."""
        await self.db.run_relaxed(
            "forget_old_client_ips",
            lambda txn: txn.execute(
                "DELETE FROM user_ips WHERE last_seen < ?", (self.clock.time_ms() - KEPT_MS,)
            ),
        )
