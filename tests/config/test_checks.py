"""Checks of options against each other; each names the key that is to be changed."""

from __future__ import annotations

from tests.config.helpers import ConfigTestCase

REPLICATION = "listeners: [{port: 9092, type: replication, bind_addresses: ['%s']}]\n"
REPLICATION_HTTP = (
    "listeners: [{port: 9093, bind_addresses: ['%s'], resources: [{names: [replication]}]}]\n"
)


class ReplicationTestCase(ConfigTestCase):
    """The door for workers is locked unless only this machine can reach it."""

    def test_open_replication_needs_a_secret(self) -> None:
        for text in (REPLICATION, REPLICATION_HTTP):
            for address in ("0.0.0.0", "::", "192.0.2.1"):
                self.assert_problem(
                    text % address, "listeners[0].bind_addresses", "worker_replication_secret"
                )

    def test_loopback_needs_none(self) -> None:
        for address in ("127.0.0.1", "::1", "127.1.2.3"):
            self.read(REPLICATION % address)
            self.read(REPLICATION_HTTP % address)

    def test_beside_public_resources_it_needs_a_secret(self) -> None:
        """A reverse proxy on the same machine would let everybody in."""
        mixed = "listeners: [{port: 1, resources: [{names: [client]}, {names: [replication]}]}]\n"
        self.assert_problem(mixed, "listeners[0].resources", "worker_replication_secret")
        self.read(mixed + "worker_replication_secret: hush\n")
        self.read("listeners: [{port: 1, resources: [{names: [replication, health]}]}]\n")

    def test_with_a_secret_it_may_be_open(self) -> None:
        read = self.read(REPLICATION % "0.0.0.0" + "worker_replication_secret: hush\n")
        self.assertFalse(read.server.listeners[0].is_loopback)

    def test_an_empty_secret_is_none(self) -> None:
        self.assert_problem(
            REPLICATION % "0.0.0.0" + "worker_replication_secret: ''\n",
            "listeners[0].bind_addresses",
            "worker_replication_secret",
        )


class ListenersTestCase(ConfigTestCase):
    """Ports, addresses, resources, TLS."""

    def test_tls_needs_a_certificate(self) -> None:
        self.assert_problem(
            "listeners: [{port: 1, type: metrics, tls: true}]\n",
            "listeners[0].tls",
            "tls_certificate_path",
        )

    def test_certificate_and_key_come_together(self) -> None:
        self.assert_problem("tls_certificate_path: a\n", "tls_private_key_path", "is required")
        self.assert_problem("tls_private_key_path: a\n", "tls_certificate_path", "is required")

    def test_unknown_resource(self) -> None:
        self.assert_problem(
            "listeners: [{port: 1, resources: [{names: [client, klient]}]}]\n",
            "listeners[0].resources[0].names[1]",
            "one of client",
        )

    def test_an_http_listener_must_serve_something(self) -> None:
        self.assert_problem("listeners: [{port: 1}]\n", "listeners[0].resources", "must name")

    def test_others_serve_no_resources(self) -> None:
        self.assert_problem(
            "listeners: [{port: 1, type: metrics, resources: [{names: [client]}]}]\n",
            "listeners[0].resources",
            "must be left out",
        )

    def test_no_address(self) -> None:
        self.assert_problem(
            "listeners: [{port: 1, type: metrics, bind_addresses: []}]\n",
            "listeners[0].bind_addresses",
            "at least one",
        )

    def test_same_address_and_port_twice(self) -> None:
        listener = "{port: 8008, type: metrics, bind_addresses: ['%s']}"
        for first, second in (("::1", "::1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::")):
            self.assert_problem(
                f"listeners: [{listener % first}, {listener % second}]\n",
                "listeners[1].port",
                "listeners[0].port",
            )

    def test_same_port_on_different_addresses(self) -> None:
        listener = "{port: 8008, type: metrics, bind_addresses: ['%s']}"
        for first, second in (("::1", "127.0.0.1"), ("::", "0.0.0.0"), ("127.0.0.2", "127.0.0.1")):
            self.read(f"listeners: [{listener % first}, {listener % second}]\n")

    def test_a_worker_may_repeat_ports_of_the_masters_machine(self) -> None:
        listener = "[{port: 8008, type: metrics}]"
        self.read(f"listeners: {listener}\nworker_listeners: {listener}\n")

    def test_worker_listeners_are_checked_too(self) -> None:
        self.assert_problem("worker_listeners: [{port: 1}]\n", "worker_listeners[0].resources", "")

    def test_default_addresses_are_loopback(self) -> None:
        read = self.read("listeners: [{port: 1, type: metrics}]\n")
        self.assertTrue(read.server.listeners[0].is_loopback)

    def test_compression_is_by_resource(self) -> None:
        read = self.read(
            "listeners: [{port: 1, resources: [{names: [client], compress: true},"
            " {names: [federation]}]}]\n"
        )
        (listener,) = read.server.listeners
        self.assertTrue(listener.compresses("client"))
        self.assertFalse(listener.compresses("federation"))


class SectionsTestCase(ConfigTestCase):
    """Checks of single sections."""

    def test_open_registration_must_be_meant(self) -> None:
        self.assert_problem("enable_registration: true\n", "enable_registration", "anybody")
        self.read("enable_registration: true\nregistration_requires_token: true\n")
        self.read("enable_registration: true\nenable_registration_without_verification: true\n")

    def test_room_version(self) -> None:
        for version in range(1, 13):
            read = self.read(f"default_room_version: '{version}'\n")
            self.assertEqual(read.server.default_room_version, str(version))
        self.assert_problem("default_room_version: '13'\n", "default_room_version", "one of 1, 2")

    def test_worker_needs_a_name(self) -> None:
        self.assert_problem("worker_app: synapse_lite.app.pusher\n", "worker_name", "is required")

    def test_naming_the_masters_app_means_no_worker(self) -> None:
        read = self.read("worker_app: synapse_lite.app.homeserver\n")
        self.assertIsNone(read.worker.app)

    def test_replication_ports_differ(self) -> None:
        self.assert_problem(
            "worker_app: synapse_lite.app.pusher\nworker_name: a\nworker_replication_port: 9093\n",
            "worker_replication_http_port",
            "differ",
        )

    def test_gc_thresholds_are_three(self) -> None:
        self.assert_problem("gc_thresholds: [700, 10]\n", "gc_thresholds", "three")

    def test_signing_key_has_three_parts(self) -> None:
        self.assert_problem("signing_key: abc\n", "signing_key", "ed25519")

    def test_back_off_grows(self) -> None:
        self.assert_problem(
            "federation: {destination_retry_multiplier: 0.5}\n",
            "federation.destination_retry_multiplier",
            "1 or more",
        )
        self.assert_problem(
            "federation: {destination_max_retry_interval: 1s}\n",
            "federation.destination_max_retry_interval",
            "shorter",
        )

    def test_tls_version_may_look_like_a_number(self) -> None:
        read = self.read("federation_client_minimum_tls_version: 1.3\n")
        self.assertEqual(read.tls.federation_client_minimum_tls_version, "1.3")
        self.assert_problem(
            "federation_client_minimum_tls_version: 1.1\n",
            "federation_client_minimum_tls_version",
            "1.2 or 1.3",
        )
