"""What a database engine must do, so that all SQL elsewhere is written once."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Row = tuple[Any, ...]

SQLITE = "sqlite3"
POSTGRES = "psycopg2"


class DatabaseEngine:
    """One kind of database with the arguments to reach it.

    `writers` and `readers` are how many threads, each with a connection of its own, a pool may
    use. An engine with `single_connection` has one connection for all work (SQLite in memory).
    Connections and cursors are those of the driver, hence `Any`.
    """

    name: str
    writers: int
    readers: int
    single_connection: bool = False
    integrity_error: type[Exception]
    driver_error: type[Exception]

    def connect(self, *, read_only: bool) -> Any:
        """Open a connection without a transaction. `read_only` refuses writes where it can."""
        raise NotImplementedError

    def begin(
        self, connection: Any, *, read_only: bool, relaxed: bool, marked: bool = False
    ) -> int | None:
        """Start a transaction. Returns a number by which `outcome_of` can find it later, or None.

        A `relaxed` transaction may be forgotten by a power cut, never by the death of a process.
        A `marked` one is among the `marked_transactions` until everybody can see what it did.
        """
        raise NotImplementedError

    def commit(self, connection: Any) -> None:
        """Make the transaction permanent."""
        raise NotImplementedError

    def rollback(self, connection: Any) -> None:
        """Undo the transaction, if one is open."""
        raise NotImplementedError

    def close(self, connection: Any) -> None:
        """Close a connection, whatever its condition."""
        raise NotImplementedError

    def outcome_of(self, connection: Any, mark: int) -> bool | None:
        """Whether the marked transaction was committed; None while it is still running."""
        raise NotImplementedError

    def marked_transactions(self, cursor: Any) -> int:
        """How many marked transactions of any process are under way.

        A database server may go on with one whose process has died; its commit may come later.
        """
        raise NotImplementedError

    def end_marked_transactions(self, cursor: Any) -> None:
        """End those that may be ended. One that is committed already becomes visible."""
        raise NotImplementedError

    def is_retriable(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed when it is run again."""
        raise NotImplementedError

    def is_broken(self, connection: Any, error: BaseException) -> bool:
        """Whether the connection is of no more use after this error."""
        raise NotImplementedError

    def is_out_of_space(self, error: BaseException) -> bool:
        """Whether there was no room for what was to be written."""
        raise NotImplementedError

    def can_reconnect(self, error: BaseException) -> bool:
        """Whether it makes sense to connect again after the connection failed or broke."""
        raise NotImplementedError

    def convert(self, sql: str) -> str:
        """SQL with `?` placeholders in the driver's style."""
        raise NotImplementedError

    def execute_many(self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row, in as few round trips as possible."""
        raise NotImplementedError

    def execute_values(
        self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]], *, fetch: bool
    ) -> list[Row]:
        """Run a statement whose `VALUES ?` stands for all rows. Returns rows if `fetch`."""
        raise NotImplementedError

    def in_clause(self, column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
        """A condition that `column` has one of the values, and its arguments."""
        raise NotImplementedError

    def schema_sql(self, text: str) -> str:
        """Portable schema SQL in this engine's words (`BYTES` is BLOB or BYTEA)."""
        raise NotImplementedError

    def schema_statements(self, text: str) -> list[str]:
        """The statements of a schema file, each as the driver can run it."""
        raise NotImplementedError

    def has_table(self, cursor: Any, table: str) -> bool:
        """Whether the database has this table."""
        raise NotImplementedError

    def create_index_sql(self, statement: str) -> str:
        """`CREATE INDEX` that does not hinder writers, to be run outside a transaction."""
        raise NotImplementedError

    def row_lock(self) -> str:
        """What follows a SELECT to keep its rows unchanged until the commit."""
        raise NotImplementedError


def driver_arguments(args: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """The arguments that go to the driver: all but our own."""
    return {key: value for key, value in args.items() if key not in own}


_ROW_OF_MARKS = re.compile(r"\bVALUES\s*\(\s*\?(?:\s*,\s*\?)*\s*\)", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def with_values_mark(sql: str) -> str | None:
    """`… VALUES (?, ?) …` as `… VALUES ? …`, which takes any number of rows; else None."""
    changed, count = _ROW_OF_MARKS.subn("VALUES ?", sql)
    return changed if count == 1 and changed.count("?") == 1 else None
