"""What a process imports before it runs."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import TestCase

from synapse_lite.app._launch import speaks_tls
from synapse_lite.config import Config, config_from_dict

from ..integration.processes import environment

PLAIN = {"port": 8008, "resources": [{"names": ["client"]}]}
WITH_TLS = {**PLAIN, "port": 8448, "tls": True}
CERTIFICATE = {"tls_certificate_path": "certificate", "tls_private_key_path": "key"}

_WITHOUT_TLS = """
import sys
from synapse_lite.app._launch import leave_out_tls
leave_out_tls()
from synapse_lite.app import table
from synapse_lite.http.addresses import CheckedEndpointFactory
from synapse_lite.rest import servlets
from twisted.internet.error import ConnectError
from twisted.web.client import URI
loaded = sorted(name for name in sys.modules if name.split(".")[0] in ("cryptography", "jinja2"))
print("loaded:", *loaded)
factory = CheckedEndpointFactory(None, lambda address: True)
factory.endpointForURI(URI.fromBytes(b"http://localhost/"))
try:
    factory.endpointForURI(URI.fromBytes(b"https://localhost/"))
except ConnectError as error:
    print("refused:", error)
"""


class LaunchTestCase(TestCase):
    """Only processes that speak TLS load it."""

    def _config(self, **options: object) -> Config:
        return config_from_dict({"server_name": "test", **options}, self.mktemp())

    def test_a_listener_with_tls_needs_it(self) -> None:
        self.assertFalse(speaks_tls(self._config(listeners=[PLAIN])))
        self.assertTrue(speaks_tls(self._config(listeners=[PLAIN, WITH_TLS], **CERTIFICATE)))

    def test_workers_may_ask_a_master_that_has_such_a_listener(self) -> None:
        worker = {
            "worker_app": "synapse_lite.app.synchrotron",
            "worker_name": "synchrotron1",
            "worker_listeners": [PLAIN],
            "worker_replication_secret": "secret",
        }
        self.assertFalse(speaks_tls(self._config(listeners=[PLAIN], **worker)))
        self.assertTrue(speaks_tls(self._config(listeners=[WITH_TLS], **CERTIFICATE, **worker)))

    def test_everything_can_be_imported_without_it(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_TLS],
            env=environment(),
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.stderr, "")
        loaded, refused = done.stdout.splitlines()
        self.assertEqual(loaded.split(), ["loaded:"])
        self.assertIn("This process speaks no TLS", refused)
