"""Slow changes of existing data go on until they are done."""

from __future__ import annotations

from typing import Any

from synapse_lite.storage.background_updates import (
    BackgroundUpdater,
    BatchResult,
    get_pending_updates,
    queue_update,
)
from synapse_lite.storage.transaction import Transaction
from synapse_lite.util.json import JsonDict
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase


class TestBackgroundUpdates(MemoryDatabase):
    """On fake time; a handler says how long an item takes."""

    def setUp(self) -> None:
        super().setUp()
        self.updater = BackgroundUpdater(self.db, self.clock)
        self.batches: list[tuple[str, int, int]] = []

    def queue(self, name: str, **keywords: Any) -> None:
        self.await_now(self.db.run("queue", lambda txn: queue_update(txn, name, **keywords)))

    def counting(self, name: str, until: int, seconds_per_item: float = 0.001) -> Any:
        """A handler that goes through numbers up to `until`."""

        def handler(txn: Transaction, progress: JsonDict, size: int) -> BatchResult:
            start = progress.get("next", 0)
            end = min(start + size, until)
            self.batches.append((name, start, end))
            self.reactor.rightNow += (end - start) * seconds_per_item
            return BatchResult(end - start, {"next": end} if end < until else None)

        return handler

    def pending(self) -> list[str]:
        return [update.name for update in self.await_now(get_pending_updates(self.db))]

    def run_rounds(self, rounds: int) -> None:
        for _ in range(rounds):
            self.reactor.advance(1)

    def test_an_update_goes_on_where_it_stood_and_ends(self) -> None:
        self.queue("count")
        self.updater.register("count", self.counting("count", 250))
        self.await_now(self.updater.run_batch())
        (update,) = self.await_now(get_pending_updates(self.db))
        self.assertEqual((update.progress, update.items_done), ({"next": 100}, 100))
        # A new process knows only what the database says.
        again = BackgroundUpdater(self.db, self.clock)
        again.register("count", self.counting("count", 250))
        again.start()
        self.run_rounds(6)
        self.assertEqual(
            self.batches, [("count", 0, 100), ("count", 100, 200), ("count", 200, 250)]
        )
        self.assertEqual(self.pending(), [])
        self.assertFalse(again.is_running)

    def test_batches_grow_and_shrink_towards_the_target(self) -> None:
        self.queue("quick")
        self.updater.register("quick", self.counting("quick", 10**6, 0.0001))
        self.updater.start()
        self.run_rounds(5)
        self.assertEqual([end - start for _, start, end in self.batches[:3]], [100, 400, 1000])
        self.updater.register("quick", self.counting("quick", 10**6, 0.01))
        self.run_rounds(3)
        self.assertEqual(self.updater.batch_size("quick"), 100)

    def test_updates_take_turns_and_wait_for_their_dependency(self) -> None:
        for name in ("a", "b"):
            self.queue(name)
            self.updater.register(name, self.counting(name, 200))
        self.queue("c", depends_on="a")
        self.updater.register("c", self.counting("c", 50))
        self.updater.start()
        self.run_rounds(7)
        self.assertEqual([name for name, _, _ in self.batches], ["a", "b", "a", "b", "c"])
        self.assertEqual(self.pending(), [])

    def test_an_unknown_update_stays_and_others_go_on(self) -> None:
        self.queue("a_unknown")
        self.queue("known")
        self.updater.register("known", self.counting("known", 10))
        self.updater.start()
        with self.assertLogs("synapse_lite.storage.background_updates", "ERROR") as logs:
            self.run_rounds(4)
        self.assertEqual(len(logs.records), 1)
        self.assertEqual(self.pending(), ["a_unknown"])
        self.assertFalse(self.updater.is_running)

    def test_a_failing_update_is_tried_again_and_others_go_on(self) -> None:
        failures: list[int] = []
        good = self.counting("bad", 10)

        def bad(txn: Transaction, progress: JsonDict, size: int) -> BatchResult:
            txn.execute("UPDATE replication_epoch SET epoch = 99")
            if len(failures) < 2:
                failures.append(1)
                raise ValueError("not yet")
            return good(txn, progress, size)  # type: ignore[no-any-return]  # a test helper

        self.queue("bad")
        self.queue("other")
        self.updater.register("bad", bad)
        self.updater.register("other", self.counting("other", 10))
        self.updater.start()
        with self.assertLogs("synapse_lite.storage.background_updates", "ERROR"):
            self.run_rounds(2)
        self.assertEqual(self.batches, [("other", 0, 10)])
        row = self.await_now(
            self.db.read("read", lambda txn: txn.query_one("SELECT epoch FROM replication_epoch"))
        )
        self.assertEqual(row, (0,))
        with self.assertLogs("synapse_lite.storage.background_updates", "ERROR"):
            self.run_rounds(12)
        self.assertEqual(self.pending(), [])

    def test_a_stopped_updater_does_nothing_until_started_again(self) -> None:
        self.queue("count")
        self.updater.register("count", self.counting("count", 300))
        self.updater.start()
        self.run_rounds(1)
        self.await_now(self.updater.stop())
        self.run_rounds(5)
        self.assertEqual(len(self.batches), 1)
        self.updater.start()
        self.run_rounds(4)
        self.assertEqual(self.pending(), [])

    def test_a_retired_update_is_cleared(self) -> None:
        self.queue("old")
        self.updater.register_retired("old")
        self.await_now(self.updater.run_batch())
        self.assertEqual(self.pending(), [])


class EveryIndex(DatabaseCase):
    """An index is built, also over the remains of an attempt."""

    async def test_an_index_is_built(self) -> None:
        def prepare(txn: Transaction) -> None:
            txn.execute("CREATE TABLE things (id BIGINT, name TEXT)")
            txn.execute("CREATE INDEX things_name ON things (id)")  # not what it should be
            queue_update(txn, "things_name")

        await self.db.run("prepare", prepare)
        updater = BackgroundUpdater(self.db, self.clock)
        updater.register_index(
            "things_name", "things_name", "CREATE UNIQUE INDEX things_name ON things (name)"
        )
        self.assertTrue(await updater.run_batch())
        self.assertEqual(await get_pending_updates(self.db), [])
        # Only a unique index on this column makes this statement valid.
        await self.db.run("use", lambda txn: txn.upsert("things", {"name": "a"}, {"id": 1}))


class TestIndexMemory(EveryIndex, MemoryDatabase):
    """In memory."""


class TestIndexFile(EveryIndex, FileDatabase):
    """In a file."""


class TestIndexPostgres(EveryIndex, PostgresDatabase):
    """On PostgreSQL."""
