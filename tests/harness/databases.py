"""A fresh database for each test: SQLite in memory, SQLite in a file, or PostgreSQL.

`MemoryDatabase` runs transactions in the calling thread on a fake clock; use it unless threads are
what is tested. PostgreSQL is used when SYNAPSE_LITE_TEST_POSTGRES holds the address of a server on
which databases may be created (`scripts/with_postgres` provides one).
"""

from __future__ import annotations

import os
import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql
from twisted.internet import reactor as real_reactor
from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import SkipTest, TestCase

from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines import DatabaseEngine
from synapse_lite.storage.engines.postgres import PostgresEngine
from synapse_lite.storage.engines.sqlite import IN_MEMORY, SqliteEngine
from synapse_lite.storage.schema.prepare import prepare_core
from synapse_lite.util.clock import Clock

POSTGRES_VARIABLE = "SYNAPSE_LITE_TEST_POSTGRES"


class FakeThreads(FakeReactor):
    """A fake reactor that also takes calls from threads, of which there are none."""

    def callFromThread(self, callable: Any, *args: Any) -> object:
        """Run it on the next turn."""
        return self.callLater(0, callable, *args)


def postgres_server() -> str:
    """The address of the server for tests. Skips the test if there is none."""
    address = os.environ.get(POSTGRES_VARIABLE)
    if not address:
        raise SkipTest(f"{POSTGRES_VARIABLE} is not set; try scripts/with_postgres")
    return address


def create_postgres_database(encoding: str = "UTF8") -> str:
    """Create an empty database and return its address; `drop_postgres_database` removes it."""
    server = postgres_server()
    name = f"synapse_lite_{secrets.token_hex(6)}"
    _administer(
        server,
        sql.SQL(
            "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ).format(sql.Identifier(name), sql.Literal(encoding)),
    )
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def drop_postgres_database(address: str) -> None:
    """Remove a database, whoever is still connected to it."""
    name = urlsplit(address).path.removeprefix("/")
    _administer(
        postgres_server(),
        sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)),
    )


def _administer(server: str, statement: sql.Composable) -> None:
    connection = psycopg2.connect(server)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


class DatabaseCase:
    """What a test has: `self.db` on `self.engine`, `self.clock`, `self.reactor`.

    Tests that are to run on every database are methods of a subclass, and
    `class TestX(EveryX, MemoryDatabase)` and so on runs them.
    """

    core_schema = True
    """Whether the tables of the machinery are there when the test begins."""

    reactor: Any
    clock: Clock
    engine: DatabaseEngine
    db: DatabasePool

    def make_engine(self) -> DatabaseEngine:
        """An engine on the test's own database."""
        raise NotImplementedError

    def make_pool(self, **keywords: Any) -> DatabasePool:
        """Another pool on the test's database, stopped at its end."""
        pool = DatabasePool(self.make_engine(), self.reactor, self.clock, **keywords)
        self.addCleanup(pool.stop)
        return pool


class MemoryDatabase(DatabaseCase, TestCase):
    """SQLite in memory, everything at once, time is fake: `self.reactor.advance(seconds)`."""

    def setUp(self) -> None:
        self.reactor = FakeThreads()
        self.clock = Clock(self.reactor)
        self.db = self.make_pool(immediate=True)
        self.engine = self.db.engine
        if self.core_schema:
            self.successResultOf(prepare_core(self.db))

    def make_engine(self) -> DatabaseEngine:
        """A new database: it lives in its connection."""
        return SqliteEngine({"database": IN_MEMORY})

    def await_now(self, coroutine: Any) -> Any:
        """The result of something that needs no waiting."""
        return self.successResultOf(coroutine)


class _ThreadedDatabase(DatabaseCase, TestCase):
    async def setUp(self) -> None:
        self.reactor = real_reactor
        self.clock = Clock(self.reactor)
        self.prepare_storage()
        self.db = self.make_pool()
        self.engine = self.db.engine
        if self.core_schema:
            await prepare_core(self.db)

    def prepare_storage(self) -> None:
        """Create the empty database."""
        raise NotImplementedError


class FileDatabase(_ThreadedDatabase):
    """SQLite in a file, with real threads and the real reactor."""

    def prepare_storage(self) -> None:
        """SQLite makes its file itself."""
        self.path = os.path.abspath(self.mktemp())

    def make_engine(self) -> DatabaseEngine:
        """The same file each time."""
        return SqliteEngine({"database": self.path})


class PostgresDatabase(_ThreadedDatabase):
    """A PostgreSQL database of its own, with real threads and the real reactor."""

    def prepare_storage(self) -> None:
        """Create the database, and remove it at the end."""
        self.address = create_postgres_database()
        self.addCleanup(drop_postgres_database, self.address)

    def make_engine(self) -> DatabaseEngine:
        """The same database each time."""
        return PostgresEngine({"dsn": self.address})
