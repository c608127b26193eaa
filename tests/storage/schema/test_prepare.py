"""Databases are created, upgraded, waited for and refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines.postgres import PostgresEngine
from synapse_lite.storage.errors import DatabaseNotReadyError, WrongDatabaseError
from synapse_lite.storage.schema.prepare import (
    SCHEMA,
    Schema,
    check_database,
    prepare_core,
    prepare_database,
    wait_for_database,
)
from synapse_lite.storage.transaction import Transaction
from tests.harness.databases import (
    DatabaseCase,
    FileDatabase,
    MemoryDatabase,
    PostgresDatabase,
    create_postgres_database,
    drop_postgres_database,
)

BASE = """
-- Things; a comment with a semicolon; and the owner's apostrophe.
CREATE TABLE things (
    id BIGINT NOT NULL PRIMARY KEY,
    -- bytes; of all kinds
    data BYTES
);
CREATE INDEX things_data ON things (data);
"""


class SchemaCase(DatabaseCase):
    """A small schema in a folder of the test."""

    core_schema = False

    def make_schema(self, version: int = 1, compat_version: int = 1, **files: str) -> Schema:
        """Files by name: `d2_01_x_py` is `delta/2/01_x.py`, `b_10_x_sql` is `10_x.sql`."""
        if not hasattr(self, "folder"):
            self.folder = Path(self.mktemp())
            self.folder.mkdir(parents=True)
            shutil.copy(SCHEMA.folder / "00_core.sql", self.folder)
        for name, text in files.items():
            where, _, rest = name.partition("_")
            stem, _, suffix = rest.rpartition("_")
            folder = self.folder if where == "b" else self.folder / "delta" / where[1:]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{stem.replace('__', '.')}.{suffix}").write_text(text)
        return Schema(self.folder, version, compat_version)

    async def query(self, sql: str) -> Any:
        return await self.db.read("query", lambda txn: txn.query(sql))


class EveryPrepare(SchemaCase):
    """On each database."""

    async def test_the_real_schema_is_created_once_and_accepted_by_workers(self) -> None:
        await prepare_database(self.db)
        files = await self.query("SELECT COUNT(*) FROM applied_schema_files")
        self.assertEqual(files[0][0], len(SCHEMA.files(self.engine.name)))
        await prepare_database(self.db)
        self.assertEqual(await self.query("SELECT COUNT(*) FROM schema_version"), [(1,)])
        await check_database(self.db)

    async def test_upgrade_runs_what_is_missing_once(self) -> None:
        await prepare_database(self.db, self.make_schema(b_10_things_sql=BASE))
        await self.db.run("insert", lambda txn: txn.insert("things", id=1, data=b"a"))
        newer = self.make_schema(
            version=2,
            d2_01_column_sql="ALTER TABLE things ADD COLUMN name TEXT;",
            d2_02_fill_py=(
                "def run(txn, upgrading):\n"
                "    txn.execute('UPDATE things SET name = ?', (f'upgraded {upgrading}',))\n"
            ),
            d3_01_later_sql="SELECT nonsense FROM nowhere;",
        )
        for _ in range(2):
            await prepare_database(self.db, newer)
            self.assertEqual(await self.query("SELECT name FROM things"), [("upgraded True",)])
            await self.db.run("x", lambda txn: txn.update("things", {}, {"name": "upgraded True"}))
        version = await self.query("SELECT version, compat_version FROM schema_version")
        self.assertEqual(version, [(2, 1)])

    async def test_a_file_added_later_runs_too(self) -> None:
        await prepare_database(self.db, self.make_schema(b_10_things_sql=BASE))
        more = self.make_schema(b_11_more_sql="CREATE TABLE more (id BIGINT);")
        with self.assertRaises(DatabaseNotReadyError):
            await check_database(self.db, more)
        await prepare_database(self.db, more)
        await check_database(self.db, more)
        self.assertEqual(await self.query("SELECT * FROM more"), [])

    async def test_a_failing_upgrade_leaves_nothing_behind(self) -> None:
        await prepare_database(self.db, self.make_schema(b_10_things_sql=BASE))
        broken = self.make_schema(
            version=2,
            d2_01_table_sql="CREATE TABLE half (id BIGINT);",
            d2_02_broken_sql="INSERT INTO nowhere VALUES (1);",
        )
        with self.assertRaises(self.engine.driver_error):
            await prepare_database(self.db, broken)
        self.assertFalse(await self.db.read("half", lambda txn: txn.has_table("half")))
        self.assertEqual(await self.query("SELECT version FROM schema_version"), [(1,)])

    async def test_files_for_one_engine(self) -> None:
        schema = self.make_schema(
            b_10_x__sqlite_sql="CREATE TABLE made_by (sqlite3 TEXT);",
            b_10_x__postgres_sql=(
                "CREATE TABLE made_by (psycopg2 TEXT);\n"
                "CREATE FUNCTION one() RETURNS INT AS $$ BEGIN\n RETURN 100 % 3;\n END;\n $$"
                " LANGUAGE plpgsql;"
            ),
        )
        await prepare_database(self.db, schema)
        self.assertEqual(await self.query(f"SELECT {self.engine.name} FROM made_by"), [])

    async def test_a_database_that_is_too_new_is_refused(self) -> None:
        schema = self.make_schema(version=5, compat_version=4)
        await prepare_database(self.db, schema)
        too_old = attrs.evolve(schema, version=3, compat_version=1)
        for attempt in (prepare_database, check_database):
            with self.assertRaisesRegex(WrongDatabaseError, "version 5 .* version 4 on; .* has 3"):
                await attempt(self.db, too_old)
        compatible = attrs.evolve(schema, version=4, compat_version=1)
        await prepare_database(self.db, compatible)
        await check_database(self.db, compatible)
        # Older code does not take the newer number away.
        version = await self.query("SELECT version, compat_version FROM schema_version")
        self.assertEqual(version, [(5, 4)])

    async def test_workers_tell_not_yet_from_never(self) -> None:
        schema = self.make_schema()
        with self.assertRaisesRegex(DatabaseNotReadyError, "empty"):
            await check_database(self.db, schema)
        await prepare_core(self.db, schema)
        with self.assertRaisesRegex(DatabaseNotReadyError, "yet to finish"):
            await check_database(self.db, schema)
        await prepare_database(self.db, schema)
        await check_database(self.db, schema)
        with self.assertRaisesRegex(DatabaseNotReadyError, "needs 2"):
            await check_database(self.db, attrs.evolve(schema, version=2))


class TestMemory(EveryPrepare, MemoryDatabase):
    """In memory."""

    def test_a_worker_waits_for_the_master(self) -> None:
        schema = self.make_schema()
        waiting = Deferred.fromCoroutine(wait_for_database(self.db, self.clock, schema))
        self.reactor.pump([1.0] * 5)
        self.assertNoResult(waiting)
        self.await_now(prepare_database(self.db, schema))
        self.reactor.advance(1)
        self.successResultOf(waiting)

    def test_an_integer_key_is_the_row_id(self) -> None:
        schema = self.make_schema(b_10_things_sql=BASE)
        self.await_now(prepare_database(self.db, schema))

        def insert(txn: Transaction) -> Any:
            txn.insert("things", id=77, data=b"")
            return txn.query("SELECT rowid FROM things")

        self.assertEqual(self.await_now(self.db.run("insert", insert)), [(77,)])


class TestFile(EveryPrepare, FileDatabase):
    """In a file."""


class TestPostgres(EveryPrepare, PostgresDatabase):
    """On PostgreSQL."""

    async def test_another_encoding_is_refused(self) -> None:
        address = create_postgres_database("LATIN1")
        self.addCleanup(drop_postgres_database, address)
        pool = DatabasePool(PostgresEngine({"dsn": address}), self.reactor, self.clock)
        self.addCleanup(pool.stop)
        with self.assertRaisesRegex(WrongDatabaseError, "LATIN1.*docs/operations/database.md"):
            await check_database(pool)

    async def test_two_masters_may_create_the_core_at_once(self) -> None:
        other = self.make_pool()
        both = [Deferred.fromCoroutine(prepare_core(pool)) for pool in (self.db, other)]
        for done in both:
            await done
        self.assertTrue(await self.db.read("leases", lambda txn: txn.has_table("leases")))
