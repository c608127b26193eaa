"""Processes say that they are alive."""

from __future__ import annotations

from typing import Any

from synapse_lite.storage.heartbeats import (
    FORGET_MS,
    Heart,
    ProcessAddress,
    get_heartbeats,
)
from synapse_lite.storage.processes import ProcessIdentity
from tests.harness.databases import MemoryDatabase, PostgresDatabase

ADDRESS = ProcessAddress("http://127.0.0.1:8083", frozenset({"client", "media"}))


class TestHeartbeats(MemoryDatabase):
    """One row for each process."""

    def heart(self, name: str, lag: Any = dict) -> Heart:
        return Heart(
            self.db,
            self.clock,
            ProcessIdentity.of_this_process(name),
            kind="client_reader",
            version="1.2",
            addresses=[ADDRESS],
            lag=lag,
        )

    def test_a_row_is_written_at_once_and_renewed(self) -> None:
        self.reactor.advance(1000)
        lag = {"events": {"rows": 0, "ms": 0}}
        self.await_now(self.heart("reader1", lambda: lag).start())
        (first,) = self.await_now(get_heartbeats(self.db))
        self.assertEqual(
            (first.name, first.kind, first.version), ("reader1", "client_reader", "1.2")
        )
        self.assertEqual(first.addresses, (ADDRESS,))
        self.assertEqual((first.started_ts, first.last_seen_ts), (1_000_000, 1_000_000))
        lag["events"] = {"rows": 3, "ms": 250}
        self.reactor.advance(10)
        (second,) = self.await_now(get_heartbeats(self.db))
        self.assertEqual((second.started_ts, second.last_seen_ts), (1_000_000, 1_010_000))
        self.assertEqual(second.lag, {"events": {"rows": 3, "ms": 250}})

    def test_silence_is_noticed(self) -> None:
        self.await_now(self.heart("reader1").start())
        (row,) = self.await_now(get_heartbeats(self.db))
        self.assertTrue(row.is_alive(30_000))
        self.assertFalse(row.is_alive(36_000))

    def test_a_stopped_process_takes_its_row_away_and_writes_no_more(self) -> None:
        heart = self.heart("reader1")
        self.await_now(heart.start())
        self.await_now(self.heart("reader2").start())
        self.await_now(heart.stop())
        self.reactor.pump([10.0] * 3)
        self.assertEqual([row.name for row in self.await_now(get_heartbeats(self.db))], ["reader2"])

    def test_rows_of_the_day_before_are_forgotten(self) -> None:
        self.await_now(self.heart("gone").beat())
        self.reactor.advance(FORGET_MS / 1000 + 1)
        self.await_now(self.heart("new").start())
        self.assertEqual([row.name for row in self.await_now(get_heartbeats(self.db))], ["new"])

    def test_rows_of_older_versions_can_be_read(self) -> None:
        self.await_now(self.heart("old").beat())
        self.await_now(
            self.db.run(
                "make_old",
                lambda txn: txn.update(
                    "process_heartbeats", {"name": "old"}, {"addresses": '["http://[::1]:8083"]'}
                ),
            )
        )
        (row,) = self.await_now(get_heartbeats(self.db))
        self.assertEqual(row.addresses, (ProcessAddress("http://[::1]:8083"),))


class TestHeartbeatsPostgres(PostgresDatabase):
    """The statements work on PostgreSQL."""

    async def test_write_and_take_away(self) -> None:
        identity = ProcessIdentity.of_this_process("reader1")
        heart = Heart(
            self.db, self.clock, identity, kind="x", version="1", addresses=[], lag=lambda: {"a": 1}
        )
        await heart.start()
        await heart.beat()
        (row,) = await get_heartbeats(self.db)
        self.assertEqual((row.name, row.lag), ("reader1", {"a": 1}))
        await heart.stop()
        self.assertEqual(await get_heartbeats(self.db), [])
