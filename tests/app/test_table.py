"""Every kind of process can be built, with every servlet that it mounts."""

from __future__ import annotations

from twisted.trial import unittest

from synapse_lite.app._process import Process, combine
from synapse_lite.app.table import MASTER, PROCESSES, WORKERS
from synapse_lite.http.endpoint import endpoints_of
from synapse_lite.http.resources import resource_of, with_included
from synapse_lite.rest.servlets import SERVLETS

from ..harness.homeserver import make_master, make_worker


def serve(process: Process) -> None:
    """Build all that a process needs to listen."""
    master = make_master()
    server = master if process.is_master else make_worker(process, master)
    answer = server.request("GET", "/health", judged=False)
    assert answer.status == 200, answer
    for duty in process.duties:
        duty.part(server.hs)


class TableTestCase(unittest.TestCase):
    """The table of processes against the declarations of endpoints."""

    def test_master(self) -> None:
        serve(MASTER)

    def test_each_worker(self) -> None:
        for worker in WORKERS:
            serve(worker)

    def test_all_workers_in_one(self) -> None:
        serve(combine("generic_worker", "All.", WORKERS))

    def test_any_two_workers_in_one(self) -> None:
        for first in WORKERS:
            for second in WORKERS:
                if first is not second:
                    combined = combine("generic_worker", "Two.", (first, second))
                    self.assertEqual(combined.kinds, (first.name, second.name))
                    for base in (*first.store.__bases__, *second.store.__bases__):
                        self.assertTrue(issubclass(combined.store, base), base.__name__)

    def test_endpoints_name_kinds_that_there_are(self) -> None:
        known = {worker.name for worker in WORKERS}
        for servlet in SERVLETS:
            for declared in endpoints_of(servlet):
                self.assertLessEqual(set(declared.served_by), known, servlet.__name__)

    def test_kinds_may_have_listeners_for_their_endpoints(self) -> None:
        by_name = {worker.name: worker for worker in WORKERS}
        for servlet in SERVLETS:
            for declared in endpoints_of(servlet):
                for kind in declared.served_by:
                    names = with_included(frozenset(by_name[kind].resources))
                    for path in declared.paths:
                        self.assertIn(resource_of(path), names, f"{kind}: {path}")

    def test_names_and_modules_are_unique(self) -> None:
        self.assertEqual(len({process.name for process in PROCESSES}), len(PROCESSES))
        self.assertEqual(len({process.app for process in PROCESSES}), len(PROCESSES))

    def test_roles_that_bind_one_interface_differently_are_refused(self) -> None:
        first = Process("a", "", WORKERS[0].store, (), bindings={int: bool})
        second = Process("b", "", WORKERS[0].store, (), bindings={int: float})
        self.assertRaises(ValueError, combine, "generic_worker", "", (first, second))
