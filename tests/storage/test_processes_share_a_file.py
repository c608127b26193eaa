"""Several processes use one SQLite file: one writes, the others read whole commits only."""

from __future__ import annotations

import sqlite3
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from synapse_lite.storage.transaction import Transaction
from tests.harness.databases import FileDatabase

COMMITS = 150
ROWS = 20
"""Rows of one commit: a reader must see a multiple of it."""

READER = """
import sys
from synapse_lite.storage._sessions import Session
from synapse_lite.storage.engines.sqlite import SqliteEngine

session = Session(SqliteEngine({"database": sys.argv[1]}), read_only=True)
engine, connection = session.engine, session.connection()
seen, looks = 0, 0
print("ready", flush=True)
while seen < int(sys.argv[2]):
    engine.begin(connection, read_only=True, relaxed=False)
    first = connection.execute("SELECT COUNT(*) FROM things").fetchone()[0]
    second = connection.execute("SELECT COUNT(*) FROM things").fetchone()[0]
    engine.commit(connection)
    assert first == second, "one snapshot"
    assert first % int(sys.argv[3]) == 0, "half a commit"
    assert first >= seen, "back in time"
    seen, looks = first, looks + 1
print("looks", looks)
"""


class Reader(ProcessProtocol):
    """A reading process. `ready` and `ended` fire with its output."""

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()
        self.output = ""
        self.errors = ""

    def outReceived(self, data: bytes) -> None:
        self.output += data.decode()
        if "ready" in self.output and not self.ready.called:
            self.ready.callback(None)

    def errReceived(self, data: bytes) -> None:
        self.errors += data.decode()

    def processEnded(self, reason: Failure) -> None:
        if not self.ready.called:
            self.ready.errback(AssertionError(self.errors))
        if reason.check(ProcessDone):
            self.ended.callback(self.output)
        else:
            self.ended.errback(AssertionError(self.errors))


class TestProcessesShareAFile(FileDatabase):
    """With real processes."""

    timeout = 60

    def start_reader(self) -> Reader:
        reader = Reader()
        arguments = [sys.executable, "-c", READER, self.path, str(COMMITS * ROWS), str(ROWS)]
        process = self.reactor.spawnProcess(
            reader, sys.executable, arguments, env={"PYTHONPATH": ":".join(sys.path)}
        )

        def kill() -> Any:
            if process.pid is None:
                return None
            process.signalProcess("KILL")
            return reader.ended.addErrback(lambda _: None)

        self.addCleanup(kill)
        return reader

    async def test_readers_see_whole_commits_while_one_process_writes(self) -> None:
        await self.db.run("create", lambda txn: txn.execute("CREATE TABLE things (id BIGINT)"))
        readers = [self.start_reader() for _ in range(3)]
        for reader in readers:
            await reader.ready

        def write(txn: Transaction, commit: int) -> None:
            for number in range(ROWS):
                txn.insert("things", id=commit * ROWS + number)

        for commit in range(COMMITS):
            await self.db.run("write", write, commit)
        for reader in readers:
            looks = int((await reader.ended).split()[-1])
            self.assertGreater(looks, 1)
        self.assertEqual(self.db.counts.retries, 0)

    async def test_what_was_committed_survives_the_death_of_its_writer(self) -> None:
        await self.db.run("create", lambda txn: txn.execute("CREATE TABLE things (id BIGINT)"))
        writer = """
import os, signal, sys
from synapse_lite.storage._sessions import Session
from synapse_lite.storage.engines.sqlite import SqliteEngine

session = Session(SqliteEngine({"database": sys.argv[1]}), read_only=False)
engine, connection = session.engine, session.connection()
engine.begin(connection, read_only=False, relaxed=False)
connection.execute("INSERT INTO things VALUES (1)")
engine.commit(connection)
engine.begin(connection, read_only=False, relaxed=False)
connection.execute("INSERT INTO things VALUES (2)")
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
        process = Reader()
        self.reactor.spawnProcess(
            process,
            sys.executable,
            [sys.executable, "-c", writer, self.path],
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        await process.ready
        with self.assertRaises(AssertionError):
            await process.ended
        await self.db.run("write", lambda txn: txn.insert("things", id=3))
        rows = await self.db.read("read", lambda txn: txn.query("SELECT id FROM things"))
        self.assertEqual(rows, [(1,), (3,)])
        check = sqlite3.connect(self.path)
        self.addCleanup(check.close)
        self.assertEqual(check.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
