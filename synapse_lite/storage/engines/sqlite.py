"""SQLite: one file, write-ahead log, one writer and parallel readers, also of several processes.

`synchronous=FULL` is the default: a commit that was acknowledged survives a power cut, at the
price of one fsync for each commit, which a group commit shares. `NORMAL` survives the death of
processes only.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._base import SQLITE, DatabaseEngine, Row, driver_arguments, with_values_mark

IN_MEMORY = ":memory:"

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for the writer of another process before it gives up the attempt."""

WRITER_CACHE_KIB = 4096
READER_CACHE_KIB = 2048
READERS = 2
"""Threads compete for the interpreter lock, so more of them make nothing faster."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""To what size a log that once grew is cut back."""

MAX_VARIABLES = 32_000
"""SQLite takes 32766 variables in one statement."""

MAX_IN_VARIABLES = 4096
"""Longer lists of values travel as one JSON array."""

MAX_GROUP = 128
"""Rows in one INSERT; more make nothing faster."""

STATEMENT_CACHE = 256

_OWN_ARGUMENTS = (
    "database",
    "synchronous",
    "busy_timeout",
    "readers",
    "cache_size",
    "check_same_thread",
    "isolation_level",
)
_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_RETRIABLE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_OUT_OF_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_INTEGER_KEY = re.compile(r"\bBIGINT(\s+NOT\s+NULL)?\s+PRIMARY\s+KEY\b", re.IGNORECASE)
_BYTES = re.compile(r"\bBYTES\b")


class SqliteEngine(DatabaseEngine):
    """A SQLite file, or a database in memory that lives as long as its one connection.

    Arguments: `database` (the file), `synchronous`, `busy_timeout` (ms), `readers` (threads),
    `cache_size` (KiB of the writer). The pool's `cp_*` arguments of other engines are ignored.
    """

    name = SQLITE
    integrity_error = sqlite3.IntegrityError
    driver_error = sqlite3.Error

    def __init__(self, args: Mapping[str, Any]) -> None:
        database = str(args.get("database", IN_MEMORY))
        self.single_connection = database == IN_MEMORY
        self.database = database
        self.writers = 1
        self.readers = int(args.get("readers", READERS))
        self._synchronous = str(args.get("synchronous", "FULL")).upper()
        if self._synchronous not in _SYNCHRONOUS:
            raise ValueError(f"synchronous must be one of {', '.join(_SYNCHRONOUS)}")
        self._busy_timeout_ms = int(args.get("busy_timeout", BUSY_TIMEOUT_MS))
        self._cache_kib = int(args.get("cache_size", WRITER_CACHE_KIB))
        extra = driver_arguments(args, _OWN_ARGUMENTS)
        self._extra = {key: value for key, value in extra.items() if not key.startswith("cp_")}

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        """Open the file. The one connection of a database in memory serves reads and writes."""
        connection: sqlite3.Connection = sqlite3.connect(
            self.database,
            isolation_level=None,
            cached_statements=STATEMENT_CACHE,
            # Each thread keeps to its own connection; only closing may happen elsewhere.
            check_same_thread=False,
            **self._extra,
        )
        try:
            for pragma in self._pragmas(read_only):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _pragmas(self, read_only: bool) -> list[str]:
        if self.single_connection:
            return ["foreign_keys = OFF"]
        pragmas = [
            f"busy_timeout = {self._busy_timeout_ms}",
            "journal_mode = WAL",
            f"journal_size_limit = {WAL_LIMIT_BYTES}",
            f"synchronous = {self._synchronous}",
            "foreign_keys = OFF",
            "temp_store = MEMORY",
            f"cache_size = -{READER_CACHE_KIB if read_only else self._cache_kib}",
        ]
        if read_only:
            pragmas.append("query_only = ON")
        return pragmas

    def begin(
        self, connection: Any, *, read_only: bool, relaxed: bool, marked: bool = False
    ) -> int | None:
        """Take the write lock at once: a lock taken later could not be waited for."""
        if self.single_connection:
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        elif not read_only:
            level = "NORMAL" if relaxed and self._synchronous != "OFF" else self._synchronous
            connection.execute(f"PRAGMA synchronous = {level}")
        connection.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
        return None

    def commit(self, connection: Any) -> None:
        """One fsync of the log, unless relaxed."""
        connection.execute("COMMIT")
        self._end_read(connection)

    def rollback(self, connection: Any) -> None:
        """SQLite ends the transaction by itself after some errors."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self._end_read(connection)

    def _end_read(self, connection: Any) -> None:
        if self.single_connection:
            connection.execute("PRAGMA query_only = OFF")

    def close(self, connection: Any) -> None:
        """Close the file."""
        connection.close()

    def outcome_of(self, connection: Any, mark: int) -> bool | None:
        """Never asked: `begin` gives no marks, because a local commit cannot get lost."""
        raise AssertionError("SQLite transactions have no marks")

    def marked_transactions(self, cursor: Any) -> int:
        """None: a transaction ends with its process, and only one writes at a time."""
        return 0

    def end_marked_transactions(self, cursor: Any) -> None:
        """There are none."""

    def is_retriable(self, error: BaseException) -> bool:
        """Locked by another process for longer than the time-out."""
        if not isinstance(error, sqlite3.OperationalError):
            return False
        # The low byte is the primary code; the rest says which kind of busy.
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _RETRIABLE

    def is_out_of_space(self, error: BaseException) -> bool:
        """The file, its log, or the index of that could not grow."""
        code = getattr(error, "sqlite_errorcode", 0)
        return isinstance(error, sqlite3.OperationalError) and code in _OUT_OF_SPACE

    def is_broken(self, connection: Any, error: BaseException) -> bool:
        """A file does not hang up."""
        return False

    def can_reconnect(self, error: BaseException) -> bool:
        """A file that cannot be opened now will not be openable in a second."""
        return False

    def convert(self, sql: str) -> str:
        """`?` is SQLite's own style."""
        return sql

    def execute_many(self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts take up to `MAX_GROUP` rows in a statement, half the time of one by one.

        Groups are powers of two, so that few texts meet the statement cache.
        """
        marked = with_values_mark(sql)
        if marked is None:
            cursor.executemany(sql, rows)
            return
        start = 0
        while start < len(rows):
            size = min(MAX_GROUP, 1 << ((len(rows) - start).bit_length() - 1))
            self._execute_group(cursor, marked, rows[start : start + size])
            start += size

    def execute_values(
        self, cursor: Any, sql: str, rows: Sequence[Sequence[Any]], *, fetch: bool
    ) -> list[Row]:
        """All rows in one statement, as far as the limit on variables allows."""
        size = max(1, MAX_VARIABLES // max(1, len(rows[0])))
        found: list[Row] = []
        for start in range(0, len(rows), size):
            self._execute_group(cursor, sql, rows[start : start + size])
            if fetch:
                found.extend(cursor.fetchall())
        return found

    @staticmethod
    def _execute_group(cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        group = f"({', '.join('?' * len(rows[0]))})"
        values = ", ".join([group] * len(rows))
        cursor.execute(
            sql.replace("VALUES ?", f"VALUES {values}", 1), [value for row in rows for value in row]
        )

    def in_clause(self, column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
        """`IN (…)`, filled up to a power of two so that few texts meet the statement cache."""
        arguments = list(values)
        if not arguments:
            return "1 = 0", []
        if len(arguments) > MAX_IN_VARIABLES:
            return f"{column} IN (SELECT value FROM json_each(?))", [json.dumps(arguments)]
        full = 1 << (len(arguments) - 1).bit_length()
        arguments.extend(arguments[-1:] * (full - len(arguments)))
        return f"{column} IN ({', '.join('?' * full)})", arguments

    def schema_sql(self, text: str) -> str:
        """An integer key becomes the row id, which saves an index."""
        return _BYTES.sub("BLOB", _INTEGER_KEY.sub("INTEGER PRIMARY KEY", text))

    def schema_statements(self, text: str) -> list[str]:
        """The driver runs one statement at a time within a transaction."""
        statements: list[str] = []
        gathered = ""
        for line in self.schema_sql(text).splitlines(keepends=True):
            if not gathered and (not line.strip() or line.lstrip().startswith("--")):
                continue
            gathered += line
            if sqlite3.complete_statement(gathered):
                statements.append(gathered.strip())
                gathered = ""
        if gathered.strip():
            raise ValueError(f"A statement without end: {gathered.strip()[:100]}")
        return statements

    def has_table(self, cursor: Any, table: str) -> bool:
        """Ask the catalogue."""
        cursor.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        return cursor.fetchone() is not None

    def create_index_sql(self, statement: str) -> str:
        """Building an index locks out writers on SQLite whatever one does."""
        return statement

    def row_lock(self) -> str:
        """A writer has the database to itself."""
        return ""
