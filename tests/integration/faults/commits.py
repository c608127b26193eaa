"""Killing the master within a commit, without any help of its own.

A commit is held where it can be held from outside: before it begins (a lock that it needs), or at
its very end (the flush of SQLite's log, seen in `/proc`; PostgreSQL's wait for a standby that does
not exist, after which the commit counts although nobody was told).
"""

from __future__ import annotations

import os
import platform
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..deployment import MASTER
from ..processes import wait_for
from .fleet import DATABASE_NAME
from .stage import Stage

_CATCH_SECONDS = 20.0
_HELD_SECONDS = 0.6
"""So long that every sender has a request under way."""

_FLUSHES = {"x86_64": ("74", "75"), "aarch64": ("82", "83")}
"""Numbers of fsync and fdatasync."""


def group_commit(stage: Stage) -> None:
    """Both ways, one after the other."""
    ways: tuple[Callable[[Stage], None], ...]
    if stage.fleet.postgres is None:
        ways = (_kill_behind_sqlite_lock, _kill_in_flush)
    else:
        ways = (_kill_behind_postgres_lock, _kill_in_unseen_commit)
    for number, way in enumerate(stage.dice.sample(ways, 2)):
        stage.wait_for_part(number * 0.4 + 0.05, number * 0.4 + 0.4)
        way(stage)


def _kill_behind_sqlite_lock(stage: Stage) -> None:
    """The commit cannot begin."""
    connection = sqlite3.connect(stage.fleet.sqlite_file, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(_HELD_SECONDS)
        stage.fault("SIGKILL master, its commit waits for a lock")
        stage.fleet.kill(MASTER)
    finally:
        connection.close()
    stage.bring_up()


def _kill_in_flush(stage: Stage) -> None:
    """The commit is in the log, and is being flushed."""
    pid = stage.fleet.pid_of(MASTER)
    is_caught = _catch_flush(pid, f"{stage.fleet.sqlite_file}-wal")
    os.kill(pid, signal.SIGKILL)
    stage.fault(f"SIGKILL master{', its commit is being flushed' if is_caught else ''}")
    wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), _CATCH_SECONDS, "the master is dead")
    assert is_caught or platform.machine() not in _FLUSHES, "no commit was seen"
    stage.bring_up()


def _catch_flush(pid: int, file: str) -> bool:
    """Wait until a thread is within fsync of a file. False if that cannot be seen here."""
    numbers = _FLUSHES.get(platform.machine(), ())
    handles = {
        f"{int(entry.name):#x}"
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if os.path.realpath(entry) == os.path.realpath(file)
    }
    calls = [f"/proc/{pid}/task/{task}/syscall" for task in os.listdir(f"/proc/{pid}/task")]
    deadline = time.monotonic() + _CATCH_SECONDS
    while numbers and time.monotonic() < deadline:
        for call in calls:
            fields = Path(call).read_text("ascii").split()
            if fields[0] in numbers and fields[1] in handles:
                return True
    return False


def _kill_behind_postgres_lock(stage: Stage) -> None:
    """The transaction waits in its middle."""
    connection = stage.fleet.connect_to_postgres()
    try:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE event_forward_extremities IN ACCESS EXCLUSIVE MODE")
            time.sleep(_HELD_SECONDS)
            stage.fault("SIGKILL master, its transaction waits for a lock")
            stage.fleet.kill(MASTER)
    finally:
        connection.close()
    stage.bring_up()


def _kill_in_unseen_commit(stage: Stage) -> None:
    """The commit is written, but nobody can see it until after the next master has started."""
    with _commits_wait(stage) as release:
        stage.fault("SIGKILL master, its commit is written and not yet visible")
        stage.fleet.kill(MASTER)
        # Released before the next master gives up waiting, or by nobody but itself.
        timer = threading.Timer(stage.dice.uniform(0.2, 6), release)
        is_patient = stage.dice.random() < 0.5
        if is_patient:
            timer.start()
        try:
            stage.bring_up()
        finally:
            if is_patient:
                timer.join()


@contextmanager
def _commits_wait(stage: Stage) -> Iterator[Callable[[], None]]:
    """Commits of connections that are open now wait for a standby until the release."""
    with closing(stage.fleet.connect_to_postgres()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET synchronous_commit TO local")

        def release() -> None:
            with closing(stage.fleet.connect_to_postgres()) as releasing:
                releasing.cursor().execute("ALTER SYSTEM RESET synchronous_standby_names")
                releasing.cursor().execute("SELECT pg_reload_conf()")

        def hold() -> bool:
            """Whether events are held; what else was held in their place is let go."""
            cursor.execute("ALTER SYSTEM SET synchronous_standby_names TO 'nobody'")
            cursor.execute("SELECT pg_reload_conf()")
            time.sleep(_HELD_SECONDS)
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity JOIN pg_locks USING (pid)"
                " WHERE wait_event = 'SyncRep' AND relation = 'events'::regclass"
            )
            is_held = cursor.fetchone() is not None
            if not is_held:
                release()
            return is_held

        # New connections do not wait: those of the next master.
        cursor.execute(f"ALTER DATABASE {DATABASE_NAME} SET synchronous_commit TO local")
        try:
            wait_for(hold, _CATCH_SECONDS, "a commit of events waits")
            yield release
        finally:
            release()
            cursor.execute(f"ALTER DATABASE {DATABASE_NAME} RESET synchronous_commit")
