"""The deployments of the other tests clean up after themselves, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from .deployment import MASTER, NGINX, Deployment, DeploymentFailed
from .processes import environment, left_over, wait_for

_HELD_OPEN = """
import sys
from tests.integration.deployment import Deployment
with Deployment(workers=["event_creator"]) as deployment:
    print(deployment.marker, flush=True)
    sys.stdin.read()
"""


class DeploymentTests(SynchronousTestCase):
    """Starting, failing, being killed."""

    def test_a_killed_test_run_leaves_no_process_behind(self) -> None:
        folder = os.path.abspath(self.mktemp())
        os.makedirs(folder, mode=0o700)
        with subprocess.Popen(
            [sys.executable, "-c", _HELD_OPEN],
            env={**environment(), "TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stdout is not None
            marker = run.stdout.readline().strip()
            self.assertTrue(marker, "the deployment did not come up")
            self.assertGreaterEqual(len(left_over(marker)), 4)  # nginx has a worker of its own
            run.send_signal(signal.SIGKILL)
        wait_for(lambda: not left_over(marker), 10, "all processes have ended")

    def test_a_failure_shows_the_logs_and_leaves_nothing(self) -> None:
        deployment = Deployment(workers=["event_creator"])

        def fail() -> None:
            with deployment:
                deployment.client.register("alice")
                self.assertEqual(deployment.served_by(MASTER)[-1][0], "POST")
                raise ValueError("the reason")

        story = str(self.assertRaises(DeploymentFailed, fail))
        self.assertIn("ValueError: the reason", story)
        for name in (MASTER, "event_creator", NGINX):
            self.assertIn(f"===== {name}: running", story)
        self.assertIn('"POST /_matrix/client/v3/register"', story)
        self.assertEqual(left_over(deployment.marker), [])
        self.assertFalse(deployment.folder.exists())

    def test_a_process_that_ended_by_itself_fails_the_test(self) -> None:
        def lose_one() -> None:
            with Deployment(nginx=False) as deployment:
                deployment.kill(MASTER)

        story = str(self.assertRaises(DeploymentFailed, lose_one))
        self.assertIn("{'master': -9}", story)
