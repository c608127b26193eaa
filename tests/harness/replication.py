"""Joins a publisher and a follower in memory, with Twisted's fake transports."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.task import Clock as FakeReactor
from twisted.test.iosim import FakeTransport, IOPump

from synapse_lite.replication.master import ReplicationPublisher
from synapse_lite.replication.worker import ReplicationFollower

MAX_ROUNDS = 10_000


class MemoryEndpoint:
    """An IStreamClientEndpoint that leads to a publisher.

    `refuses` makes it behave as when nobody listens. Connections stay until one side closes, or
    `cut` is called; bytes move only in `flush`.
    """

    def __init__(self, publisher: ReplicationPublisher, reactor: FakeReactor) -> None:
        self.publisher = publisher
        self.refuses = False
        self.attempts = 0
        self._reactor = reactor
        self._pumps: list[IOPump] = []

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a new pair of protocols."""
        self.attempts += 1
        if self.refuses:
            return fail(ConnectionRefusedError())
        client: Any = factory.buildProtocol(None)
        server: Any = self.publisher.factory.buildProtocol(None)
        self._pumps.append(connect_pair(server, client, self._reactor))
        return succeed(client)

    @property
    def pumps(self) -> list[IOPump]:
        """The pumps of the connections that are open, oldest first."""
        self._pumps = [pump for pump in self._pumps if not _is_over(pump)]
        return self._pumps

    def flush(self) -> None:
        """Move bytes both ways until nothing moves any more; connections that close go away."""
        for _ in range(MAX_ROUNDS):
            self._reactor.advance(0)
            moved = [pump.pump(advanceClock=False) for pump in self.pumps]
            if not any(moved):
                return
        raise AssertionError("The two sides never come to rest")

    def cut(self, *, bytes_from_master: int = 0) -> None:
        """Break every connection; of what the master has written, so many bytes still arrive."""
        for pump in self.pumps:
            arriving = (pump.serverIO.getOutBuffer() or b"")[:bytes_from_master]
            if arriving:
                pump.client.dataReceived(arriving)
            for transport in (pump.serverIO, pump.clientIO):
                transport.disconnecting = transport.disconnected = True
            pump.serverIO.reportDisconnect()
            pump.clientIO.reportDisconnect()


def connect_pair(server: Any, client: Any, reactor: FakeReactor) -> IOPump:
    """Connect two protocols; nothing has been delivered yet."""
    server_io = FakeTransport(server, isServer=True)
    client_io = FakeTransport(client, isServer=False)
    server.makeConnection(server_io)
    client.makeConnection(client_io)
    return IOPump(client, server, client_io, server_io, debug=False, clock=reactor)


def connect_in_memory(
    publisher: ReplicationPublisher, follower: ReplicationFollower, reactor: FakeReactor
) -> MemoryEndpoint:
    """Start a follower on a publisher, and let them talk until they are level."""
    endpoint = MemoryEndpoint(publisher, reactor)
    follower.start(endpoint)
    endpoint.flush()
    return endpoint


def _is_over(pump: IOPump) -> bool:
    return bool(pump.serverIO.disconnected and pump.clientIO.disconnected)
