"""Notes where the requests of users come from: seldom for each client, and in batches."""

from __future__ import annotations

import logging

from ..replication.commands import UserIp
from ..replication.worker import ReplicationFollower
from ..server import Homeserver
from ..storage.access_tokens import AccessToken
from ..storage.client_ips import ClientIp, ClientIpsStore
from ..util.caches.expiring import ExpiringCache
from ..util.clock import Repeating

logger = logging.getLogger(__name__)

QUIET_MS = 120_000
"""A client is noted at most once in this time."""

WRITE_SECONDS = 5.0
FORGET_SECONDS = 3600.0
MAX_PENDING = 50_000
"""Notes that wait to be written; more are dropped, as these are no vital records."""

_MAX_CLIENTS = 100_000
MAX_USER_AGENT = 512

_Client = tuple[str, int, str]
"""User id, id of the access token, address."""


class ClientIps:
    """Notes requests. `app` binds the class that does it in a kind of process."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._noted: ExpiringCache[_Client, None] = ExpiringCache(
            hs.clock, "client_ips", QUIET_MS, _MAX_CLIENTS
        )

    def note(self, token: AccessToken, ip: str, user_agent: str) -> None:
        """A request with this token came from an address. Costs next to nothing if it is known."""
        client = (token.user_id, token.token_id, ip)
        if client in self._noted:
            return
        self._noted.set(client, None)
        self.take(
            ClientIp(
                user_id=token.user_id,
                access_token_id=token.token_id,
                ip=ip,
                user_agent=user_agent[:MAX_USER_AGENT],
                device_id=token.device_id,
                last_seen_ms=self._clock.time_ms(),
            )
        )

    def take(self, seen: ClientIp) -> None:
        """Pass a note on to where it is stored."""
        raise NotImplementedError


class WorkerClientIps(ClientIps):
    """In workers: tells the master."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._follower = hs.part(ReplicationFollower)

    def take(self, seen: ClientIp) -> None:
        """Send USER_IP."""
        self._follower.send(
            UserIp(
                user_id=seen.user_id,
                access_token_id=seen.access_token_id,
                ip=seen.ip,
                user_agent=seen.user_agent,
                device_id=seen.device_id,
                last_seen_ms=seen.last_seen_ms,
            )
        )


class MasterClientIps(ClientIps):
    """In the master: collects notes of all processes and writes them every few seconds.

    A duty: `start` begins to write, `stop` writes what is left.
    """

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._store = hs.part(ClientIpsStore)
        self._pending: dict[_Client, ClientIp] = {}
        self._timers: list[Repeating] = []

    def take(self, seen: ClientIp) -> None:
        """Keep a note until the next write; a later one of the same client replaces it."""
        client = (seen.user_id, seen.access_token_id, seen.ip)
        if len(self._pending) < MAX_PENDING or client in self._pending:
            self._pending[client] = seen

    def pending(self, user_id: str) -> list[ClientIp]:
        """What is known of a user and not yet written."""
        return [seen for seen in self._pending.values() if seen.user_id == user_id]

    async def start(self) -> None:
        """Begin to write."""
        self._timers = [
            self._clock.every(WRITE_SECONDS, self.write, name="write_client_ips"),
            self._clock.every(
                FORGET_SECONDS, self._store.forget_old_client_ips, name="forget_client_ips"
            ),
        ]

    async def stop(self) -> None:
        """Write what is left."""
        for timer in self._timers:
            timer.stop()
        self._timers = []
        await self.write()

    async def write(self) -> None:
        """Write all notes; they wait for the next round if that fails."""
        writing, self._pending = self._pending, {}
        if not writing:
            return
        try:
            await self._store.write_client_ips(list(writing.values()))
        except BaseException:
            self._pending = {**writing, **self._pending}
            raise
