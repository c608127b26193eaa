"""Workers import what they serve, and know of the rest where it lives."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import WORKERS
from synapse_lite.http.endpoint import Endpoint, endpoints_of
from synapse_lite.rest.catalogue import mounts_of
from synapse_lite.rest.servlets import SERVLETS

_LOADED = """
import sys
from synapse_lite.app import synchrotron
from synapse_lite.rest.catalogue import mounts_of
mounts_of(["synchrotron"])
print("\\n".join(name for name in sys.modules if name.startswith("synapse_lite.")))
"""


class MountsTests(TestCase):
    def test_each_kind_knows_every_endpoint(self) -> None:
        declared = {endpoint for servlet in SERVLETS for endpoint in endpoints_of(servlet)}
        for kinds in [[worker.name] for worker in WORKERS] + [[w.name for w in WORKERS]]:
            mounts = mounts_of(kinds)
            known: list[Endpoint] = list(mounts.elsewhere)
            for servlet in mounts.servlets:
                known += endpoints_of(servlet)
            self.assertEqual(set(known), declared, kinds)
            self.assertEqual(len(known), len(declared), kinds)
            for endpoint in mounts.elsewhere:
                self.assertFalse(set(kinds).intersection(endpoint.served_by), endpoint)

    def test_the_master_serves_everything(self) -> None:
        self.assertEqual(mounts_of(None).servlets, SERVLETS)

    def test_a_worker_does_not_import_what_it_does_not_serve(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True
        )
        loaded = set(done.stdout.split())
        self.assertIn("synapse_lite.rest.client.sync", loaded)
        for module in ("rest.servlets", "rest.client.login", "handlers.room_upgrade"):
            self.assertNotIn(f"synapse_lite.{module}", loaded)
