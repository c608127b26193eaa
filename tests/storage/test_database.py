"""Transactions behave alike on every database."""

from __future__ import annotations

import contextvars
import sqlite3
import threading
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from synapse_lite.logging.context import bind
from synapse_lite.storage import _attempt
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines import postgres
from synapse_lite.storage.engines.sqlite import SqliteEngine
from synapse_lite.storage.errors import (
    CommitUnknownError,
    ConflictError,
    DatabaseUnavailableError,
    DiskFullError,
)
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import RECEIPTS
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase

CREATE = "CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY, name TEXT, data BYTES, flag BOOLEAN)"


def create_things(txn: Transaction) -> None:
    """A table to play with."""
    txn.execute(txn.engine.schema_sql(CREATE))


def names(txn: Transaction) -> list[Any]:
    """What is in it."""
    return txn.query("SELECT id, name FROM things ORDER BY id")


class Retry(Exception):
    """Stands for a conflict with another transaction."""


class EveryDatabase(DatabaseCase):
    """What must hold on each of them."""

    async def test_what_was_written_is_read(self) -> None:
        await self.db.run("create", create_things)
        await self.db.run(
            "insert", lambda txn: txn.insert("things", id=1, name="ä'%?\"", data=b"\0\xff")
        )
        rows = await self.db.read("read", lambda txn: txn.query("SELECT * FROM things"))
        self.assertEqual(rows, [(1, "ä'%?\"", b"\0\xff", None)])
        self.assertIsInstance(rows[0][2], bytes)

    async def test_a_full_disk_is_told_as_such(self) -> None:
        await self.db.run("create", create_things)

        def fill(txn: Transaction) -> None:
            txn.insert("things", id=1)
            if isinstance(txn.engine, SqliteEngine):
                (pages,) = txn.query_one("PRAGMA page_count") or ()
                txn.execute(f"PRAGMA max_page_count = {pages}")
                txn.insert("things", id=2, data=bytes(100_000))
            else:
                txn.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$")

        with self.assertRaises(DiskFullError) as caught:
            await self.db.run("fill", fill)
        self.assertIsInstance(caught.exception.__cause__, self.engine.driver_error)
        self.assertEqual(self.db.counts.retries, 0)
        self.assertEqual(await self.db.read("read", names), [])

    async def test_placeholders_and_percent_signs_in_quotes_are_text(self) -> None:
        row = await self.db.read(
            "read",
            lambda txn: txn.query_one(
                "SELECT 'a?b%s%', '%%', CAST(? AS TEXT) -- 100% sure?", ("x",)
            ),
        )
        self.assertEqual(row, ("a?b%s%", "%%", "x"))
        row = await self.db.read("read", lambda txn: txn.query_one("SELECT '5%' LIKE '%5\\%%'"))
        self.assertIsNotNone(row)

    async def test_a_failing_function_writes_nothing(self) -> None:
        await self.db.run("create", create_things)

        def fail(txn: Transaction) -> None:
            txn.insert("things", id=1, name="a")
            raise ValueError("no")

        with self.assertRaisesRegex(ValueError, "no"):
            await self.db.run("fail", fail)
        self.assertEqual(await self.db.read("read", names), [])

    async def test_a_taken_key_is_a_conflict_and_the_pool_goes_on(self) -> None:
        await self.db.run("create", create_things)
        await self.db.run("insert", lambda txn: txn.insert("things", id=1, name="a"))
        with self.assertRaises(ConflictError):
            await self.db.run("insert", lambda txn: txn.insert("things", id=1, name="b"))
        self.assertEqual(await self.db.read("read", names), [(1, "a")])
        self.assertEqual(self.db.counts.retries, 0)

    async def test_a_read_cannot_write(self) -> None:
        await self.db.run("create", create_things)
        with self.assertRaises(self.engine.driver_error):
            await self.db.read("write", lambda txn: txn.insert("things", id=1, name="a"))
        self.assertEqual(await self.db.read("read", names), [])

    async def test_rows_helpers(self) -> None:
        def work(txn: Transaction) -> None:
            create_things(txn)
            txn.insert_many("things", ("id", "name"), [(i, f"n{i}") for i in range(1, 1001)])
            txn.upsert("things", {"id": 1}, {"name": "one", "flag": True})
            txn.upsert("things", {"id": 1001}, {"name": "new"})
            txn.upsert("things", {"id": 2}, {})
            txn.upsert_many("things", ("id",), ("name",), [(3, "x"), (4, "y"), (3, "z")])
            txn.insert_many(
                "things", ("id", "name"), [(5, "no"), (2000, None)], ignore_conflicts=True
            )
            assert not txn.insert_ignore("things", id=6, name="no")
            assert txn.insert_ignore("things", id=2001, name="yes")
            assert txn.update("things", {"id": 7}, {"name": "seven"}) == 1
            assert txn.update("things", {"name": None}, {"name": "null"}) == 1
            assert txn.delete("things", id=8) == 1
            assert txn.delete("things", id=8) == 0
            assert txn.rowcount == 0

        await self.db.run("work", work)
        found = dict(await self.db.read("read", names))
        self.assertEqual(len(found), 1002)
        self.assertEqual(
            [found[i] for i in range(1, 8)], ["one", "n2", "z", "y", "n5", "n6", "seven"]
        )
        self.assertEqual((found[1001], found[2000], found[2001]), ("new", "null", "yes"))
        row = await self.db.read("read", lambda txn: txn.select_one("things", ("flag",), id=1))
        self.assertEqual(row, (True,))

    async def test_in_clause(self) -> None:
        def of(*wanted: Any, column: str = "id") -> Any:
            def work(txn: Transaction) -> list[Any]:
                condition, args = txn.in_clause(column, list(wanted))
                return txn.query(f"SELECT id FROM things WHERE {condition} ORDER BY id", args)

            return self.db.read("in", work)

        await self.db.run("create", create_things)
        rows = [(i, f"n{i}") for i in range(20_000)]
        await self.db.run("fill", lambda txn: txn.insert_many("things", ("id", "name"), rows))
        self.assertEqual(await of(), [])
        self.assertEqual(await of(5, 3, 999_999_999_999), [(3,), (5,)])
        self.assertEqual(await of("n1", "n2", "zz", column="name"), [(1,), (2,)])
        self.assertEqual(len(await of(*range(10_000))), 10_000)

    async def test_many_rows_are_one_statement_and_all_there(self) -> None:
        await self.db.run("create", create_things)
        for count in (1, 2, 7, 127, 300, 9000):
            before = self.db.counts.statements
            rows = [(i, f"n{i}") for i in range(count)]
            await self.db.run(
                "fill", lambda txn, rows=rows: txn.insert_many("things", ("id", "name"), rows)
            )
            self.assertEqual(self.db.counts.statements - before, 1)
            self.assertEqual(await self.db.read("read", names), rows)
            await self.db.run("empty", lambda txn: txn.delete("things"))

    async def test_executemany_of_updates(self) -> None:
        await self.db.run("create", create_things)

        def work(txn: Transaction) -> None:
            txn.insert_many("things", ("id", "name"), [(i, "") for i in range(5)])
            txn.executemany("UPDATE things SET name = ? WHERE id = ?", [("b", 1), ("d", 3)])
            txn.executemany("UPDATE things SET name = ? WHERE id = ?", [])

        await self.db.run("work", work)
        self.assertEqual(
            await self.db.read("read", names), [(0, ""), (1, "b"), (2, ""), (3, "d"), (4, "")]
        )

    async def test_join_with_values(self) -> None:
        await self.db.run("create", create_things)
        await self.db.run(
            "fill", lambda txn: txn.insert_many("things", ("id", "name"), [(1, "a"), (2, "b")])
        )
        rows = await self.db.read(
            "join",
            lambda txn: txn.execute_values(
                "WITH wanted (id, name) AS (VALUES ?)"
                " SELECT id FROM things JOIN wanted USING (id, name)",
                [(1, "a"), (2, "x"), (3, "b")],
                fetch=True,
            ),
        )
        self.assertEqual(rows, [(1,)])

    async def test_a_sum_is_a_plain_number(self) -> None:
        await self.db.run("create", create_things)
        await self.db.run(
            "fill", lambda txn: txn.insert_many("things", ("id",), [(2**40,), (2**41,)])
        )
        row = await self.db.read("sum", lambda txn: txn.query_one("SELECT SUM(id) FROM things"))
        assert row is not None
        self.assertIs(type(row[0]), int)
        self.assertEqual(row[0], 3 * 2**40)

    async def test_effects_come_after_the_commit_and_before_the_caller(self) -> None:
        await self.db.run("create", create_things)
        seen: list[Any] = []
        thread = threading.get_ident()

        def committed(changes: Any) -> None:
            seen.append((changes, threading.get_ident() == thread))

        def work(txn: Transaction) -> str:
            txn.call_finally(seen.append, "finally")
            txn.call_after(seen.append, "after")
            txn.changed(RECEIPTS, 5, "row 5")
            txn.changed(RECEIPTS, 6, "row 6")
            assert seen == []
            return "result"

        self.db.on_committed = committed
        self.assertEqual(await self.db.run("work", work), "result")
        rows = [(RECEIPTS, 5, "row 5"), (RECEIPTS, 6, "row 6")]
        self.assertEqual(seen, [(rows, True), "after", "finally"])

    async def test_a_failed_transaction_has_only_final_effects(self) -> None:
        seen: list[Any] = []

        def work(txn: Transaction) -> None:
            txn.call_finally(seen.append, "finally")
            txn.call_after(seen.append, "after")
            txn.changed(RECEIPTS, 5, "row 5")
            raise ValueError("no")

        self.db.on_committed = seen.append
        with self.assertRaises(ValueError):
            await self.db.run("work", work)
        self.assertEqual(seen, ["finally"])

    async def test_an_effect_that_fails_reaches_the_caller_and_the_pool_goes_on(self) -> None:
        def fail(changes: Any) -> None:
            raise ValueError("cache")

        self.db.on_committed = fail
        with self.assertRaisesRegex(ValueError, "cache"):
            await self.db.run("work", lambda txn: txn.changed(RECEIPTS, 1, "row"))
        self.assertEqual(await self.db.read("one", lambda txn: txn.query("SELECT 1")), [(1,)])

    async def test_invalidations_are_written_within_the_transaction(self) -> None:
        await self.db.run("create", create_things)

        class Cache:
            name = "get_x"

        def write(txn: Transaction, entries: Any) -> None:
            for number, (name, key) in enumerate(entries):
                txn.insert("things", id=number, name=f"{name} {key}")

        def work(txn: Transaction) -> None:
            txn.invalidate(Cache(), ("a", 1))
            txn.invalidate(Cache(), None)

        self.db.write_invalidations = write
        await self.db.run("work", work)
        self.assertEqual(
            await self.db.read("read", names), [(0, "get_x ('a', 1)"), (1, "get_x None")]
        )

    async def test_a_fence_forbids_the_commit(self) -> None:
        await self.db.run("create", create_things)

        def closed(txn: Transaction) -> None:
            raise PermissionError("fenced")

        self.db.fence = closed
        with self.assertRaises(PermissionError):
            await self.db.run("insert", lambda txn: txn.insert("things", id=1))
        self.assertEqual(await self.db.read("read", names), [])

    async def test_relaxed_transactions_commit(self) -> None:
        await self.db.run_relaxed("create", create_things)
        await self.db.run_relaxed("insert", lambda txn: txn.insert("things", id=1, name="a"))
        await self.db.run("insert", lambda txn: txn.insert("things", id=2, name="b"))
        self.assertEqual(await self.db.read("read", names), [(1, "a"), (2, "b")])

    async def test_counts_and_recording(self) -> None:
        await self.db.run("create", create_things)
        before = (self.db.counts.transactions, self.db.counts.statements)
        with self.db.recording() as statements:
            await self.db.run("insert", lambda txn: txn.insert("things", id=1))
            await self.db.read("names", names)
        self.assertEqual(self.db.counts.transactions - before[0], 2)
        self.assertEqual(self.db.counts.statements - before[1], 2)
        self.assertEqual(
            statements,
            ["INSERT INTO things (id) VALUES (?)", "SELECT id, name FROM things ORDER BY id"],
        )
        self.assertEqual(self.db.timings["names"].transactions, 1)

    async def test_work_is_charged_to_the_log_context(self) -> None:
        with bind(request_id="r") as context:
            await self.db.read("one", lambda txn: (txn.query("SELECT 1"), txn.query("SELECT 2")))
        self.assertEqual((context.db_transactions, context.db_statements), (1, 2))
        self.assertGreater(context.db_time, 0)

    async def test_sharing_pools_see_one_database_and_have_their_own_hooks(self) -> None:
        seen: list[Any] = []
        other = self.db.sharing()
        self.db.on_committed = lambda changes: seen.append("first")
        other.on_committed = lambda changes: seen.append("other")
        await self.db.run("create", create_things)
        await other.run(
            "insert", lambda txn: (txn.insert("things", id=1), txn.changed(RECEIPTS, 1, 0))
        )
        self.assertEqual(await self.db.read("read", names), [(1, None)])
        self.assertEqual(seen, ["other"])
        self.assertEqual((self.db.counts.transactions, other.counts.transactions)[1], 1)
        await other.stop()
        self.assertEqual(await self.db.read("read", names), [(1, None)])

    async def test_the_function_sees_the_context_variables_of_the_caller(self) -> None:
        variable = contextvars.ContextVar("variable", default="unset")
        variable.set("set")
        self.assertEqual(await self.db.read("context", lambda txn: variable.get()), "set")


class TestMemory(EveryDatabase, MemoryDatabase):
    """In memory, in the calling thread."""

    def test_transactions_run_in_the_calling_thread_at_once(self) -> None:
        result = self.await_now(self.db.read("thread", lambda txn: threading.get_ident()))
        self.assertEqual(result, threading.get_ident())

    def test_a_conflict_is_tried_again_with_fresh_effects(self) -> None:
        tries: list[int] = []
        seen: list[Any] = []
        self.patch(self.engine, "is_retriable", lambda error: isinstance(error, Retry))

        def work(txn: Transaction) -> int:
            tries.append(len(tries))
            txn.changed(RECEIPTS, 1, tries[-1])
            txn.call_finally(seen.append, f"finally {tries[-1]}")
            if len(tries) < 3:
                raise Retry
            return tries[-1]

        self.db.on_committed = seen.extend
        running = Deferred.fromCoroutine(self.db.run("work", work))
        self.assertNoResult(running)
        self.reactor.pump([0.0, 0.1, 0.1])
        self.assertEqual(self.successResultOf(running), 2)
        self.assertEqual(seen, ["finally 0", "finally 1", (RECEIPTS, 1, 2), "finally 2"])
        self.assertEqual(self.db.counts.retries, 2)

    def test_a_lasting_conflict_is_given_up_after_five_more_attempts(self) -> None:
        tries: list[int] = []
        self.patch(self.engine, "is_retriable", lambda error: isinstance(error, Retry))

        def work(txn: Transaction) -> None:
            tries.append(1)
            raise Retry("locked")

        running = Deferred.fromCoroutine(self.db.run("work", work))
        self.reactor.pump([1.0] * 10)
        failure = self.failureResultOf(running, DatabaseUnavailableError)
        self.assertIn("work: locked", str(failure.value))
        self.assertEqual(len(tries), 6)


class TestFile(EveryDatabase, FileDatabase):
    """In a file, with threads."""

    async def test_reads_go_on_while_a_transaction_writes(self) -> None:
        await self.db.run("create", create_things)
        may_end = threading.Event()
        has_begun = threading.Event()

        def write(txn: Transaction) -> None:
            txn.insert("things", id=1, name="a")
            has_begun.set()
            assert may_end.wait(10)

        writing = Deferred.fromCoroutine(self.db.run("write", write))
        self.assertEqual(await self.db.read("wait", lambda txn: has_begun.wait(10)), True)
        self.assertEqual(await self.db.read("read", names), [])
        may_end.set()
        await writing
        self.assertEqual(await self.db.read("read", names), [(1, "a")])

    async def test_a_cancelled_caller_goes_on_after_the_commit_and_its_effects(self) -> None:
        may_end = threading.Event()
        applied: list[Any] = []
        self.db.on_committed = applied.extend

        def write(txn: Transaction) -> None:
            assert may_end.wait(10)
            txn.changed(RECEIPTS, 1, "row")

        writing = Deferred.fromCoroutine(self.db.run("write", write))
        seen: list[Any] = []
        writing.addBoth(lambda result: seen.extend(applied) or result)
        writing.cancel()
        self.assertEqual(seen, [])
        may_end.set()
        await writing
        self.assertEqual(seen, [(RECEIPTS, 1, "row")])

    async def test_a_read_may_be_cancelled(self) -> None:
        may_end = threading.Event()
        self.addCleanup(may_end.set)
        reading = Deferred.fromCoroutine(self.db.read("read", lambda txn: may_end.wait(10)))
        reading.cancel()
        with self.assertRaises(CancelledError):
            await reading

    async def test_a_lock_of_another_connection_is_waited_for(self) -> None:
        patient = self.db
        hasty_engine = SqliteEngine({"database": self.path, "busy_timeout": 10})
        await patient.run("create", create_things)
        blocker = hasty_engine.connect(read_only=False)
        self.addCleanup(blocker.close)
        blocker.execute("BEGIN IMMEDIATE")
        writing = Deferred.fromCoroutine(
            patient.run("write", lambda txn: txn.insert("things", id=1, name="a"))
        )
        self.reactor.callLater(0.05, blocker.execute, "ROLLBACK")
        await writing
        self.assertEqual(await patient.read("read", names), [(1, "a")])

    async def test_a_locked_database_is_tried_again(self) -> None:
        await self.db.run("create", create_things)
        engine = SqliteEngine({"database": self.path, "busy_timeout": 1})
        hasty = DatabasePool(engine, self.reactor, self.clock)
        self.addCleanup(hasty.stop)
        blocker = engine.connect(read_only=False)
        self.addCleanup(blocker.close)
        blocker.execute("BEGIN IMMEDIATE")
        self.reactor.callLater(0.1, blocker.execute, "ROLLBACK")
        await hasty.run("write", lambda txn: txn.insert("things", id=1, name="a"))
        self.assertGreaterEqual(hasty.counts.retries, 1)

    async def test_commits_are_flushed_to_disk_unless_relaxed(self) -> None:
        level = "PRAGMA synchronous"
        full = await self.db.run("level", lambda txn: txn.query_one(level))
        normal = await self.db.run_relaxed("level", lambda txn: txn.query_one(level))
        self.assertEqual((full, normal), ((2,), (1,)))
        self.assertEqual(await self.db.run("level", lambda txn: txn.query_one(level)), (2,))

    async def test_a_stopped_pool_has_no_threads_and_takes_no_work(self) -> None:
        pool = self.make_pool()
        await pool.read("one", lambda txn: txn.query("SELECT 1"))
        mine = [t for t in threading.enumerate() if t.name.startswith("database-")]
        self.assertTrue(mine)
        await pool.stop()
        await self.db.stop()
        with self.assertRaises(DatabaseUnavailableError):
            await pool.read("one", lambda txn: txn.query("SELECT 1"))
        for thread in mine:
            thread.join(5)
            self.assertFalse(thread.is_alive())


class TestPostgres(EveryDatabase, PostgresDatabase):
    """On PostgreSQL."""

    async def test_serialization_failures_are_tried_again(self) -> None:
        await self.db.run("create", create_things)
        await self.db.run("insert", lambda txn: txn.insert("things", id=1, name=""))
        both = threading.Barrier(2)

        def append(txn: Transaction, letter: str, tries: list[int]) -> None:
            row = txn.select_one("things", ("name",), id=1)
            assert row is not None
            tries.append(1)
            if len(tries) == 1:
                both.wait(10)
            txn.update("things", {"id": 1}, {"name": row[0] + letter})

        tries_a: list[int] = []
        tries_b: list[int] = []
        first = Deferred.fromCoroutine(self.db.run("append", append, "a", tries_a))
        second = Deferred.fromCoroutine(self.db.run("append", append, "b", tries_b))
        await first
        await second
        ((_, name),) = await self.db.read("read", names)
        self.assertEqual(sorted(name), ["a", "b"])
        self.assertEqual(len(tries_a) + len(tries_b), 3)

    async def test_a_lost_connection_is_replaced(self) -> None:
        await self.db.run("create", create_things)
        tries: list[int] = []

        def work(txn: Transaction) -> None:
            tries.append(1)
            if len(tries) == 1:
                txn.query("SELECT pg_terminate_backend(pg_backend_pid())")
            txn.insert("things", id=len(tries))

        await self.db.run("work", work)
        self.assertEqual(await self.db.read("read", names), [(2, None)])

    async def test_a_transaction_of_a_sleeping_process_is_ended_and_run_again(self) -> None:
        await self.db.run("create", create_things)
        self.patch(postgres, "IDLE_MILLISECONDS", 100)
        tries: list[int] = []

        def work(txn: Transaction) -> None:
            tries.append(1)
            txn.insert("things", id=len(tries))
            if len(tries) == 1:
                threading.Event().wait(0.5)

        await self.db.run("work", work)
        self.assertEqual(await self.db.read("read", names), [(2, None)])

    async def _lose_answer_of_commit(self, *, committed: bool) -> list[int]:
        """The first commit takes place (or not), and its connection breaks before the answer."""
        await self.db.run("create", create_things)
        real = self.engine.commit
        tries: list[int] = []
        breaks = [True]

        def commit(connection: Any) -> None:
            if breaks:
                breaks.clear()
                if committed:
                    real(connection)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            real(connection)

        def work(txn: Transaction) -> None:
            tries.append(1)
            txn.execute("INSERT INTO things SELECT COALESCE(MAX(id), 0) + 1 FROM things")

        self.patch(self.engine, "commit", commit)
        await self.db.run("work", work)
        return tries

    async def test_a_commit_whose_answer_was_lost_is_not_repeated(self) -> None:
        tries = await self._lose_answer_of_commit(committed=True)
        self.assertEqual(len(tries), 1)
        self.assertEqual(await self.db.read("read", names), [(1, None)])

    async def test_a_commit_that_did_not_take_place_is_repeated(self) -> None:
        tries = await self._lose_answer_of_commit(committed=False)
        self.assertEqual(len(tries), 2)
        self.assertEqual(await self.db.read("read", names), [(1, None)])


class LostAnswers(SqliteEngine):
    """A server that goes away in the middle of each commit."""

    outcome: bool | None = None
    asked = 0

    def begin(
        self, connection: Any, *, read_only: bool, relaxed: bool, marked: bool = False
    ) -> int | None:
        super().begin(connection, read_only=read_only, relaxed=relaxed, marked=marked)
        return 1

    def commit(self, connection: Any) -> None:
        super().commit(connection)
        raise sqlite3.OperationalError("gone")

    def is_broken(self, connection: Any, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError)

    def outcome_of(self, connection: Any, mark: int) -> bool | None:
        self.asked += 1
        return self.outcome


class TestCommitUnknown(MemoryDatabase):
    """The answer to a commit was lost."""

    core_schema = False
    engine: LostAnswers

    def setUp(self) -> None:
        super().setUp()
        self.patch(_attempt, "_OUTCOME_SECONDS", 0.005)
        self.patch(_attempt, "_OUTCOME_PAUSE_SECONDS", 0.001)
        self.calls: list[str] = []
        self.db.on_commit_unknown = lambda: self.calls.append("unknown")

    def make_engine(self) -> LostAnswers:
        return LostAnswers({"database": ":memory:"})

    def run_one(self) -> Deferred[Any]:
        running = Deferred.fromCoroutine(
            self.db.run("work", lambda txn: txn.call_after(self.calls.append, "effect"))
        )
        running.addBoth(lambda result: (self.calls.append("caller"), result)[1])
        return running

    def test_an_outcome_that_stays_unknown_is_told_before_the_caller_goes_on(self) -> None:
        self.failureResultOf(self.run_one(), CommitUnknownError)
        self.assertGreater(self.engine.asked, 1)
        self.assertEqual(self.calls, ["unknown", "caller"])

    def test_a_commit_that_is_found_has_its_effects(self) -> None:
        self.engine.outcome = True
        self.successResultOf(self.run_one())
        self.assertEqual(self.calls, ["effect", "caller"])
