"""The server's database, looked at from outside."""

from __future__ import annotations

import sqlite3
from typing import Any

from .fleet import Fleet

Row = tuple[Any, ...]


class Rows:
    """Reads with SQL that both databases take; `?` stands for arguments."""

    def __init__(self, fleet: Fleet) -> None:
        self._is_sqlite = fleet.postgres is None
        self._connection: Any
        if self._is_sqlite:
            self._connection = sqlite3.connect(f"file:{fleet.sqlite_file}?mode=ro", uri=True)
        else:
            self._connection = fleet.connect_to_postgres()

    def query(self, sql: str, *arguments: object) -> list[Row]:
        """All rows of a SELECT."""
        cursor = self._connection.cursor()
        cursor.execute(sql if self._is_sqlite else sql.replace("?", "%s"), arguments)
        rows: list[Row] = [tuple(row) for row in cursor.fetchall()]
        cursor.close()
        return rows

    def damage(self) -> str:
        """What the database itself finds wrong with its files; empty if nothing."""
        if not self._is_sqlite:
            return ""
        found = self.query("PRAGMA integrity_check")
        return "" if found == [("ok",)] else str(found)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
