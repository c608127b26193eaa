"""One process with a full homeserver.yaml, as operators have them: it serves everything itself."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import ssl
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from .client import Client, Json, timeline_of
from .deployment import MASTER, NGINX, Deployment
from .processes import wait_for

START_SECONDS = 2.0
IDLE_MIB = 80

_LIMIT = {"per_second": 100, "burst_count": 100}
_ALL_LIMITS: Json = {
    "rc_message": _LIMIT,
    "rc_registration": _LIMIT,
    "rc_registration_token_validity": _LIMIT,
    "rc_login": {"address": _LIMIT, "account": _LIMIT, "failed_attempts": _LIMIT},
    "rc_admin_redaction": _LIMIT,
    "rc_joins": {"local": _LIMIT, "remote": _LIMIT},
    "rc_joins_per_room": _LIMIT,
    "rc_invites": {"per_room": _LIMIT, "per_user": _LIMIT, "per_issuer": _LIMIT},
    "rc_3pid_validation": _LIMIT,
    "rc_third_party_invite": _LIMIT,
    "rc_media_create": _LIMIT,
    "rc_presence": {"per_user": _LIMIT},
    "rc_delayed_event_mgmt": _LIMIT,
    "rc_reports": _LIMIT,
    "rc_room_creation": _LIMIT,
    "rc_user_directory": _LIMIT,
    "rc_federation": {
        "window_size": 1000,
        "sleep_limit": 10,
        "sleep_delay": 500,
        "reject_limit": 50,
        "concurrent": 3,
    },
}


def full_configuration(deployment: Deployment) -> Json:
    """What an operator's homeserver.yaml holds, with everything that is named in its folder.

    Plain HTTP is on the port of the master, TLS on the one that nginx would have had.
    """
    port_of = {name: int(deployment.url_of(name).rpartition(":")[2]) for name in (MASTER, NGINX)}
    resources = ["client", "federation", "media", "metrics", "health"]
    return {
        "server_name": "localhost",
        "public_baseurl": f"https://localhost:{port_of[NGINX]}/",
        "pid_file": "homeserver.pid",
        "listeners": [
            {
                "port": port_of[MASTER],
                "type": "http",
                "tls": False,
                "x_forwarded": True,
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": resources, "compress": True}],
            },
            {
                "port": port_of[NGINX],
                "type": "http",
                "tls": True,
                "x_forwarded": False,
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": resources, "compress": False}],
            },
            {
                "port": deployment.replication_port,
                "type": "metrics",
                "bind_addresses": ["127.0.0.1"],
            },
        ],
        "database": {"name": "sqlite3", "args": {"database": "homeserver.db"}},
        "log_config": "log.yaml",
        "media_store_path": "media_store",
        "signing_key_path": "localhost.signing.key",
        "trusted_key_servers": [{"server_name": "matrix.org"}],
        "registration_shared_secret": "one of the secrets",
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "macaroon_secret_key": "another secret",
        "form_secret": "a third secret",
        "report_stats": False,
        "suppress_key_server_warning": True,
        "enable_metrics": True,
        "tls_certificate_path": "localhost.tls.crt",
        "tls_private_key_path": "localhost.tls.key",
        "federation_custom_ca_list": ["localhost.tls.crt"],
        "federation_verify_certificates": True,
        "ip_range_blacklist": ["127.0.0.0/8", "10.0.0.0/8", "::1/128", "fe80::/10"],
        "federation_ip_range_blacklist": ["127.0.0.0/8"],
        "presence": {"enabled": True},
        "url_preview_enabled": False,
        "allow_public_rooms_over_federation": True,
        "default_room_version": "11",
        "bcrypt_rounds": 4,
        **_ALL_LIMITS,
    }


def prepare(deployment: Deployment, **more: object) -> None:
    """Put the full configuration, and a certificate, where the generated one was."""
    values = {**full_configuration(deployment), **more}
    (deployment.folder / "homeserver.yaml").write_text(yaml.safe_dump(values), "utf-8")
    (deployment.folder / "tests.yaml").write_text("{}\n", "utf-8")
    make_certificate(deployment.folder)


def make_certificate(folder: Path) -> None:
    """Write a self-signed certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "localhost.tls.crt").write_bytes(certificate.public_bytes(encoding))
    (folder / "localhost.tls.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def warnings_of(deployment: Deployment) -> list[str]:
    """The lines of the master's log that an operator would look at."""
    marks = (" - WARNING - ", " - ERROR - ", " - CRITICAL - ")
    lines = deployment.log_text(MASTER).splitlines()
    return [line for line in lines if any(mark in line for mark in marks)]


class MasterAloneTests(SynchronousTestCase):
    """A master without workers or proxy."""

    def test_serves_everything_over_tls_without_a_warning(self) -> None:
        with Deployment(nginx=False, started=False) as deployment:
            prepare(deployment)
            seconds = self._start(deployment)
            idle_mib = deployment.processes[MASTER].pss_kib() / 1024
            tls = ssl.create_default_context(cafile=str(deployment.folder / "localhost.tls.crt"))
            url = deployment.url_of(NGINX).replace("http:", "https:")
            self._chat(Client(url, tls))
            self._look_at_the_other_listeners(deployment)
            used_mib = deployment.processes[MASTER].pss_kib() / 1024
            print(
                f"master alone: first answer after {seconds:.2f} s, PSS {idle_mib:.1f} MiB idle,"
                f" {used_mib:.1f} MiB after a chat"
            )
            self.assertEqual(warnings_of(deployment), [])
            self.assertEqual(deployment.processes[MASTER].output.read_text("utf-8"), "")
            self.assertTrue((deployment.folder / "localhost.signing.key").exists())
            self.assertLess(seconds, START_SECONDS)
            self.assertLess(idle_mib, IDLE_MIB)

    def _start(self, deployment: Deployment) -> float:
        """Start the master. Returns the seconds until it answered, without those in which the
        machine was busy with something else; of three starts the best, if they are slow."""
        master = deployment.processes[MASTER]
        best = START_SECONDS
        for attempt in range(3):
            if attempt:
                self.assertEqual(master.stop(), 0)
            best = min(best, deployment.start_process(MASTER) - master.queued_seconds())
            if best < START_SECONDS:
                break
        return best

    def _chat(self, client: Client) -> None:
        alice = client.register("alice")
        bob = client.register("bob")
        room_id = alice.create_room(name="Tea")
        bob.join(room_id)
        since = bob.sync()["next_batch"]
        event_id = alice.send(room_id, "Assam", "t1")
        seen = timeline_of(bob.sync(since, timeout_ms=5000), room_id)
        self.assertEqual([event["event_id"] for event in seen], [event_id])
        self.assertEqual(seen[0]["content"], {"msgtype": "m.text", "body": "Assam"})

    def _look_at_the_other_listeners(self, deployment: Deployment) -> None:
        metrics = Client(f"http://127.0.0.1:{deployment.replication_port}")
        for client in (metrics, deployment.client):
            status, body = client.exchange("GET", "/_synapse/metrics")
            self.assertEqual(status, 200)
            self.assertIn(b"synapse_lite_build_info", body)
        versions = deployment.client.call("GET", "/_matrix/client/versions")
        self.assertIn("v1.11", versions["versions"])

    def test_an_unknown_option_is_one_warning(self) -> None:
        with Deployment(nginx=False, started=False) as deployment:
            prepare(deployment, user_agent_sufix="(our club)")
            deployment.start_process(MASTER)
            (warning,) = warnings_of(deployment)
            self.assertIn("user_agent_sufix: unknown option", warning)

    def test_signals(self) -> None:
        with Deployment(nginx=False, started=False) as deployment:
            prepare(deployment)
            deployment.start_process(MASTER)
            master = deployment.processes[MASTER]
            pid_file = deployment.folder / "homeserver.pid"
            self.assertEqual(pid_file.read_text("ascii"), f"{master.pid}\n")

            log = deployment.folder / "logs" / "homeserver.log"
            rotated = log.rename(log.with_suffix(".log.1"))
            master.send_signal(signal.SIGHUP)
            wait_for(log.exists, 5, "a new log file")
            deployment.client.call("GET", "/_matrix/client/versions")
            wait_for(lambda: "client/versions" in log.read_text("utf-8"), 5, "a line in it")
            self.assertNotIn("client/versions", rotated.read_text("utf-8"))

            self.assertEqual(master.stop(), 0)
            self.assertFalse(pid_file.exists())
            self.assertEqual(warnings_of(deployment), [])

    def test_a_second_master_is_refused_and_a_killed_one_can_come_back_at_once(self) -> None:
        with Deployment(nginx=False, started=False) as deployment:
            prepare(deployment)
            deployment.start_process(MASTER)
            alice = deployment.client.register("alice")
            room_id = alice.create_room()
            event_id = alice.send(room_id, "Here I am", "t1")
            self._refuse_a_second(deployment)

            deployment.kill(MASTER)
            seconds = deployment.start_process(MASTER)
            # A lease that had to run out would take much longer.
            self.assertLess(seconds, 5 * START_SECONDS)
            print(f"a master that was killed answers again after {seconds:.2f} s")
            (message,) = alice.messages(room_id)
            self.assertEqual(message["event_id"], event_id)
            self.assertEqual(alice.send(room_id, "Here I am", "t1"), event_id)

    def _refuse_a_second(self, deployment: Deployment) -> None:
        """Start another master with other ports and another pid file on the same database."""
        master = deployment.processes[MASTER]
        other = deployment.folder / "other.yaml"
        other.write_text(yaml.safe_dump({"pid_file": "other.pid", "listeners": []}), "utf-8")
        second = deployment.start_beside("second", [*master.command, "-c", str(other)])
        self.assertEqual(second.running.wait(30), 1)
        told = second.output.read_text("utf-8")
        self.assertIn(f"master (pid {master.pid} on {os.uname().nodename})", told)
        del deployment.processes["second"]
        self.assertTrue(deployment.is_healthy(MASTER))
