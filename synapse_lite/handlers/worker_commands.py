"""What the master does when a worker tells it something."""

from __future__ import annotations

from ..replication.commands import UserIp, UserSync
from ..replication.worker_commands import WorkerCommands
from ..server import Homeserver
from ..storage.client_ips import ClientIp
from .client_ips import MasterClientIps
from .presence import PresenceHandler, Syncing
from .syncing_users import SYNCING_BY_WORD


class WorkerCommandsHandler(WorkerCommands):
    """Hands commands on to the handlers that they concern."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._client_ips = hs.part(MasterClientIps)
        self._presence = hs.part(PresenceHandler)

    async def user_sync(self, connection_id: str, command: UserSync) -> None:
        """A user has begun or ended to sync at that worker."""
        syncing = SYNCING_BY_WORD[command.presence] if command.is_syncing else Syncing.NO
        self._presence.set_syncing(connection_id, command.user_id, syncing, command.last_sync_ms)

    async def connection_lost(self, connection_id: str) -> None:
        """The worker has gone, and with it the users that synced there."""
        self._presence.process_lost(connection_id)

    async def user_ip(self, connection_id: str, command: UserIp) -> None:
        """A client made a request at that worker."""
        if command.access_token_id is None:
            return
        self._client_ips.take(
            ClientIp(
                user_id=command.user_id,
                access_token_id=command.access_token_id,
                ip=command.ip,
                user_agent=command.user_agent,
                device_id=command.device_id,
                last_seen_ms=command.last_seen_ms,
            )
        )
