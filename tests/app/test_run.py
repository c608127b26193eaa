"""Starting and stopping a process: in this one, on a database in a file, without ports."""

from __future__ import annotations

import logging
import os
from typing import Any

from twisted.internet import reactor
from twisted.trial import unittest

from synapse_lite.app._files import StartError
from synapse_lite.app._main import log_destination
from synapse_lite.app._process import Duty, Process
from synapse_lite.app._run import Runner, addresses_of_listeners
from synapse_lite.app.table import MASTER, WORKERS
from synapse_lite.config import Config, config_from_dict
from synapse_lite.http.endpoint import Servlet
from synapse_lite.server import Homeserver
from synapse_lite.storage.heartbeats import ProcessAddress, get_heartbeats
from synapse_lite.storage.leases import LeaseHeldError

LISTENER = {"port": 8008, "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}


class RunnerTestCase(unittest.TestCase):
    """A master."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)
        self.events: list[str] = []

    def _config(self, **options: object) -> Config:
        return config_from_dict({"server_name": "test", "listeners": [], **options}, self.folder)

    def _runner(self, process: Process = MASTER, **options: object) -> Runner:
        runner = Runner(process, self._config(**options), reactor)
        self.addCleanup(runner.stop)
        return runner

    def _with_duty(self, name: str) -> Process:
        """A master with one more duty, which notes what happens to it."""
        events = self.events

        class Noted(Servlet):
            def __init__(self, hs: Homeserver) -> None:
                self._db_is_there = hs.part(MASTER.store) is not None

            async def start(self) -> None:
                events.append(f"start {name}")

            async def stop(self) -> None:
                events.append(f"stop {name}")
                if name == "broken":
                    raise RuntimeError("This is on purpose")

        values: dict[str, Any] = {
            field: getattr(MASTER, field)
            for field in ("name", "purpose", "store", "resources", "bindings", "prepare")
        }
        duty = Duty(name, "", lambda hs: hs.part(Noted))
        return Process(**values, many=False, is_master=True, duties=(*MASTER.duties, duty))

    async def test_a_running_process_is_seen_and_says_goodbye(self) -> None:
        runner = self._runner()
        await runner.start()
        names = [beat.name for beat in await get_heartbeats(runner.db)]
        self.assertEqual(names, ["master"])
        await runner.stop()
        other = self._runner()
        await other.start()
        self.assertEqual([beat.pid for beat in await get_heartbeats(other.db)], [os.getpid()])

    async def test_a_second_master_is_refused(self) -> None:
        await self._runner().start()
        second = self._runner()
        with self.assertRaises(LeaseHeldError):
            await second.start()

    async def test_a_commit_of_which_nothing_is_known_ends_the_master(self) -> None:
        runner = self._runner()
        await runner.start()
        ends: list[int] = []
        self.patch(os, "_exit", ends.append)
        self.patch(logging, "shutdown", lambda: None)
        hook = runner.db.on_commit_unknown
        assert hook is not None
        with self.assertLogs("synapse_lite.app._run", "CRITICAL"):
            hook()
        self.assertEqual(ends, [1])

    async def test_duties_start_and_stop_once(self) -> None:
        runner = self._runner(self._with_duty("noted"))
        await runner.start()
        self.assertEqual(self.events, ["start noted"])
        await runner.stop()
        await runner.stop()
        self.assertEqual(self.events, ["start noted", "stop noted"])

    async def test_a_step_that_fails_does_not_hinder_the_others(self) -> None:
        runner = self._runner(self._with_duty("broken"))
        await runner.start()
        with self.assertLogs("synapse_lite.app._run", "ERROR"):
            await runner.stop()
        # The lease was given back all the same.
        await self._runner().start()

    async def test_a_start_that_fails_half_way_leaves_nothing(self) -> None:
        runner = self._runner(signing_key_path=".")
        with self.assertRaises(StartError):
            await runner.start()
        await runner.stop()
        await self._runner().start()

    async def test_a_worker_refuses_what_it_does_not_serve(self) -> None:
        listener = {**LISTENER, "resources": [{"names": ["federation"]}]}
        worker = WORKERS[0]
        runner = self._runner(
            worker, worker_app=worker.app, worker_name="w", worker_listeners=[listener]
        )
        with self.assertRaises(StartError) as caught:
            await runner.start()
        self.assertIn("names federation", str(caught.exception))

    async def test_only_the_master_listens_for_workers(self) -> None:
        listener = {"port": 9092, "type": "replication", "bind_addresses": ["127.0.0.1"]}
        worker = WORKERS[0]
        runner = self._runner(
            worker, worker_app=worker.app, worker_name="w", worker_listeners=[listener]
        )
        with self.assertRaises(StartError):
            await runner.start()


class AddressesTestCase(unittest.TestCase):
    """What other processes learn of the ports of one."""

    def test_each_bound_address_with_what_is_there(self) -> None:
        config = config_from_dict(
            {
                "server_name": "test",
                "listeners": [
                    {"port": 8008, "resources": [{"names": ["client"]}]},
                    {"port": 9092, "type": "replication", "bind_addresses": ["127.0.0.1"]},
                ],
            }
        )
        client = frozenset({"client", "admin", "media"})
        self.assertEqual(
            addresses_of_listeners(config.server.listeners),
            [
                ProcessAddress("http://127.0.0.1:8008", client),
                ProcessAddress("http://[::1]:8008", client),
                ProcessAddress("replication://127.0.0.1:9092"),
            ],
        )


class LogDestinationTestCase(unittest.TestCase):
    """Where a process logs."""

    def _destination(self, **options: str) -> tuple[str | None, str | None]:
        values = {"server_name": "test", "worker_name": "w", **options}
        return log_destination(config_from_dict(values, "/srv"))

    def test_the_master_has_nothing_from_workers(self) -> None:
        self.assertEqual(
            self._destination(log_config="l.yaml", worker_log_file="w.log"), ("/srv/l.yaml", None)
        )

    def test_what_is_closest_to_the_worker_counts(self) -> None:
        worker = {"worker_app": WORKERS[0].app, "log_config": "l.yaml"}
        self.assertEqual(self._destination(**worker), ("/srv/l.yaml", None))
        self.assertEqual(self._destination(**worker, worker_log_file="w.log"), (None, "/srv/w.log"))
        self.assertEqual(
            self._destination(**worker, worker_log_file="w.log", worker_log_config="w.yaml"),
            ("/srv/w.yaml", None),
        )
