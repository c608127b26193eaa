"""Stores of their own for tests of tables: on an empty database, without a homeserver around."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from synapse_lite.storage._base import BaseStore
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.transaction import Transaction
from synapse_lite.streams import STREAMS
from tests.harness.databases import DatabaseCase


async def make_store(case: DatabaseCase, kind: type[BaseStore], **config: Any) -> Any:
    """A store that knows its positions, on the database of a test. `config` are more sections."""
    await prepare_tables(case.db)
    caches = SimpleNamespace(total_size=2**20, global_factor=1.0)
    hs: Any = SimpleNamespace(
        name="test", clock=case.clock, config=SimpleNamespace(caches=caches, **config)
    )
    store: Any = kind(hs, case.db)
    await store.load_positions()
    return store


async def prepare_tables(db: DatabasePool) -> None:
    """Make all tables."""
    await prepare_database(db)
    await db.run("complete", _complete_txn)


def _complete_txn(txn: Transaction) -> None:
    """Tables of counters whose area is not part of a test and may be missing."""
    for stream in STREAMS:
        counter = stream.counter
        for table, column in ((counter.table, counter.column), *counter.also):
            if table is not None and not txn.has_table(table):
                txn.execute(f"CREATE TABLE {table} ({column} BIGINT)")
