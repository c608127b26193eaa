"""Reads processor time, memory and the size of databases, from /proc and from the databases."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import attrs
import psycopg2

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SECONDS = 0.25
_QUIET_TICKS = 2
_QUIET_ROUNDS = 40


def ticks_in_stat(stat: str) -> int:
    """utime and stime of a line of /proc/<pid>/stat; the name in it may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def pss_in_rollup(rollup: str) -> int:
    """Bytes of proportional set size in the text of /proc/<pid>/smaps_rollup.

    Raises ValueError if it is not there.
    """
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError("the kernel does not tell the proportional set size")


def cpu_ticks(pids: Iterable[int]) -> int:
    """Processor time of processes since they began, in ticks of the kernel."""
    return sum(ticks_in_stat(Path(f"/proc/{pid}/stat").read_text("latin-1")) for pid in pids)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of the threads of processes since they began, to the nanosecond.

    Kernels without schedstat tell it in ticks.
    """
    pids = list(pids)
    try:
        return sum(map(_scheduled_seconds, pids))
    except FileNotFoundError:
        return cpu_ticks(pids) / _TICKS


def _scheduled_seconds(pid: int) -> float:
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text("ascii").split()[0]) for file in files) / 1e9


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process."""
    return pss_in_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text("ascii"))


async def settle(pids: Sequence[int]) -> None:
    """Wait until processes have done what they do after answering, ten seconds at most."""
    before = cpu_ticks(pids)
    for _ in range(_QUIET_ROUNDS):
        await asyncio.sleep(_QUIET_SECONDS)
        now = cpu_ticks(pids)
        if now - before <= _QUIET_TICKS:
            return
        before = now


class Database(Protocol):
    """What is asked of a server's database."""

    def size(self) -> int:
        """Bytes in use."""

    def rows(self, table: str) -> int:
        """How many rows a table has."""

    def backend_seconds(self) -> float:
        """Processor time of the database's own processes that serve the server."""


@attrs.frozen
class SqliteFile:
    """A database in a file; its processor time is that of the server's processes."""

    path: Path

    def size(self) -> int:
        """Pages in use, those in the write-ahead log among them: the file after a checkpoint."""
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)
        try:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            return int((pages - free) * page_size)
        finally:
            connection.close()

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            connection.close()

    def backend_seconds(self) -> float:
        """There are no such processes."""
        return 0.0


class PostgresDatabase:
    """A database of a PostgreSQL server on this machine."""

    def __init__(self, address: str) -> None:
        self._connection = psycopg2.connect(address)
        self._connection.autocommit = True

    def size(self) -> int:
        """Bytes of its files."""
        return int(self._one("SELECT pg_database_size(current_database())")[0][0])

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return int(self._one(f"SELECT count(*) FROM {table}")[0][0])

    def backend_seconds(self) -> float:
        """Of the backends that are connected now: those of a pool stay."""
        rows = self._one(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return sum(_seconds_or_none(int(pid)) for (pid,) in rows)

    def _one(self, statement: str) -> list[tuple[int, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def close(self) -> None:
        """Close the connection that asks."""
        self._connection.close()


def _seconds_or_none(pid: int) -> float:
    try:
        return cpu_seconds([pid])
    except FileNotFoundError:  # the backend has ended meanwhile
        return 0.0
