"""Connections to hosts whose names others choose: resolve, check each address, then connect.

The check and the connection use the same answer of the resolver, so a name cannot point to one
address for the check and to another for the connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

try:
    from twisted.internet.ssl import optionsForClientTLS
except ImportError:  # a process that speaks no TLS leaves it out, see `app._launch`
    optionsForClientTLS = None  # type: ignore[assignment]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

CONNECT_SECONDS = 10
"""Time for a TCP connection to one address."""

_MAX_ADDRESSES = 4


class BlockedAddressError(Exception):
    """A host has only addresses to which this server must not connect."""


@implementer(IResolutionReceiver)
class _Addresses:
    """Collects what the resolver finds."""

    def __init__(self) -> None:
        self.done: Deferred[list[IpAddress]] = Deferred()
        self._found: list[IpAddress] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """The resolver has started."""

    def addressResolved(self, address: IAddress) -> None:
        """One address; others than IP addresses are of no use."""
        host = getattr(address, "host", None)
        if isinstance(host, str):
            # A scope such as %eth0 names one of our own interfaces.
            self._found.append(ipaddress.ip_address(host.partition("%")[0]))

    def resolutionComplete(self) -> None:
        """That was all."""
        self.done.callback(self._found)


async def resolve(reactor: Any, host: str) -> list[IpAddress]:
    """The addresses of a name or IP literal, in the resolver's order.

    Raises DNSLookupError if there are none.
    """
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        # Not a literal, so a name. Odd spellings such as 127.1 are left to the resolver, whose
        # result is checked like any other.
        pass
    receiver = _Addresses()
    reactor.nameResolver.resolveHostName(receiver, host)
    found = await receiver.done
    if not found:
        raise DNSLookupError(f"No address found for {host}")
    return found


@implementer(IStreamClientEndpoint)
class CheckedEndpoint:
    """Connects to the first address of a host that is allowed and answers."""

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        allows: Callable[[IpAddress], bool],
        tls_options: Any = None,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._allows = allows
        self._tls_options = tls_options

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with BlockedAddressError, DNSLookupError, or what connecting failed with."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        addresses = await resolve(self._reactor, self._host)
        allowed = [address for address in addresses if self._allows(address)]
        if not allowed:
            raise BlockedAddressError(f"{self._host} has no address that may be connected to")
        last_error: ConnectError | None = None
        for address in allowed[:_MAX_ADDRESSES]:
            try:
                protocol: IProtocol = await self._endpoint(address).connect(factory)
                return protocol
            except ConnectError as error:
                last_error = error
        assert last_error is not None
        raise last_error

    def _endpoint(self, address: IpAddress) -> Any:
        kind = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
        endpoint = kind(self._reactor, str(address), self._port, timeout=CONNECT_SECONDS)
        if self._tls_options is None:
            return endpoint
        return wrapClientTLS(self._tls_options, endpoint)


@implementer(IAgentEndpointFactory)
class CheckedEndpointFactory:
    """Gives an `Agent` endpoints that check addresses."""

    def __init__(self, reactor: Any, allows: Callable[[IpAddress], bool]) -> None:
        self._reactor = reactor
        self._allows = allows

    def endpointForURI(self, uri: URI) -> CheckedEndpoint:
        """The endpoint of an http or https URI; certificates are checked.

        Raises ConnectError for https in a process that speaks no TLS.
        """
        host = uri.host.decode("ascii").strip("[]")
        tls_options = None
        if uri.scheme == b"https":
            if optionsForClientTLS is None:
                raise ConnectError(string="This process speaks no TLS")
            tls_options = optionsForClientTLS(host)
        return CheckedEndpoint(self._reactor, host, uri.port, self._allows, tls_options)
