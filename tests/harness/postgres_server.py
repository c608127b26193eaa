"""A throw-away PostgreSQL server in a temporary folder; needs nothing but the standard library.

    with PostgresServer(folder) as server:
        psycopg2.connect(server.address())

It listens on a socket in its folder only. As a rule it does not wait for the disk, which suits
tests of everything but durability; with `durable` it does, and may be killed and started again.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
INITDB_OPTIONS = ("-E", "UTF8", "--locale=C", "--no-sync")
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

START_SECONDS = 60.0


class PostgresMissingError(Exception):
    """PostgreSQL is not installed, or cannot be run by us."""


def program(name: str) -> str:
    """The path of a PostgreSQL program, of the newest version. Raises PostgresMissingError."""
    found = shutil.which(name)
    candidates = [path for place in PLACES for path in glob.glob(f"{place}/{name}")]
    if candidates:
        found = max(candidates, key=lambda path: [int(n) for n in path.split("/") if n.isdigit()])
    if found is None:
        raise PostgresMissingError(f"{name} was not found; install PostgreSQL")
    return found


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to be instead of root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissingError("neither user postgres nor nobody exists")


class PostgresServer:
    """One server. `folder` must exist and be empty; it is given to the user that runs the server.

    `settings` are added to its configuration, `environment` to its environment. With `wal_folder`
    the write-ahead log is kept there.
    """

    def __init__(
        self,
        folder: str,
        *,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        wal_folder: str | None = None,
    ) -> None:
        self.folder = folder
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "log")
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {})}
        self._environment = {**os.environ, **(environment or {})}
        self._wal_folder = wal_folder
        user = unprivileged_user()
        self._become: dict[str, Any] = {}
        if user is not None:
            self._become = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for path in filter(None, (folder, wal_folder)):
                os.chown(path, user.pw_uid, user.pw_gid)

    def __enter__(self) -> PostgresServer:
        self.create()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def address(self, database: str = "postgres") -> str:
        """Where it can be reached, for libpq."""
        return f"postgresql://postgres@/{database}?host={quote(self.folder, safe='')}"

    def create(self) -> None:
        """Make the cluster."""
        options = list(INITDB_OPTIONS)
        if self._wal_folder is not None:
            options += ["-X", os.path.join(self._wal_folder, "wal")]
        subprocess.run(
            [program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._become,
        )

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises RuntimeError with its log."""
        options = " ".join(f"-c {key}='{value}'" for key, value in self._settings.items())
        start = ["-t", str(int(START_SECONDS)), "-l", self.log]
        start += ["-o", f"{options} -k {self.folder}", "start"]
        if self._control(*start):
            with open(self.log, encoding="utf-8", errors="replace") as lines:
                raise RuntimeError(f"PostgreSQL did not start\n{lines.read()}")

    def stop(self) -> None:
        """Stop it at once; nothing is kept."""
        self._control("-m", "immediate", "stop")

    def kill(self) -> None:
        """SIGKILL it with all of its processes, and wait until they are gone."""
        main = self._main_pid()
        pids = [main, *_children_of(main)]
        for pid in pids:
            _kill(pid)
        deadline = time.monotonic() + START_SECONDS
        while any(_is_alive(pid) for pid in pids):
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL does not die")
            time.sleep(0.01)
        # Its number may not be free yet, which would keep the next start from going on.
        lock = f"{self.folder}/.s.PGSQL.{self._settings.get('port', '5432')}.lock"
        for path in (os.path.join(self.data, "postmaster.pid"), lock):
            os.unlink(path)

    def kill_if_running(self) -> None:
        """Leave nothing behind, in whatever state it is."""
        try:
            main = self._main_pid()
        except (OSError, IndexError, ValueError):
            return
        # The file outlives a server that was killed, and the number may be another's by now.
        if _is_alive(main) and Path(self.data).samefile(f"/proc/{main}/cwd"):
            self.kill()

    def _main_pid(self) -> int:
        return int(Path(self.data, "postmaster.pid").read_text("utf-8").splitlines()[0])

    def _control(self, *arguments: str) -> int:
        command = [program("pg_ctl"), "-D", self.data, "-s", "-w", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, **self._become)
        return done.returncode


def _children_of(parent: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text("ascii").split()]
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended meanwhile


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")
