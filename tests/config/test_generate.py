"""Files of a new server."""

from __future__ import annotations

import os
import stat

import yaml

from synapse_lite.config import Config, read_config
from synapse_lite.config.generate import WorkerPlan, generate_config, write_files
from tests.config.helpers import ConfigTestCase

WORKERS = (
    WorkerPlan(name="reader1", app="client_reader", port=8083),
    WorkerPlan(name="both1", app="generic_worker", port=8084, roles=("synchrotron", "pusher")),
    WorkerPlan(name="sender1", app="federation_sender"),
)


class GenerateTestCase(ConfigTestCase):
    """They read back without a warning, and say what was asked for."""

    def setUp(self) -> None:
        self.directory = os.path.abspath(self.mktemp())

    def generate(self, *extra_files: str, **options: object) -> Config:
        write_files(generate_config("example.com", self.directory, **options))  # type: ignore[arg-type]  # passed on
        names = ("homeserver.yaml", *extra_files)
        read = read_config([os.path.join(self.directory, name) for name in names])
        self.assertEqual(read.warnings, ())
        return read

    def test_a_server_alone(self) -> None:
        read = self.generate(http_port=18008)
        self.assertEqual(read.server.server_name, "example.com")
        (listener,) = read.server.listeners
        self.assertEqual(listener.port, 18008)
        self.assertTrue(listener.is_loopback)
        self.assertLessEqual(
            {"client", "federation", "media", "health"}, set(listener.resource_names)
        )
        self.assertEqual(read.database.args["database"], self.directory + "/homeserver.db")
        self.assertEqual(read.logging.log_config, self.directory + "/log.yaml")
        self.assertIsNone(read.worker.replication_secret)

    def test_secrets_are_long_and_differ(self) -> None:
        read = self.generate(workers=WORKERS)
        secrets = {
            read.registration.registration_shared_secret,
            read.auth.macaroon_secret_key,
            read.auth.form_secret,
            read.worker.replication_secret,
        }
        self.assertEqual(len(secrets), 4)
        for secret in secrets:
            assert secret is not None
            self.assertGreaterEqual(len(secret), 40)
        again = generate_config("example.com", self.directory)
        self.assertNotIn(read.auth.form_secret, "".join(again.values()))

    def test_a_master_with_workers(self) -> None:
        read = self.generate(
            workers=WORKERS,
            replication_port=19092,
            replication_http_port=19093,
            moved_duties=["send_federation"],
        )
        self.assertEqual(
            [listener.port for listener in read.server.listeners], [8008, 19092, 19093]
        )
        self.assertEqual(read.server.listeners[1].type, "replication")
        self.assertEqual(read.server.listeners[2].resource_names, {"replication"})
        self.assertFalse(read.duties.send_federation)
        self.assertTrue(read.duties.start_pushers)
        self.assertIsNone(read.worker.app)

    def test_a_worker(self) -> None:
        read = self.generate("workers/both1.yaml", workers=WORKERS, replication_port=19092)
        self.assertEqual(read.worker.app, "synapse_lite.app.generic_worker")
        self.assertEqual(read.worker.name, "both1")
        self.assertEqual(read.worker.roles, ("synchrotron", "pusher"))
        self.assertEqual(read.worker.replication_port, 19092)
        self.assertEqual(read.worker.listeners[0].port, 8084)
        self.assertEqual(read.worker.listeners[0].resource_names, {"client", "health", "metrics"})
        self.assertEqual(read.worker.log_file, self.directory + "/logs/both1.log")
        self.assertEqual(read.worker.main_http_uri, "http://127.0.0.1:8008")

    def test_a_worker_without_port_listens_nowhere(self) -> None:
        read = self.generate("workers/sender1.yaml", workers=WORKERS)
        self.assertEqual(read.worker.listeners, ())

    def test_extra_keys(self) -> None:
        read = self.generate(
            extra={"enable_registration": True, "registration_requires_token": True}
        )
        self.assertTrue(read.registration.enable_registration)

    def test_the_log_configuration_is_yaml(self) -> None:
        files = generate_config("example.com", "x")
        settings = yaml.safe_load(files[os.path.join("x", "log.yaml")])
        self.assertEqual(settings["handlers"]["file"]["filename"], "logs/homeserver.log")

    def test_only_the_owner_can_read_them(self) -> None:
        self.generate()
        mode = os.stat(os.path.join(self.directory, "homeserver.yaml")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_nothing_is_overwritten(self) -> None:
        self.generate()
        files = generate_config("example.com", self.directory, workers=WORKERS)
        self.assertRaises(FileExistsError, write_files, files)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "workers")))

    def test_bad_server_name(self) -> None:
        self.assertRaises(ValueError, generate_config, "../x", self.directory)
