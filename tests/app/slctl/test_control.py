"""Starting and stopping, on a machine that exists only in memory."""

from __future__ import annotations

from twisted.trial import unittest

from synapse_lite.app.slctl._control import START_SECONDS, STOP_SECONDS, Control
from synapse_lite.app.slctl._fleet import Fleet, read_fleet

from .support import FakeSystem, write_master, write_worker


class ControlTestCase(unittest.TestCase):
    """A master and two workers."""

    def setUp(self) -> None:
        folder = self.mktemp()
        master = write_master(folder)
        write_worker(folder, "sync1", 8083, "synchrotron")
        write_worker(folder, "reader1", 8084, "client_reader")
        self.fleet = read_fleet([master])
        self.system = FakeSystem()
        self.said: list[tuple[str, str]] = []
        self.control = Control(self.system, lambda kind, text: self.said.append((kind, text)))

    def _said(self) -> str:
        return "\n".join(text for _, text in self.said)

    def test_start_begins_with_the_master(self) -> None:
        self.assertTrue(self.control.start(self.fleet))
        launched = [name for what, name in self.system.history if what == "launch"]
        self.assertEqual(launched[0], "master")
        self.assertEqual(set(launched), {"master", "reader1", "sync1"})
        self.assertIn("sync1 is up (pid", self._said())

    def test_workers_start_together(self) -> None:
        self.system.start_seconds = {"reader1": 10.0, "sync1": 10.0}
        self.assertTrue(self.control.start(self.fleet))
        self.assertLess(self.system.now, 15)

    def test_what_runs_is_left_alone(self) -> None:
        self.system.running = {"master": 7, "sync1": 8}
        self.assertTrue(self.control.start(self.fleet))
        self.assertEqual(self.system.history, [("launch", "reader1")])
        self.assertIn("master is running already (pid 7)", self._said())

    def test_a_worker_that_fails_is_named_with_output_and_log(self) -> None:
        self.system.broken.add("reader1")
        self.assertFalse(self.control.start(self.fleet))
        self.assertIn(("bad", "reader1 did not start"), self.said)
        self.assertIn("not started: no reason", self._said())
        self.assertIn("end of the log of reader1", self._said())
        self.assertIn("sync1 is up", self._said())

    def test_no_worker_is_started_when_the_master_fails(self) -> None:
        self.system.broken.add("master")
        self.assertFalse(self.control.start(self.fleet))
        self.assertEqual(self.system.history, [("launch", "master")])

    def test_a_start_that_takes_too_long(self) -> None:
        self.system.start_seconds["sync1"] = START_SECONDS * 2
        self.assertFalse(self.control.start(self.fleet))
        self.assertIn(f"sync1 was not ready after {START_SECONDS:.0f} s", self._said())
        self.assertTrue(self.system.launches[-1].is_abandoned)

    def test_a_process_that_is_up_but_does_not_answer(self) -> None:
        self.system.silent_urls.add("http://127.0.0.1:8083")
        self.assertFalse(self.control.start(self.fleet))
        self.assertIn("sync1 does not answer at http://127.0.0.1:8083/health", self._said())

    def test_stop_ends_with_the_master(self) -> None:
        self.system.running = {"master": 7, "sync1": 8, "reader1": 9}
        self.assertTrue(self.control.stop(self.fleet))
        self.assertEqual(self.system.running, {})
        master = self.system.history.index(("SIGTERM", "master"))
        self.assertGreater(master, self.system.history.index(("gone", "sync1")))
        self.assertGreater(master, self.system.history.index(("gone", "reader1")))

    def test_what_does_not_stop_is_killed_after_a_while(self) -> None:
        self.system.running = {"master": 7, "sync1": 8}
        self.system.deaf.add("sync1")
        self.assertTrue(self.control.stop(self.fleet))
        self.assertIn(("SIGKILL", "sync1"), self.system.history)
        self.assertGreaterEqual(self.system.now, STOP_SECONDS)
        self.assertIn("reader1 is not running", self._said())

    def test_one_worker_alone(self) -> None:
        worker = next(one for one in self.fleet.workers if one.name == "sync1")
        self.system.running = {"master": 7, "sync1": 8}
        self.assertTrue(self.control.restart(Fleet(None, (worker,))))
        self.assertEqual(
            self.system.history, [("SIGTERM", "sync1"), ("gone", "sync1"), ("launch", "sync1")]
        )

    def test_states(self) -> None:
        self.system.running = {"master": 7, "sync1": 8}
        self.system.silent_urls.add("http://127.0.0.1:8083")
        states = {one.instance.name: one for one in self.control.states(self.fleet)}
        self.assertTrue(states["master"].is_good)
        self.assertEqual((states["sync1"].pid, states["sync1"].is_healthy), (8, False))
        self.assertIsNone(states["reader1"].pid)

    def test_without_a_pid_file_nothing_is_started(self) -> None:
        fleet = read_fleet([write_master(self.mktemp(), pid_file=None)])
        self.assertFalse(self.control.start(fleet))
        self.assertEqual(self.system.history, [])
        self.assertIn("pid_file is needed", self._said())
