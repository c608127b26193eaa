"""Streams, stores and processes fit together."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import TestCase

from synapse_lite.app.table import MASTER, PROCESSES, WORKERS
from synapse_lite.http.endpoint import endpoints_of
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.storage._base import BaseStore
from synapse_lite.storage.datastore import DataStore
from synapse_lite.storage.declarations import DeclarationError, check_declarations
from synapse_lite.streams import EVENTS, STREAMS, Counter, Stream, Table
from synapse_lite.streams.events import EventRow


class DeclarationsTestCase(TestCase):
    """What must be declared, is."""

    def test_streams_fit_the_complete_store(self) -> None:
        check_declarations(DataStore, STREAMS)

    def test_a_missing_read_is_found(self) -> None:
        stream = Stream(
            name="odd",
            says="",
            row=EventRow,
            counter=Counter("odd", "odd"),
            rows=Table("odd"),
            stale={"get_nothing": ("room_id",)},
        )
        with self.assertRaises(DeclarationError) as caught:
            check_declarations(DataStore, [stream])
        self.assertIn("get_nothing", str(caught.exception))

    def test_a_missing_handler_is_found(self) -> None:
        class Odd(BaseStore):
            handles: ClassVar[tuple[tuple[Stream, str], ...]] = ((EVENTS, "_nothing"),)

        with self.assertRaises(DeclarationError) as caught:
            check_declarations(Odd, [])
        self.assertIn("_nothing", str(caught.exception))

    def test_served_by_names_processes(self) -> None:
        known = {worker.name for worker in WORKERS}
        for servlet in SERVLETS:
            for endpoint in endpoints_of(servlet):
                self.assertEqual(set(endpoint.served_by) - known, set(), servlet.__name__)

    def test_each_process_says_what_it_is(self) -> None:
        self.assertEqual([process.name for process in PROCESSES if process.is_master], ["master"])
        self.assertEqual(len({process.name for process in PROCESSES}), len(PROCESSES))
        for process in PROCESSES:
            self.assertTrue(process.purpose.endswith("."), process.name)
            self.assertTrue(process.store.__doc__, process.name)

    def test_every_worker_serves_something(self) -> None:
        served = {
            name
            for servlet in SERVLETS
            for endpoint in endpoints_of(servlet)
            for name in endpoint.served_by
        }
        self.assertEqual({worker.name for worker in WORKERS} - served, set())

    def test_only_the_master_writes(self) -> None:
        for worker in WORKERS:
            self.assertFalse(hasattr(worker.store, "writing"), worker.name)
        self.assertTrue(hasattr(MASTER.store, "writing"))

    def test_areas_of_a_store_do_not_hide_each_other(self) -> None:
        """Two areas that define one name would, composed, quietly call each other's method."""
        for process in PROCESSES:
            owners: dict[str, type] = {}
            for cls in reversed(process.store.__mro__):
                for name in vars(cls):
                    other = owners.get(name)
                    if name not in SHARED_NAMES and other is not None:
                        self.assertTrue(
                            issubclass(cls, other), f"{name} of {other.__name__}, {cls.__name__}"
                        )
                    owners[name] = cls


# Declared by each class anew, or called on through `super()`.
SHARED_NAMES = {
    "__doc__",
    "__init__",
    "__module__",
    "__annotations__",
    "handles",
    "is_store",
    "load_positions",
    "persist_steps",
    "resets",
    "streams",
}
