"""A short round of each kind of fault; `python -m tests.integration.faults` runs long ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from .deployment import POSTGRES, SQLITE
from .faults.checks import differences
from .faults.link import Link
from .faults.record import Exchange, Record
from .faults.round import Plan, Round
from .faults.scenarios import SCENARIOS
from .processes import environment, left_over, wait_for

SEED = int(os.environ.get("SYNAPSE_LITE_TEST_SEED", "20001"))
SENDS = 160
SECONDS = 5.0

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class FaultsTests(SynchronousTestCase):
    """Nothing that was acknowledged is lost or comes twice."""

    def run_round(self, scenario: str, engine: str, number: int = 0) -> None:
        """One round; its number says, for one, which process is killed first."""
        plan = Plan(_BY_NAME[scenario], engine, SEED, number, SENDS, SECONDS)
        Round(plan, print).run()

    def test_any_process_is_killed_on_sqlite(self) -> None:
        self.run_round("kill_any", SQLITE)

    def test_any_process_is_killed_on_postgres(self) -> None:
        self.run_round("kill_any", POSTGRES, 1)

    def test_the_master_is_killed_within_a_commit_on_sqlite(self) -> None:
        self.run_round("group_commit", SQLITE)

    def test_the_master_is_killed_within_a_commit_on_postgres(self) -> None:
        self.run_round("group_commit", POSTGRES)

    def test_a_worker_is_cut_from_the_master(self) -> None:
        self.run_round("cut_worker", SQLITE)

    def test_the_disk_is_full(self) -> None:
        self.run_round("full_disk", SQLITE)

    def test_postgres_is_lost_and_returns(self) -> None:
        self.run_round("postgres_lost", POSTGRES)


class DifferencesTests(SynchronousTestCase):
    """What the checks say when something is wrong."""

    def test_what_is_lost_doubled_or_out_of_order_is_told(self) -> None:
        expected = ["a", "b", "c"]
        for found, says in (
            (["a", "b", "c"], []),
            (["a", "c"], ["it: 1 missing: ['b']"]),
            (["a", "b", "b", "c"], ["it: 1 too many: ['b']"]),
            (["a", "c", "b"], ["it: not in order from number 1 of 3 on"]),
            (["a", "b", "d"], ["it: 1 missing: ['c']", "it: 1 too many: ['d']"]),
        ):
            self.assertEqual(list(differences("it", found, expected)), says)

    def test_recovery_is_measured_from_each_fault(self) -> None:
        record = Record()
        at = record.fault("broken")
        for began, ended, status in ((-1, 0.5, 200), (0.1, 1, 503), (1.5, 2, 200), (3, 4, 200)):
            record.add(Exchange("a", "nginx", "PUT", "/send/1", at + began, at + ended, status, ""))
        ((fault, recovered, failing),) = record.recoveries()
        self.assertEqual(fault.what, "broken")
        self.assertAlmostEqual(recovered, 2)
        self.assertAlmostEqual(failing, 1)
        self.assertEqual((record.failed, record.repeated_sends()), (1, 1))


_GUARDED = """
import os, pathlib, subprocess, sys
from tests.integration.faults.guardian import Guardian
marker, folder = sys.argv[1:]
guardian = Guardian(marker, [pathlib.Path(folder)])
subprocess.Popen(["sleep", "600"], cwd=folder, start_new_session=True)
print("ready", flush=True)
sys.stdin.read()
"""


class GuardianTests(SynchronousTestCase):
    """Daemons outlive whoever started them."""

    def test_a_killed_harness_leaves_nothing(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="synapse_lite-guarded-"))
        with subprocess.Popen(
            [sys.executable, "-c", _GUARDED, folder.name, str(folder)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as harness:
            assert harness.stdout is not None
            self.assertEqual(harness.stdout.readline(), b"ready\n")
            self.assertEqual(len(left_over(folder.name)), 2)  # the harness names the folder, too
            harness.send_signal(signal.SIGKILL)
        wait_for(lambda: not left_over(folder.name), 30, "all processes have ended")
        wait_for(lambda: not folder.exists(), 30, "the folder is gone")


class LinkTests(SynchronousTestCase):
    """Connections that break in every way."""

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.link = Link(self.listener.getsockname()[1])
        self.addCleanup(self.link.close)

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection through the link."""
        near = socket.create_connection(("127.0.0.1", self.link.ports[0]), timeout=10)
        far, _ = self.listener.accept()
        far.settimeout(10)
        for end in (near, far):
            self.addCleanup(end.close)
        return near, far

    def test_bytes_go_both_ways_until_it_is_cut(self) -> None:
        near, far = self.connect()
        near.sendall(b"to the master")
        self.assertEqual(far.recv(100), b"to the master")
        far.sendall(b"to the worker")
        self.assertEqual(near.recv(100), b"to the worker")
        self.link.cut()
        self.assertRaises(ConnectionResetError, near.recv, 100)
        self.link.heal()
        self.connect()

    def test_a_line_breaks_in_its_middle(self) -> None:
        near, far = self.connect()
        self.link.break_line()
        far.sendall(b"RDATA events 1 [1234]\n")
        heard = near.recv(100)
        self.assertTrue(0 < len(heard) < 22 and b"\n" not in heard, heard)
        self.assertRaises(ConnectionResetError, near.recv, 100)
        self.assertTrue(self.link.is_line_broken)

    def test_a_stall_gives_no_sign(self) -> None:
        near, far = self.connect()
        self.link.stall()
        far.sendall(b"lost")
        near.settimeout(0.3)
        self.assertRaises(TimeoutError, near.recv, 100)
        near.settimeout(10)
        self.link.heal()
        self.assertRaises(ConnectionResetError, near.recv, 100)
