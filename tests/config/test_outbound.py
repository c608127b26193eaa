"""Which addresses may be reached."""

from __future__ import annotations

import ipaddress

from tests.config.helpers import ConfigTestCase, config


class OutboundTestCase(ConfigTestCase):
    """Blacklists and whitelists."""

    def test_private_addresses_are_blocked_by_default(self) -> None:
        outbound = config().outbound
        for address in (
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
        ):
            self.assertFalse(outbound.allows(ipaddress.ip_address(address)), address)
            self.assertFalse(outbound.allows_federation(ipaddress.ip_address(address)), address)

    def test_public_addresses_are_not(self) -> None:
        for address in ("1.1.1.1", "8.8.8.8", "2606:4700::1111"):
            self.assertTrue(config().outbound.allows(ipaddress.ip_address(address)), address)

    def test_ipv4_inside_of_ipv6_is_seen(self) -> None:
        outbound = config().outbound
        for address in ("::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"):
            self.assertFalse(outbound.allows(ipaddress.ip_address(address)), address)
        self.assertTrue(outbound.allows(ipaddress.ip_address("::ffff:1.1.1.1")))

    def test_whitelist(self) -> None:
        outbound = config(ip_range_whitelist=["10.1.2.3"]).outbound
        self.assertTrue(outbound.allows(ipaddress.ip_address("10.1.2.3")))
        self.assertFalse(outbound.allows(ipaddress.ip_address("10.1.2.4")))

    def test_federation_has_its_own_blacklist(self) -> None:
        outbound = config(federation_ip_range_blacklist=[]).outbound
        self.assertTrue(outbound.allows_federation(ipaddress.ip_address("127.0.0.1")))
        self.assertFalse(outbound.allows(ipaddress.ip_address("127.0.0.1")))

    def test_bad_network(self) -> None:
        self.assert_problem(
            "ip_range_blacklist: ['::1', 10.0.0.0/99]\n", "ip_range_blacklist[1]", "IP address"
        )


class FederationTestCase(ConfigTestCase):
    """The list of servers to speak with."""

    def test_all_by_default(self) -> None:
        self.assertTrue(config().federation.allows("a.example"))

    def test_only_those_listed(self) -> None:
        federation = config(federation_domain_whitelist=["a.example"]).federation
        self.assertTrue(federation.allows("a.example"))
        self.assertFalse(federation.allows("b.example"))

    def test_an_empty_list_allows_none(self) -> None:
        self.assertFalse(config(federation_domain_whitelist=[]).federation.allows("a.example"))
