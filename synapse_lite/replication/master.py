"""The master's end: sends the rows of every stream to the workers, and hears what they say."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

from ..server import Homeserver
from ..storage._base import MasterStore
from ..storage.transaction import Transaction
from ..streams import STREAMS, Stream
from ..util.async_helpers import run_in_background
from ..util.clock import Clock
from .commands import InvalidateCache, Sync
from .master_connection import MasterConnection
from .subscription import Subscription, lines_for
from .worker_commands import WorkerCommands

logger = logging.getLogger(__name__)

MAX_UNAUTHENTICATED = 20
"""Connections that may be in the middle of the handshake."""


@attrs.frozen
class _CacheName:
    """A cached read, which this process need not have."""

    name: str


class ReplicationPublisher:
    """Part of the master. `factory` makes the connections of a listener of type `replication`.

    It hears of rows as soon as it is built. While nobody is connected nothing is encoded, and
    nothing is remembered: positions are those of the store.
    """

    def __init__(self, hs: Homeserver) -> None:
        self.clock: Clock = hs.clock
        self.server_name = hs.name
        self.secret = hs.config.worker.replication_secret
        self.worker_commands = hs.part(WorkerCommands)
        self.connections: set[MasterConnection] = set()
        self.factory = PublisherFactory(self)
        self._store = hs.part(MasterStore)
        self._store.follow(self.publish)
        self._subscriptions: dict[str, set[Subscription]] = {
            stream.name: set() for stream in STREAMS
        }

    async def stop(self) -> None:
        """Tell every worker that this process ends. The listener must be closed before."""
        for connection in list(self.connections):
            connection.close_with_error("Server shutting down", "shutdown")

    def publish(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        """Send the rows of one token, encoded once, to everybody who follows the stream."""
        subscriptions = self._subscriptions[stream.name]
        if not subscriptions:
            return
        try:
            lines = lines_for(stream, token, rows)
        except Exception:
            # The next rows must not pass these by: workers ask for what they have missed.
            logger.exception("Cannot send stream %s at %d", stream.name, token)
            for subscription in tuple(subscriptions):
                subscription.connection.close_with_error(
                    f"Cannot send stream {stream.name}", "bad row"
                )
            return
        for subscription in tuple(subscriptions):
            subscription.publish(lines)

    def sync(self, text: str) -> None:
        """Send a SYNC barrier behind all rows sent so far, for tests."""
        for connection in self.connections:
            if connection.is_let_in:
                connection.send(Sync(text))

    def subscribe(self, connection: MasterConnection, stream: Stream, since: int | None) -> None:
        """Begin to send a stream; a former subscription of the connection ends."""
        former = connection.subscriptions.get(stream.name)
        if former is not None:
            self._forget(former)
        subscription = Subscription(self._store, connection, stream, since)
        connection.subscriptions[stream.name] = subscription
        self._subscriptions[stream.name].add(subscription)
        connection.subscribed_names = frozenset(connection.subscriptions)
        run_in_background(subscription.run)

    def _forget(self, subscription: Subscription) -> None:
        subscription.cancel()
        self._subscriptions[subscription.stream.name].discard(subscription)

    def may_connect(self) -> bool:
        """Whether one more connection may begin the handshake."""
        beginning = sum(not connection.is_let_in for connection in self.connections)
        return beginning < MAX_UNAUTHENTICATED

    def connection_lost(self, connection: MasterConnection) -> None:
        """Forget all of a connection."""
        self.connections.discard(connection)
        for subscription in connection.subscriptions.values():
            self._forget(subscription)
        connection.subscriptions.clear()
        run_in_background(self.worker_commands.connection_lost, connection.connection_id)

    async def invalidate_cache(self, command: InvalidateCache) -> None:
        """Make an entry stale everywhere: the row goes out over the caches stream."""
        if command.cache not in self.worker_commands.invalidatable:
            logger.warning("Workers may not invalidate %.100r", command.cache)
            return
        await self._store.db.run("invalidate_cache", self._invalidate_cache_txn, command)

    @staticmethod
    def _invalidate_cache_txn(txn: Transaction, command: InvalidateCache) -> None:
        txn.invalidate(_CacheName(command.cache), command.keys)


class PublisherFactory(Factory):
    """Makes the master's end of each connection."""

    noisy = False

    def __init__(self, publisher: ReplicationPublisher) -> None:
        self._publisher = publisher

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Called by Twisted for each worker that connects."""
        return MasterConnection(self._publisher)
