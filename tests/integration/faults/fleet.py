"""A deployment whose processes are daemons of `slctl`, as they are for an operator.

Two workers of each kind, nginx in front, and with PostgreSQL a server of its own that writes to
the disk in earnest.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg2
import yaml
from twisted.trial.unittest import SkipTest

from synapse_lite.app._pids import read_pid
from synapse_lite.config.generate import WorkerPlan
from tests.harness.postgres_server import PostgresMissingError, PostgresServer

from ..client import NO_ANSWER, Client
from ..deployment import (
    MASTER,
    NGINX,
    POSTGRES,
    START_SECONDS,
    Deployment,
    DeploymentFailed,
    connection_arguments,
)
from ..processes import MARKER_VARIABLE, environment, left_over, wait_for
from .guardian import Guardian, end_all, remove
from .link import Link

EVENT_CREATORS = ("event_creator1", "event_creator2")
CLIENT_READERS = ("client_reader1", "client_reader2")
SYNCHROTRONS = ("synchrotron1", "synchrotron2")
USER_DIRS = ("user_dir1", "user_dir2")
WORKERS = (*EVENT_CREATORS, *CLIENT_READERS, *SYNCHROTRONS, *USER_DIRS)
PROCESSES = (MASTER, *WORKERS, NGINX)

SLCTL_SECONDS = 180.0
_TOO_SLOW = "was not ready after"
DATABASE_NAME = "synapse"


class SlctlFailedError(AssertionError):
    """`slctl` did not end with code 0; the message has what it said."""


class Fleet(Deployment):
    """See the module.

    With `links` each worker reaches the master through a `Link` that can be cut. With `disk_mib`
    what the server writes (of PostgreSQL: the tables) is on a small disk of its own, which needs
    the right to mount; without it the test is skipped. `kept` is the folder to which logs and
    database go after a failure.
    """

    def __init__(
        self,
        engine: str,
        *,
        links: bool = False,
        disk_mib: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> None:
        plans = [WorkerPlan(name=name, app=name.rstrip("12")) for name in WORKERS]
        super().__init__(engine, workers=plans, extra=extra)
        self.links: dict[str, Link] = {}
        self.postgres: PostgresServer | None = None
        self.disk = Path()
        self._has_links = links
        self._disk_mib = disk_mib
        self._postgres_folder: Path | None = None
        self._guardian: Guardian | None = None
        self._daemons: list[str] = []

    # --- what faults need

    def pid_of(self, name: str) -> int:
        """The process id of a daemon that was started, or of nginx."""
        if name == NGINX:
            return self.processes[NGINX].pid
        pid = read_pid(str(self._pid_file(name)))
        assert pid is not None, f"{name} has no pid file"
        return pid

    def kill(self, name: str) -> None:
        """SIGKILL a process, and wait until it is gone. nginx dies with its own workers."""
        if name == NGINX:
            os.killpg(self.pid_of(NGINX), signal.SIGKILL)
            self.processes[NGINX].running.wait(START_SECONDS)
            return
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not _is_running(pid), START_SECONDS, f"{name} is dead")

    def freeze(self, name: str) -> None:
        """Let a process stand still."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        if name == NGINX:
            os.killpg(self.pid_of(NGINX), number)
        else:
            os.kill(self.pid_of(name), number)

    def bring_up(self) -> float:
        """Start what does not run, as an operator does. Returns the seconds until all answer."""
        began = time.monotonic()
        if self.processes[NGINX].running.poll() is not None:
            self.processes[NGINX].start()
        self.slctl("start")
        self.wait_until_healthy(NGINX)
        return time.monotonic() - began

    def slctl(self, verb: str, worker: str | None = None, patience: int = 3) -> None:
        """Run a command of slctl on the whole fleet or on one worker. Raises SlctlFailedError."""
        command = [sys.executable, "-m", "synapse_lite.app.slctl", verb]
        for file in self.configuration_files:
            command += ["-c", file]
        if worker is not None:
            command += ["-w", str(self.folder / "workers" / f"{worker}.yaml")]
        # Its output goes to a file: daemons keep it open for as long as they start.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**environment(), MARKER_VARIABLE: self.marker},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SLCTL_SECONDS,
            )
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
        if done.returncode == 0:
            return
        if _TOO_SLOW not in said or patience == 0:
            raise SlctlFailedError(f"slctl {verb} ended with {done.returncode}:\n{said}")
        # A busy machine, on which an operator would say it again.
        self.slctl("start", worker, patience - 1)

    @property
    def sqlite_file(self) -> Path:
        """The database file of SQLite."""
        return self.folder / "homeserver.db"

    def connect_to_postgres(self) -> psycopg2.extensions.connection:
        """A connection of our own to the server's database."""
        assert self.postgres is not None, "only with PostgreSQL"
        connection = psycopg2.connect(self.postgres.address(DATABASE_NAME))
        connection.autocommit = True
        return connection

    # --- life, in place of Deployment's

    def start(self) -> None:
        """Start all daemons and nginx, and wait until each answers."""
        self._write_nginx_configuration()
        self.slctl("start")
        self.processes[NGINX].start()
        self.wait_until_healthy(NGINX)

    def wait_until_healthy(self, name: str, seconds: float = START_SECONDS) -> None:
        """Wait until a process answers."""
        wait_for(lambda: self.is_healthy(name), seconds, f"{name} answers")

    def is_healthy(self, name: str) -> bool:
        """Whether a process answers now; one that stands still does not."""
        try:
            return Client(self.url_of(name), timeout=2).exchange("GET", "/health")[0] == 200
        except NO_ANSWER:
            return False

    def stop(self) -> None:
        """End everything as an operator would, in good order."""
        code = self.processes[NGINX].stop()
        assert code == 0, f"nginx ended with {code}"
        self.slctl("stop")
        if self.postgres is not None:
            self.postgres.stop()
        left = left_over(self.marker)
        assert not left, f"processes are left: {left}"

    def keep(self, kept: Path) -> None:
        """Copy what tells of a failure: logs, configuration, database."""
        names = ["logs", "workers", "homeserver.yaml", "tests.yaml", "homeserver.db"]
        for name in [*names, "homeserver.db-wal", "nginx.out"]:
            source = self.folder / name
            if source.is_dir():
                shutil.copytree(source, kept / name, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, kept / name)
        if self.postgres is not None and os.path.exists(self.postgres.log):
            shutil.copy(self.postgres.log, kept / "postgres.log")

    def _leave(self, error: BaseException | None) -> None:
        """End everything; an error of the body goes on as it is."""
        try:
            if error is None:
                self._stop_well()
        finally:
            self._clear_away()

    def _stop_well(self) -> None:
        try:
            self.stop()
        except AssertionError as error:
            raise DeploymentFailed(str(error)) from error

    def _clear_away(self) -> None:
        for link in self.links.values():
            link.close()
        end_all(self.marker)
        if self.processes and (nginx := self.processes[NGINX].process) is not None:
            nginx.wait(START_SECONDS)
        if self.postgres is not None:
            self.postgres.kill_if_running()
        for folder in self._folders():
            remove(folder)
        if self._guardian is not None:
            self._guardian.dismiss()

    def _folders(self) -> list[Path]:
        return [self.folder, *filter(None, [self._postgres_folder])]

    # --- preparation

    def _prepare_folder(self) -> None:
        if self.engine == POSTGRES:
            name = f"synapse_lite-pg-{self.marker}-"
            self._postgres_folder = Path(tempfile.mkdtemp(prefix=name))
        self._guardian = Guardian(self.marker, self._folders())
        if self.engine == POSTGRES:
            self._start_postgres()
        elif self._disk_mib is not None:
            self.disk = self.folder
            _mount(self.disk, self._disk_mib)

    def _start_postgres(self) -> None:
        assert self._postgres_folder is not None, "made by our caller"
        server, wal = self._postgres_folder / "server", self._postgres_folder / "wal"
        server.mkdir()
        wal.mkdir()
        self._postgres_folder.chmod(0o755)
        if self._disk_mib is not None:
            self.disk = server
            _mount(self.disk, self._disk_mib)
        try:
            self.postgres = PostgresServer(
                str(server),
                durable=True,
                environment={MARKER_VARIABLE: self.marker},
                wal_folder=str(wal),
            )
            self.postgres.create()
        except PostgresMissingError as error:
            raise SkipTest(str(error)) from error
        self.postgres.start()
        connection = psycopg2.connect(self.postgres.address())
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    f"CREATE DATABASE {DATABASE_NAME} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
                    " TEMPLATE template0"
                )
        finally:
            connection.close()

    def _database_options(self) -> dict[str, object]:
        if self.postgres is None:
            return {}
        arguments = connection_arguments(self.postgres.address(DATABASE_NAME))
        return {"database": {"name": "psycopg2", "args": arguments}}

    def _prepare(self) -> None:
        super()._prepare()
        if self._has_links:
            for name in WORKERS:
                self._put_link(name)

    def _put_link(self, name: str) -> None:
        """Let a worker know the master only by its link."""
        link = Link(self.replication_port, self.replication_http_port, self._ports[MASTER])
        self.links[name] = link
        settings = {
            "worker_replication_port": link.ports[0],
            "worker_replication_http_port": link.ports[1],
            "worker_main_http_uri": f"http://127.0.0.1:{link.ports[2]}",
        }
        with open(self.folder / "workers" / f"{name}.yaml", "a", encoding="utf-8") as file:
            file.write("\n" + yaml.safe_dump(settings))

    def _add(self, name: str, app: str, own_file: str | None) -> None:
        self._daemons.append(name)

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"{'homeserver' if name == MASTER else name}.pid"


def _is_running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def _mount(folder: Path, mib: int) -> None:
    """Put a small disk at a folder, in memory. Skips the test if we may not."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise SkipTest("there is no mount here") from error
    if done.returncode != 0:
        raise SkipTest(f"a small disk cannot be mounted: {done.stderr.strip()}")
