"""An existing client library against a whole deployment, and the proof of who served it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.config.generate import WorkerPlan

from .deployment import MASTER, POSTGRES, SQLITE, STANDARD_WORKERS, Deployment
from .processes import environment

CHAT_SECONDS = 180

SEND = re.compile(r"/_matrix/client/[^/]+/rooms/[^/]+/send/")
SYNC = re.compile(r"/_matrix/client/[^/]+/sync(\?|$)")


def run_nio(url: str) -> None:
    """Let two users with two devices each talk; see nio_clients."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.nio_clients", url],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=CHAT_SECONDS,
    )
    assert done.returncode == 0, f"the clients failed:\n{done.stdout}\n{done.stderr}"
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen["sent"]) == 10, seen


class ClientTests(SynchronousTestCase):
    """matrix-nio, unchanged."""

    def test_through_nginx_on_sqlite(self) -> None:
        self._through_nginx(SQLITE)

    def test_through_nginx_on_postgres(self) -> None:
        self._through_nginx(POSTGRES)

    def _through_nginx(self, engine: str) -> None:
        with Deployment(engine, workers=STANDARD_WORKERS) as deployment:
            run_nio(deployment.client.url)
            self._check_who_served(deployment, sends="event_creator", syncs="synchrotron")
            for name in (MASTER, *STANDARD_WORKERS):
                mib = deployment.processes[name].pss_kib() / 1024
                print(f"{engine}: PSS of {name} after the chat {mib:.1f} MiB")

    def test_through_a_worker_of_several_kinds(self) -> None:
        combined = WorkerPlan(
            name="combined",
            app="generic_worker",
            roles=("client_reader", "event_creator", "synchrotron"),
        )
        with Deployment(workers=[combined]) as deployment:
            run_nio(deployment.client.url)
            self._check_who_served(deployment, sends="combined", syncs="combined")
            mib = deployment.processes["combined"].pss_kib() / 1024
            print(f"PSS of a generic_worker after the chat {mib:.1f} MiB")

    def test_the_master_alone(self) -> None:
        with Deployment(nginx=False) as deployment:
            run_nio(deployment.client.url)
            uris = [uri for _, uri in deployment.served_by(MASTER)]
            self.assertTrue(any(SEND.match(uri) for uri in uris))
            self.assertTrue(any(SYNC.match(uri) for uri in uris))

    def _check_who_served(self, deployment: Deployment, *, sends: str, syncs: str) -> None:
        """By the access logs of nginx, of the worker that is named, and of the master."""
        for pattern, name, least in ((SEND, sends, 10), (SYNC, syncs, 12)):
            lines = [line for line in deployment.proxied() if pattern.match(line.uri)]
            self.assertGreaterEqual(len(lines), least)
            self.assertEqual({line.status for line in lines}, {200})
            self.assertEqual(
                {line.addresses for line in lines}, {(deployment.address_of(name),)}, lines
            )
            of_worker = [uri for _, uri in deployment.served_by(name) if pattern.match(uri)]
            self.assertEqual(len(of_worker), len(lines))
            of_master = [uri for _, uri in deployment.served_by(MASTER) if pattern.match(uri)]
            self.assertEqual(of_master, [])
