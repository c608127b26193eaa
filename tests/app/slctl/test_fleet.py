"""Which processes configuration files describe."""

from __future__ import annotations

import os

from twisted.trial import unittest

from synapse_lite.app.slctl._fleet import FleetError, read_fleet

from .support import listener, write_master, write_worker, write_yaml


class ReadFleetTestCase(unittest.TestCase):
    """A folder with homeserver.yaml and workers/."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        self.master = write_master(self.folder)

    def _problems(self, **options: str) -> str:
        return str(self.assertRaises(FleetError, read_fleet, [self.master], **options))

    def test_workers_beside_the_configuration(self) -> None:
        write_worker(self.folder, "b", 8083, "synchrotron")
        write_worker(self.folder, "a", 8084, "client_reader")
        fleet = read_fleet([self.master])
        self.assertEqual([one.name for one in fleet.all], ["master", "a", "b"])
        self.assertEqual(fleet.workers[1].app, "synapse_lite.app.synchrotron")
        self.assertEqual(fleet.workers[1].base_url, "http://127.0.0.1:8083")
        self.assertEqual(
            fleet.workers[1].pid_file, os.path.join(os.path.abspath(self.folder), "b.pid")
        )

    def test_another_folder_of_workers(self) -> None:
        write_worker(self.folder, "a", 8084, "client_reader")
        other = self.mktemp()
        write_worker(other, "z", 8085, "event_creator")
        fleet = read_fleet([self.master], workers_folder=os.path.join(other, "workers"))
        self.assertEqual([one.name for one in fleet.all], ["master", "z"])

    def test_one_worker(self) -> None:
        file = write_worker(self.folder, "a", 8084, "client_reader")
        fleet = read_fleet([self.master], worker_file=file)
        self.assertIsNone(fleet.master)
        self.assertEqual([one.files for one in fleet.workers], [(self.master, file)])

    def test_roles_of_a_generic_worker(self) -> None:
        roles = ["client_reader", "synchrotron"]
        write_worker(self.folder, "g", 8084, "generic_worker", worker_roles=roles)
        self.assertEqual(read_fleet([self.master]).workers[0].process.kinds, tuple(roles))

    def test_all_problems_are_reported(self) -> None:
        write_worker(self.folder, "a", 8083, "nonsense")
        write_worker(self.folder, "b", 8084, "generic_worker")
        write_worker(self.folder, "c", 99999, "synchrotron")
        problems = self._problems()
        self.assertIn("there is no synapse_lite.app.nonsense", problems)
        self.assertIn("worker_roles: expected at least one of", problems)
        self.assertIn("worker_listeners[0].port", problems)

    def test_what_two_processes_must_not_share(self) -> None:
        write_worker(self.folder, "a", 8083, "synchrotron")
        write_worker(self.folder, "b", 8083, "synchrotron", worker_pid_file="../a.pid")
        problems = self._problems()
        self.assertIn("port 127.0.0.1:8083 is that of", problems)
        self.assertIn("pid file", problems)

    def test_a_file_that_is_no_worker(self) -> None:
        write_yaml(os.path.join(self.folder, "workers", "x.yaml"), pid_file="x.pid")
        self.assertIn("worker_app is missing", self._problems())

    def test_a_folder_that_is_not_there(self) -> None:
        self.assertIn("No such file", self._problems(workers_folder="/nonexistent"))

    def test_addresses_of_a_process(self) -> None:
        for bound, expected in {
            ("::1", "127.0.0.1"): "http://127.0.0.1:8009",
            ("::",): "http://[::1]:8009",
            ("0.0.0.0",): "http://127.0.0.1:8009",
        }.items():
            entry = {**listener(8009, "client"), "bind_addresses": list(bound)}
            master = read_fleet([write_master(self.mktemp(), listeners=[entry])]).master
            assert master is not None
            self.assertEqual(master.base_url, expected)

    def test_log_files(self) -> None:
        write_yaml(
            os.path.join(self.folder, "log.yaml"),
            version=1,
            handlers={"f": {"class": "logging.FileHandler", "filename": "logs/x.log"}},
        )
        write_master(self.folder, log_config="log.yaml")
        write_worker(self.folder, "a", 8083, "synchrotron", worker_log_file="../logs/a.log")
        fleet = read_fleet([self.master])
        folder = os.path.abspath(self.folder)
        self.assertEqual(
            [one.log_files for one in fleet.all],
            [(f"{folder}/logs/x.log",), (f"{folder}/logs/a.log",)],
        )
