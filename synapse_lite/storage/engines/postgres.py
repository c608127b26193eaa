"""PostgreSQL through psycopg2.

Transactions are begun by our own words on autocommit connections: that costs no round trip more
than the driver's way, works behind a pooler (nothing is kept in the session), and brings back the
transaction's number, by which a commit whose answer was lost can be looked up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from ..errors import WrongDatabaseError
from ._base import POSTGRES, DatabaseEngine, Row, driver_arguments, with_values_mark

CONNECTIONS = 5
"""Threads compete for the interpreter lock; five keep PostgreSQL busy for one process."""

CONNECT_TIMEOUT_SECONDS = 10

IDLE_MILLISECONDS = 8_000
"""A transaction whose process does nothing for so long is ended by the server.

Less than a lease lasts: a master that was stopped between its look at the lease and its commit
cannot commit when it wakes and another one writes.
"""

PAGE_ROWS = 5000
"""Rows in one statement; keeps its text to a few megabytes."""

_MARK = (0x73796E6C, 0x77726974)
"""The advisory lock that marked transactions share. Nobody ever waits for it; who wants to know of
them looks at the list of locks, which works behind a pooler, too."""

_IS_MARK = (
    "locktype = 'advisory' AND granted AND objsubid = 2"
    f" AND classid = {_MARK[0]} AND objid = {_MARK[1]}"
    " AND database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())"
)

_OWN_ARGUMENTS = ("synchronous_commit",)
_RETRIABLE_CODES = ("40001", "40P01", "55P03")  # serialization, deadlock, lock not available
_DISK_FULL_CODE = "53100"
_BYTEA_OID = 17
_NUMERIC_OID = 1700
_BYTES = re.compile(r"\bBYTES\b")
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|\?|%")


@functools.lru_cache(maxsize=4096)
def to_format_style(sql: str) -> str:
    """`?` becomes `%s` and `%` becomes `%%`, leaving question marks in quotes and comments."""

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        return "%s" if found == "?" else found.replace("%", "%%")

    return _TOKENS.sub(replace, sql)


def _bytes_of(value: str | bytes | None, cursor: Any) -> bytes | None:
    """BYTEA as bytes, as SQLite gives it, not as the driver's memoryview."""
    return None if value is None else bytes(psycopg2.BINARY(value, cursor))


def _number_of(value: str | bytes | None, cursor: Any) -> int | float | None:
    """NUMERIC, which the sum of integers has, as SQLite gives it."""
    if value is None:
        return None
    text = str(value)
    return int(text) if text.lstrip("-").isdigit() else float(text)


_TYPES = (
    psycopg2.extensions.new_type((_BYTEA_OID,), "BYTES", _bytes_of),
    psycopg2.extensions.new_type((_NUMERIC_OID,), "NUMBER", _number_of),
)


class PostgresEngine(DatabaseEngine):
    """A PostgreSQL database at REPEATABLE READ.

    Arguments: those of libpq, `cp_max` (connections of this process; other `cp_*` are ignored,
    connections are opened when needed), `synchronous_commit` (false: a power cut may undo the last
    commits).
    """

    name = POSTGRES
    integrity_error = psycopg2.IntegrityError
    driver_error = psycopg2.Error

    def __init__(self, args: Mapping[str, Any]) -> None:
        connections = max(2, int(args.get("cp_max", CONNECTIONS)))
        self.writers = max(1, connections * 2 // 5)
        self.readers = connections - self.writers
        self._synchronous = bool(args.get("synchronous_commit", True))
        extra = driver_arguments(args, _OWN_ARGUMENTS)
        self._arguments = {k: v for k, v in extra.items() if not k.startswith("cp_")}
        self._arguments.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        self._arguments.setdefault("application_name", "synapse_lite")

    def connect(self, *, read_only: bool) -> Any:
        """Connect. Raises WrongDatabaseError unless the database is encoded in UTF-8."""
        connection = psycopg2.connect(**self._arguments)
        connection.autocommit = True
        for kind in _TYPES:
            psycopg2.extensions.register_type(kind, connection)
        encoding = connection.get_parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise WrongDatabaseError(
                f"The database has the encoding {encoding}, but it must be UTF8; create it with "
                "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                " (see docs/operations/database.md)"
            )
        connection.set_client_encoding("UTF8")
        return connection

    def begin(
        self, connection: Any, *, read_only: bool, relaxed: bool, marked: bool = False
    ) -> int | None:
        """BEGIN, settings, the transaction's number and its mark in one round trip."""
        with connection.cursor() as cursor:
            if read_only:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return None
            setting = f"SET LOCAL idle_in_transaction_session_timeout TO {IDLE_MILLISECONDS}; "
            if relaxed or not self._synchronous:
                setting += "SET LOCAL synchronous_commit TO off; "
            mark = f", pg_advisory_xact_lock_shared({_MARK[0]}, {_MARK[1]})" if marked else ""
            cursor.execute(
                f"BEGIN ISOLATION LEVEL REPEATABLE READ; {setting}SELECT txid_current(){mark}"
            )
            number, *_ = cursor.fetchone()
        return int(number)

    def commit(self, connection: Any) -> None:
        """COMMIT."""
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")

    def rollback(self, connection: Any) -> None:
        """ROLLBACK, if a transaction is open."""
        if connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")

    def close(self, connection: Any) -> None:
        """Close the connection."""
        connection.close()

    def outcome_of(self, connection: Any, mark: int) -> bool | None:
        """Ask the server's record of transactions."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT txid_status(%s)", (mark,))
            (status,) = cursor.fetchone()
        if status == "in progress":
            return None
        return bool(status == "committed")

    def marked_transactions(self, cursor: Any) -> int:
        """Locks are given back after a commit has become visible."""
        cursor.execute(f"SELECT COUNT(*) FROM pg_locks WHERE {_IS_MARK}")
        return int(cursor.fetchone()[0])

    def end_marked_transactions(self, cursor: Any) -> None:
        """End the sessions, as far as they are of our own role."""
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            f" WHERE {_IS_MARK} AND usename = CURRENT_USER AND pid <> pg_backend_pid()"
        )

    def is_retriable(self, error: BaseException) -> bool:
        """Two transactions met, or the server is not ready for us yet or any more."""
        return isinstance(error, psycopg2.Error) and error.pgcode in _RETRIABLE_CODES

    def is_out_of_space(self, error: BaseException) -> bool:
        """A table could not grow; a log that cannot grow ends the server instead."""
        return isinstance(error, psycopg2.Error) and error.pgcode == _DISK_FULL_CODE

    def is_broken(self, connection: Any, error: BaseException) -> bool:
        """The driver notices a lost connection when it next uses it."""
        return bool(connection.closed)

    def can_reconnect(self, error: BaseException) -> bool:
        """The server may be restarting."""
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)

    def convert(self, sql: str) -> str:
        """See `to_format_style`."""
        return to_format_style(sql)

    def execute_many(self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts become one statement of many rows; others are sent in batches."""
        marked = with_values_mark(sql)
        if marked is not None:
            psycopg2.extras.execute_values(cursor, self.convert(marked), rows, page_size=PAGE_ROWS)
        else:
            psycopg2.extras.execute_batch(cursor, self.convert(sql), rows, page_size=PAGE_ROWS)

    def execute_values(
        self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]], *, fetch: bool
    ) -> list[Row]:
        """All rows in one statement, in pages if there are very many."""
        found = psycopg2.extras.execute_values(
            cursor, self.convert(sql), rows, page_size=PAGE_ROWS, fetch=fetch
        )
        return list(found) if fetch else []

    def in_clause(self, column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
        """One array, so that the text of the statement stays the same."""
        return f"{column} = ANY(?)", [list(values)]

    def schema_sql(self, text: str) -> str:
        """See the base."""
        return _BYTES.sub("BYTEA", text)

    def schema_statements(self, text: str) -> list[str]:
        """The server takes a whole file, functions with their own semicolons included."""
        return [self.schema_sql(text)]

    def has_table(self, cursor: Any, table: str) -> bool:
        """Ask the catalogue for a table that our unqualified names would find."""
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
        return bool(cursor.fetchone()[0])

    def create_index_sql(self, statement: str) -> str:
        """Built while others write."""
        return re.sub(r"^(CREATE (?:UNIQUE )?INDEX)\b", r"\1 CONCURRENTLY", statement)

    def row_lock(self) -> str:
        """Others may read the rows, but not change them before we commit."""
        return " FOR SHARE"
