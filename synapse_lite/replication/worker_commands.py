"""What the master does when a worker tells it something; higher layers implement it.

`app` binds the implementation, see `Homeserver.part`. Commands may be lost with the connection.
"""

from __future__ import annotations

from typing import ClassVar

from ..server import Homeserver
from .commands import FederationAck, RemovePusher, UserIp, UserSync


class WorkerCommands:
    """By default commands are counted and nothing else; implementations override.

    `connection_id` keys what belongs to one connection: two workers may have the same name.
    """

    invalidatable: ClassVar[frozenset[str]] = frozenset({"get_destination_retry_timings"})
    """Cached reads of which a worker may make entries stale: those that workers write."""

    def __init__(self, hs: Homeserver) -> None:
        """Subclasses ask `hs.part` for what they need."""

    async def user_sync(self, connection_id: str, command: UserSync) -> None:
        """A user has begun or ended to sync at that worker."""

    async def user_ip(self, connection_id: str, command: UserIp) -> None:
        """A client made a request at that worker."""

    async def federation_ack(self, connection_id: str, command: FederationAck) -> None:
        """The federation sender has taken over what lies before the token."""

    async def remove_pusher(self, connection_id: str, command: RemovePusher) -> None:
        """A push gateway has refused a key."""

    async def connection_lost(self, connection_id: str) -> None:
        """The worker has gone, and with it the users that synced there."""
