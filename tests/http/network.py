"""A network in memory: names, addresses and sites, for the tests of our clients."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump, connect

T = TypeVar("T")


class _Resolver:
    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names

    def resolveHostName(self, receiver: Any, hostName: str, *args: Any) -> None:
        receiver.resolutionBegan(None)
        for text in self._names.get(hostName, []):
            kind = IPv6Address if ":" in text else IPv4Address
            receiver.addressResolved(kind("TCP", text, 0))
        receiver.resolutionComplete()


class Silent(Factory):
    """A server that takes requests and never answers."""

    protocol = Protocol


class _Dropping(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class Dropping(Factory):
    """A server that closes the connection when a request comes."""

    protocol = _Dropping


class Network:
    """`names` maps host names to addresses, `servers` address and port to a factory."""

    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.names: dict[str, list[str]] = {}
        self.servers: dict[tuple[str, int], IProtocolFactory] = {}
        self.connections: list[tuple[str, int]] = []
        self.reactor.nameResolver = _Resolver(self.names)
        self._pumps: list[IOPump] = []

    def turn(self, seconds: float = 0) -> None:
        """Carry out what has been begun."""
        self.reactor.advance(seconds)
        for _ in range(20):
            while self.reactor.tcpClients:
                self._connect(*self.reactor.tcpClients.pop(0)[:3])
            moved = [pump.pump() for pump in self._pumps]
            if not any(moved):
                break

    def _connect(self, host: str, port: int, factory: Any) -> None:
        self.connections.append((host, port))
        self.reactor.connectors.clear()
        server_factory = self.servers.get((host, port))
        if server_factory is None:
            factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
            return
        client = factory.buildProtocol(IPv4Address("TCP", host, port))
        server = server_factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
        peer = IPv4Address("TCP", "127.0.0.1", 50000)
        self._pumps.append(
            connect(
                server,
                FakeTransport(server, isServer=True, hostAddress=peer, peerAddress=peer),
                client,
                FakeTransport(client, isServer=False, hostAddress=peer, peerAddress=peer),
            )
        )

    def run(
        self, start: Callable[[], Coroutine[Any, Any, T]], *, seconds: float = 0.0, turns: int = 50
    ) -> T:
        """The result of a coroutine function; `seconds` pass with each turn."""
        running = Deferred.fromCoroutine(start())
        results: list[Any] = []
        running.addBoth(results.append)
        for _ in range(turns):
            if results:
                break
            self.turn(seconds)
        if not results:
            raise AssertionError("It did not end")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: T = results[0]
        return result
