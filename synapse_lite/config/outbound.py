"""Which addresses this server may connect to when others choose the name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section
from synapse_lite.config._parsers import IpNetwork

DEFAULT_BLACKLIST = tuple(
    ipaddress.ip_network(network)
    for network in (
        # Addresses that the registries of special-purpose addresses (RFC 6890) do not call
        # globally reachable, and multicast.
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@section(title="Outbound connections")
class OutboundConfig:
    """Which addresses may be reached for federation, push, previews and application data."""

    ip_range_blacklist: tuple[IpNetwork, ...] = option(
        default=DEFAULT_BLACKLIST,
        doc="Networks that are never connected to for push, previews, media and federation.",
        parse=_parsers.network,
        shown_default="all private, local and reserved networks",
        example=["127.0.0.0/8", "10.0.0.0/8", "::1/128"],
    )
    ip_range_whitelist: tuple[IpNetwork, ...] = option(
        default=(),
        doc="Networks that are allowed although they lie within a blacklist.",
        parse=_parsers.network,
        example=["10.1.2.3"],
    )
    federation_ip_range_blacklist: tuple[IpNetwork, ...] | None = option(
        default=None,
        doc="Takes the place of `ip_range_blacklist` for federation. An empty list allows all.",
        parse=_parsers.network,
        shown_default="the value of `ip_range_blacklist`",
        example=["127.0.0.0/8", "::1/128"],
    )

    def allows(self, address: IpAddress) -> bool:
        """Whether push, previews and media may connect to an address."""
        return self._allows(address, self.ip_range_blacklist)

    def allows_federation(self, address: IpAddress) -> bool:
        """Whether federation may connect to an address."""
        blacklist = self.federation_ip_range_blacklist
        return self._allows(address, self.ip_range_blacklist if blacklist is None else blacklist)

    def _allows(self, address: IpAddress, blacklist: Iterable[IpNetwork]) -> bool:
        forms = {address, _embedded_ipv4(address)}
        blocked = any(form in network for form in forms for network in blacklist)
        return not blocked or any(
            form in network for form in forms for network in self.ip_range_whitelist
        )


def _embedded_ipv4(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address leads to, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
