"""Tests of opening and closing ports."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from synapse_lite.config.listeners import Listener
from synapse_lite.config.tls import TlsConfig
from synapse_lite.http.listen import Certificates, close_listeners, open_listener
from synapse_lite.util.clock import Clock
from tests.harness.http import start_request
from tests.http.support import make_site
from tests.http.test_site import V3, Poll, Write


class Port:
    """A port of the fake reactor."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = True

    def stopListening(self) -> None:
        self.is_open = False


class ListeningReactor(MemoryReactorClock):
    """Refuses the addresses in `faults`, with these error numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, int] = {}
        self.opened: list[Port] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if interface in self.faults:
            number = self.faults[interface]
            raise CannotListenError(interface, port, OSError(number, os.strerror(number)))
        self.opened.append(Port(interface))
        return self.opened[-1]

    def addresses(self) -> list[str]:
        return [port.address for port in self.opened if port.is_open]


class OpenTests(TestCase):
    def setUp(self) -> None:
        self.reactor = ListeningReactor()

    def open(self, *addresses: str) -> None:
        listener = Listener(port=8008, bind_addresses=addresses)
        open_listener(self.reactor, listener, Factory())

    def test_every_address(self) -> None:
        self.open("127.0.0.1", "::1")
        self.assertEqual(self.reactor.addresses(), ["127.0.0.1", "::1"])

    def test_any_address_of_both_families(self) -> None:
        self.reactor.faults["0.0.0.0"] = errno.EADDRINUSE
        with self.assertLogs("synapse_lite.http.listen", "WARNING"):
            self.open("0.0.0.0", "::")
        self.assertEqual(self.reactor.addresses(), ["::"])

    def test_address_in_use(self) -> None:
        self.reactor.faults["0.0.0.0"] = errno.EADDRINUSE
        self.assertRaises(CannotListenError, self.open, "127.0.0.1", "0.0.0.0")
        self.assertEqual(self.reactor.addresses(), [])

    def test_machine_without_ipv6(self) -> None:
        self.reactor.faults["::1"] = errno.EADDRNOTAVAIL
        with self.assertLogs("synapse_lite.http.listen", "WARNING"):
            self.open("127.0.0.1", "::1")
        self.assertEqual(self.reactor.addresses(), ["127.0.0.1"])

    def test_no_address_at_all(self) -> None:
        self.reactor.faults["::1"] = errno.EADDRNOTAVAIL
        with self.assertLogs("synapse_lite.http.listen", "WARNING"):
            self.assertRaises(CannotListenError, self.open, "::1")


class CloseTests(TestCase):
    def setUp(self) -> None:
        self.reactor = ListeningReactor()
        self.site = make_site(Poll, Write, reactor=self.reactor)
        self.listener = open_listener(self.reactor, Listener(port=8008), self.site)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(
            close_listeners([self.listener], Clock(self.reactor), grace_seconds=5)
        )

    def test_waits_for_what_is_running(self) -> None:
        poll = start_request(self.site, "GET", f"{V3}/poll")
        write = start_request(self.site, "PUT", f"{V3}/write")
        closed = self.close()
        self.assertEqual(self.reactor.addresses(), [])
        answer = poll.answer()
        assert answer is not None
        self.assertEqual(answer.status, 503)
        self.reactor.advance(1)
        self.assertNoResult(closed)
        Write.waiting[-1].callback(None)
        self.reactor.advance(1)
        self.assertIsNone(self.successResultOf(closed))
        self.assertIsNotNone(write.answer())

    def test_does_not_wait_for_ever(self) -> None:
        start_request(self.site, "PUT", f"{V3}/write")
        closed = self.close()
        with self.assertLogs("synapse_lite.http.listen", "WARNING"):
            self.reactor.pump([0.5] * 12)
        self.assertIsNone(self.successResultOf(closed))
        Write.waiting[-1].callback(None)


def write_certificate(folder: str, name: str) -> TlsConfig:
    """A self-signed certificate for a name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    config = TlsConfig(
        tls_certificate_path=os.path.join(folder, "cert.pem"),
        tls_private_key_path=os.path.join(folder, "key.pem"),
    )
    assert config.tls_certificate_path and config.tls_private_key_path
    with open(config.tls_certificate_path, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    with open(config.tls_private_key_path, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return config


def shake_hands(context: SSL.Context, version: int | None = None) -> SSL.Connection:
    """The client's end of a connection to a server with this context."""
    client_context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version is not None:
        client_context.set_cipher_list(b"ALL:@SECLEVEL=0")
        client_context.set_max_proto_version(version)
    client, server = SSL.Connection(client_context), SSL.Connection(context)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):
        for end, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                end.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(end.bio_read(65536))
    return client


def name_of(client: SSL.Connection) -> str:
    certificate = client.get_peer_certificate()
    assert certificate is not None
    name = certificate.get_subject().CN
    assert name is not None
    return name


class CertificateTests(TestCase):
    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.mkdir(self.folder)

    def test_reload(self) -> None:
        certificates = Certificates(write_certificate(self.folder, "first.test"))
        self.assertEqual(name_of(shake_hands(certificates.getContext())), "first.test")
        write_certificate(self.folder, "second.test")
        self.assertEqual(name_of(shake_hands(certificates.getContext())), "first.test")
        certificates.reload()
        self.assertEqual(name_of(shake_hands(certificates.getContext())), "second.test")

    def test_unusable_files_change_nothing(self) -> None:
        config = write_certificate(self.folder, "first.test")
        certificates = Certificates(config)
        certificates.load()
        assert config.tls_certificate_path is not None
        with open(config.tls_certificate_path, "w") as file:
            file.write("nonsense")
        with self.assertLogs("synapse_lite.http.listen", "ERROR"):
            certificates.reload()
        os.remove(config.tls_certificate_path)
        with self.assertLogs("synapse_lite.http.listen", "ERROR"):
            certificates.reload()
        self.assertEqual(name_of(shake_hands(certificates.getContext())), "first.test")

    def test_missing_files_fail_at_the_start(self) -> None:
        config = TlsConfig(
            tls_certificate_path="/nonexistent/cert.pem",
            tls_private_key_path="/nonexistent/key.pem",
        )
        error = self.assertRaises(OSError, Certificates(config).load)
        self.assertIn("cert.pem", str(error))

    def test_versions(self) -> None:
        certificates = Certificates(write_certificate(self.folder, "first.test"))
        context = certificates.getContext()
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            self.assertEqual(name_of(shake_hands(context, version)), "first.test")
        self.assertRaises(SSL.Error, shake_hands, context, SSL.TLS1_1_VERSION)
