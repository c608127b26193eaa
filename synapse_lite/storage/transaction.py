"""The transaction that a `_txn` function gets: statements, and what shall happen after the commit.

A transaction may be run again from its start after a conflict, so a `_txn` function must not touch
anything but the database; effects on memory are noted with `changed` and `call_after`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..streams._base import Stream
from .engines._base import DatabaseEngine, Row

Change = tuple[Stream, int, Any]
"""A stream, the token of a row, and the row."""

CacheKey = tuple[Any, ...]


class NamedCache(Protocol):
    """What `Transaction.invalidate` must know of a cached read."""

    @property
    def name(self) -> str:
        """The name of the method, the same in every process."""


@functools.lru_cache(maxsize=4096)
def _insert_sql(table: str, columns: tuple[str, ...], tail: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){tail}"


@functools.lru_cache(maxsize=4096)
def _conflict_clause(keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    target = f" ON CONFLICT ({', '.join(keys)}) DO "
    if not columns:
        return f"{target}NOTHING"
    return f"{target}UPDATE SET " + ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)


def _condition(where: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """`a = ? AND b IS NULL` and its arguments; an empty mapping matches every row."""
    if not where:
        return "", []
    parts = [f"{name} IS NULL" if value is None else f"{name} = ?" for name, value in where.items()]
    return f" WHERE {' AND '.join(parts)}", [v for v in where.values() if v is not None]


class Transaction:
    """One attempt of one transaction, in a database thread. Placeholders are always `?`.

    Names of tables and columns are put into the SQL as they are: they come from code, never from
    outside.
    """

    def __init__(
        self, name: str, engine: DatabaseEngine, cursor: Any, recorder: list[str] | None = None
    ) -> None:
        self.name = name
        self.engine = engine
        self.statements = 0
        self.changes: list[Change] = []
        self.after: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.at_end: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self.invalidations: list[tuple[str, CacheKey | None]] = []
        self._cursor = cursor
        self._recorder = recorder

    # Statements

    def execute(self, sql: str, args: Sequence[Any] = ()) -> None:
        """Run one statement."""
        self._count(sql)
        self._cursor.execute(self.engine.convert(sql), tuple(args))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row; counts as one, and goes to the database in one piece."""
        listed = rows if isinstance(rows, list) else list(rows)
        if listed:
            self._count(sql)
            self.engine.execute_many(self._cursor, sql, listed)

    def execute_values(
        self, sql: str, rows: Iterable[Sequence[Any]], *, fetch: bool = False
    ) -> list[Row]:
        """Run a statement in which `VALUES ?` stands for all rows.

        To join with values, write `WITH wanted (a, b) AS (VALUES ?) SELECT …`, which every
        engine understands, and ask for the result with `fetch`.
        """
        listed = rows if isinstance(rows, list) else list(rows)
        if not listed:
            return []
        self._count(sql)
        return self.engine.execute_values(self._cursor, sql, listed, fetch=fetch)

    def fetchall(self) -> list[Row]:
        """The remaining rows of the last statement."""
        rows: list[Row] = self._cursor.fetchall()
        return rows

    def fetchone(self) -> Row | None:
        """The next row of the last statement."""
        row: Row | None = self._cursor.fetchone()
        return row

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        return int(self._cursor.rowcount)

    def query(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        self.execute(sql, args)
        return self.fetchall()

    def query_one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run a statement and return its first row."""
        self.execute(sql, args)
        return self.fetchone()

    def in_clause(self, column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
        """The condition that a column has one of the values, and its arguments.

        The caller bounds the number of values.
        """
        return self.engine.in_clause(column, values)

    def has_table(self, table: str) -> bool:
        """Whether the database has this table."""
        self._count(table)
        return self.engine.has_table(self._cursor, table)

    def marked_transactions(self) -> int:
        """How many transactions that a new master has to wait for are under way."""
        self._count("marked transactions")
        return self.engine.marked_transactions(self._cursor)

    def end_marked_transactions(self) -> None:
        """End them, as far as this process may."""
        self._count("end of marked transactions")
        self.engine.end_marked_transactions(self._cursor)

    def _count(self, sql: str) -> None:
        self.statements += 1
        if self._recorder is not None:
            self._recorder.append(sql)

    # Rows of one table

    def insert(self, table: str, /, **values: Any) -> None:
        """Insert one row. The transaction fails with ConflictError if its key is taken."""
        self.execute(_insert_sql(table, tuple(values), ""), tuple(values.values()))

    def insert_ignore(self, table: str, /, **values: Any) -> bool:
        """Insert one row unless its key is taken. Returns whether it was inserted."""
        sql = _insert_sql(table, tuple(values), " ON CONFLICT DO NOTHING")
        self.execute(sql, tuple(values.values()))
        return self.rowcount > 0

    def insert_many(
        self,
        table: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        ignore_conflicts: bool = False,
    ) -> None:
        """Insert many rows at once; with `ignore_conflicts` those whose key is free."""
        tail = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
        self.executemany(_insert_sql(table, tuple(columns), tail), rows)

    def upsert(self, table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Insert a row, or change the row with this key (which a unique index must cover).

        Without values, an existing row is left alone.
        """
        tail = _conflict_clause(tuple(key), tuple(values))
        self.execute(_insert_sql(table, (*key, *values), tail), (*key.values(), *values.values()))

    def upsert_many(
        self,
        table: str,
        key_columns: Sequence[str],
        value_columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
    ) -> None:
        """Upsert many rows, each its key columns and then its value columns.

        Of rows with one key the last wins: PostgreSQL refuses to change a row twice at once.
        """
        width = len(key_columns)
        latest = {tuple(row[:width]): row for row in rows}
        tail = _conflict_clause(tuple(key_columns), tuple(value_columns))
        sql = _insert_sql(table, (*key_columns, *value_columns), tail)
        self.executemany(sql, list(latest.values()))

    def update(self, table: str, where: Mapping[str, Any], values: Mapping[str, Any]) -> int:
        """Change the matching rows. Returns how many there were."""
        condition, args = _condition(where)
        assignments = ", ".join(f"{name} = ?" for name in values)
        self.execute(f"UPDATE {table} SET {assignments}{condition}", (*values.values(), *args))
        return self.rowcount

    def delete(self, table: str, /, **where: Any) -> int:
        """Delete the matching rows. Returns how many there were."""
        condition, args = _condition(where)
        self.execute(f"DELETE FROM {table}{condition}", args)
        return self.rowcount

    def select(self, table: str, columns: Sequence[str], /, **where: Any) -> list[Row]:
        """Columns of the matching rows, in no particular order."""
        condition, args = _condition(where)
        return self.query(f"SELECT {', '.join(columns)} FROM {table}{condition}", args)

    def select_one(self, table: str, columns: Sequence[str], /, **where: Any) -> Row | None:
        """Columns of a matching row."""
        condition, args = _condition(where)
        return self.query_one(f"SELECT {', '.join(columns)} FROM {table}{condition} LIMIT 1", args)

    # After the commit

    def changed(self, stream: Stream, token: int, row: Any) -> None:
        """Note a row of a stream: applied in the reactor after the commit, before `run` returns."""
        self.changes.append((stream, token, row))

    def call_after(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a function in the reactor after the commit, before `run` returns."""
        self.after.append((fn, args))

    def call_finally(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a function in the reactor when this attempt is over, committed or not.

        Each attempt makes its own calls, so what a failed attempt took is given back too. After a
        commit it comes last, when caches and positions have been brought up to date.
        """
        self.at_end.append((fn, args))

    def invalidate(self, cache: NamedCache, key: CacheKey | None) -> None:
        """Make an entry of a cached read stale in every process (None: all of its entries).

        Only for caches that no stream names. The announcement is part of this transaction.
        """
        self.invalidations.append((cache.name, key))
