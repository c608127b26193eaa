"""A whole server in a temporary folder: master, workers and nginx as real processes.

    with Deployment(SQLITE, workers=STANDARD_WORKERS) as deployment:
        alice = deployment.client.register("alice")

Configuration and proxy rules are what an operator gets: from `config.generate` and from `slctl
proxy-config`. When the block fails, the ends of all logs are in the message; in any case no process
is left behind it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import yaml
from twisted.trial.unittest import SkipTest

from synapse_lite.config.generate import WorkerPlan, generate_config, write_files
from tests.harness.databases import create_postgres_database, drop_postgres_database

from .client import NO_ANSWER, Client
from .processes import ChildProcess, environment, free_ports, left_over, wait_for

SQLITE = "sqlite"
POSTGRES = "postgres"
SERVER_NAME = "localhost"
MASTER = "master"
NGINX = "nginx"

START_SECONDS = 30.0
LOG_LINES = 40

STANDARD_WORKERS = ("event_creator", "client_reader", "synchrotron")

_NO_LIMIT = {"per_second": 10_000, "burst_count": 10_000}
_FOR_TESTS: dict[str, object] = {
    "enable_registration": True,
    "enable_registration_without_verification": True,
    "bcrypt_rounds": 4,
    "filter_timeline_limit": 1000,
    "rc_message": _NO_LIMIT,
    "rc_registration": _NO_LIMIT,
    "rc_login": {"address": _NO_LIMIT, "account": _NO_LIMIT, "failed_attempts": _NO_LIMIT},
    "rc_joins": {"local": _NO_LIMIT},
    "rc_joins_per_room": _NO_LIMIT,
    "rc_invites": {"per_room": _NO_LIMIT, "per_user": _NO_LIMIT, "per_issuer": _NO_LIMIT},
    "rc_room_creation": _NO_LIMIT,
}

_PROXY_LINE = re.compile(
    r'"(?P<method>[A-Z]+) (?P<uri>\S+)" (?P<status>\d+) .* '
    r"upstream=(?P<upstream>[^\s(]*)\((?P<addresses>[^)]*)\)"
)
_ACCESS_LINE = re.compile(r'\dB \d{3}!? "(?P<method>[A-Z]+) (?P<uri>\S+)"')


class DeploymentFailed(AssertionError):
    """A test on a deployment failed; the message has the reason and the ends of the logs."""


@attrs.frozen
class Proxied:
    """A line of nginx's access log. `addresses` are the upstream servers that were asked."""

    method: str
    uri: str
    status: int
    upstream: str
    addresses: tuple[str, ...]


class Deployment:
    """See the module. `workers` are kinds, or plans whose ports are filled in here.

    `extra` is added to the configuration; `python` runs the processes. With `started` False nothing
    runs until `start` is called. Skips the test where nginx or PostgreSQL is wanted but not there.
    """

    def __init__(
        self,
        engine: str = SQLITE,
        *,
        workers: Sequence[str | WorkerPlan] = (),
        nginx: bool = True,
        started: bool = True,
        extra: dict[str, object] | None = None,
        python: str = sys.executable,
    ) -> None:
        self.engine = engine
        self.replication_secret = ""
        self.processes: dict[str, ChildProcess] = {}
        self._plans = [WorkerPlan(name=w, app=w) if isinstance(w, str) else w for w in workers]
        self._has_nginx = nginx
        self._started = started
        self._extra = extra or {}
        self._python = python
        self.marker = secrets.token_hex(8)
        self._database: str | None = None
        self._nginx_program = _find_nginx() if nginx else None
        self.folder = Path()
        self._ports: dict[str, int] = {}

    # --- life

    def __enter__(self) -> Deployment:
        self.folder = Path(tempfile.mkdtemp(prefix=f"synapse_lite-{self.marker}-"))
        try:
            self._prepare_folder()
            self._prepare()
            if self._started:
                self.start()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(error)

    def start(self) -> None:
        """Start all processes, and wait until each answers."""
        self.start_process(MASTER)
        names = [plan.name for plan in self._plans]
        for name in names:
            self.processes[name].start()
        if self._has_nginx:
            self._write_nginx_configuration()
            self.processes[NGINX].start()
        for name in [*names, *([NGINX] if self._has_nginx else [])]:
            self.wait_until_healthy(name)

    def start_process(self, name: str) -> float:
        """Start one process. Returns the seconds until it answered."""
        began = time.monotonic()
        self.processes[name].start()
        self.wait_until_healthy(name)
        return time.monotonic() - began

    def wait_until_healthy(self, name: str, seconds: float = START_SECONDS) -> None:
        """Wait until a process answers. Fails at once when it has ended."""
        child = self.processes[name]

        def answers() -> bool:
            code = child.running.poll()
            assert code is None, f"{name} ended with code {code} instead of answering"
            return self.is_healthy(name)

        wait_for(answers, seconds, f"{name} answers")

    def is_healthy(self, name: str) -> bool:
        """Whether a process answers now; nginx does when the master behind it does."""
        try:
            return Client(self.url_of(name), timeout=5).exchange("GET", "/health")[0] == 200
        except NO_ANSWER:
            return False

    def kill(self, name: str) -> None:
        """SIGKILL one process and wait until it is gone."""
        self.processes[name].kill()

    def freeze(self, name: str) -> None:
        """Let a process stand still."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self.processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End everything as an operator would; workers first. Each must end with code 0."""
        codes = {}
        for name in reversed(self.processes):
            if self.processes[name].process is not None:
                codes[name] = self.processes[name].stop()
        wrong = {name: code for name, code in codes.items() if code != 0}
        assert not wrong, f"These did not end well: {wrong}"

    # --- what a test asks

    @property
    def client(self) -> Client:
        """Requests as they come from outside: to nginx if there is one, else to the master."""
        return self.client_of(NGINX if self._has_nginx else MASTER)

    def client_of(self, name: str) -> Client:
        """Requests straight to one process."""
        return Client(self.url_of(name))

    def url_of(self, name: str) -> str:
        """Where a process answers clients."""
        return f"http://127.0.0.1:{self._ports[name]}"

    @property
    def replication_port(self) -> int:
        """The master's port for the streams."""
        return self._ports["replication"]

    @property
    def replication_http_port(self) -> int:
        """The master's port for events that workers create."""
        return self._ports["replication_http"]

    @property
    def configuration_files(self) -> list[str]:
        """What the master is started with."""
        return [str(self.folder / "homeserver.yaml"), str(self.folder / "tests.yaml")]

    def proxied(self) -> list[Proxied]:
        """What nginx has answered so far, and who was asked."""
        found = []
        for line in self.log_path(NGINX).read_text("utf-8").splitlines():
            match = _PROXY_LINE.search(line)
            assert match is not None, f"a line of nginx's access log is not understood: {line}"
            found.append(
                Proxied(
                    match["method"],
                    match["uri"],
                    int(match["status"]),
                    match["upstream"],
                    tuple(match["addresses"].split(", ")),
                )
            )
        return found

    def served_by(self, name: str) -> list[tuple[str, str]]:
        """Method and URI of the requests in a process's own access log."""
        text = self.log_path(name).read_text("utf-8")
        return [(match["method"], match["uri"]) for match in _ACCESS_LINE.finditer(text)]

    def address_of(self, name: str) -> str:
        """A process as nginx's access log names it."""
        return f"127.0.0.1:{self._ports[name]}"

    def log_text(self, name: str) -> str:
        """All that a process has logged."""
        path = self.log_path(name)
        return path.read_text("utf-8") if path.exists() else ""

    def start_beside(self, name: str, command: Sequence[str]) -> ChildProcess:
        """Start one more process that belongs to the deployment."""
        child = ChildProcess(name, command, self.folder, self.marker)
        self.processes[name] = child
        child.start()
        return child

    # --- preparation

    def _prepare_folder(self) -> None:
        """What must be done to the empty folder first."""

    def _prepare(self) -> None:
        plans = self._assign_ports()
        generated = generate_config(
            SERVER_NAME,
            str(self.folder),
            http_port=self._ports[MASTER],
            replication_port=self.replication_port,
            replication_http_port=self.replication_http_port,
            workers=plans,
        )
        write_files(generated)
        for name in ("logs", "nginx-temp"):
            (self.folder / name).mkdir()
        overrides = {**_FOR_TESTS, **self._database_options(), **self._extra}
        (self.folder / "tests.yaml").write_text(yaml.safe_dump(overrides), "utf-8")
        main = yaml.safe_load(generated[str(self.folder / "homeserver.yaml")])
        self.replication_secret = main.get("worker_replication_secret", "")
        self._add(MASTER, "homeserver", None)
        for plan in plans:
            self._add(plan.name, plan.app, str(self.folder / "workers" / f"{plan.name}.yaml"))
        if self._nginx_program is not None:
            self._add_nginx(self._nginx_program)

    def _assign_ports(self) -> list[WorkerPlan]:
        names = [MASTER, NGINX, "replication", "replication_http"]
        names += [plan.name for plan in self._plans]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        return [attrs.evolve(plan, port=self._ports[plan.name]) for plan in self._plans]

    def _database_options(self) -> dict[str, object]:
        if self.engine == SQLITE:
            return {}
        self._database = create_postgres_database()
        return {"database": {"name": "psycopg2", "args": connection_arguments(self._database)}}

    def _add(self, name: str, app: str, own_file: str | None) -> None:
        command = [self._python, "-m", f"synapse_lite.app.{app}"]
        for file in [*self.configuration_files, *([own_file] if own_file is not None else [])]:
            command += ["-c", file]
        self.processes[name] = ChildProcess(name, command, self.folder, self.marker)

    def _add_nginx(self, program: str) -> None:
        command = [program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        if os.geteuid() == 0:  # its workers would not be let into our folder
            command += ["-g", "user root;"]
        # Killed at once, it could not end its own workers.
        self.processes[NGINX] = ChildProcess(
            NGINX, command, self.folder, self.marker, death_signal=signal.SIGTERM
        )

    def _write_nginx_configuration(self) -> None:
        command = [sys.executable, "-m", "synapse_lite.app.slctl", "proxy-config", "nginx"]
        command += ["--print", "--directory", str(self.folder)]
        command += ["--listen", self.address_of(NGINX)]
        for file in self.configuration_files:
            command += ["-c", file]
        made = subprocess.run(command, capture_output=True, text=True, env=environment())
        assert made.returncode == 0, f"slctl proxy-config failed: {made.stderr}"
        (self.folder / "nginx.conf").write_text(made.stdout, "utf-8")

    # --- the end

    def _leave(self, error: BaseException | None) -> None:
        """Stop everything, check that nothing is left, remove all traces."""
        is_failure = isinstance(error, Exception) and not isinstance(error, SkipTest)
        story = self._story(error) if is_failure and error is not None else ""
        try:
            if is_failure:
                self._end_by_force()
                raise DeploymentFailed(story) from error
            self._stop_and_check()
        finally:
            self._end_by_force()
            self._remove_folder()
            if self._database is not None:
                drop_postgres_database(self._database)

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop_and_check(self) -> None:
        try:
            self.stop()
            left = left_over(self.marker)
            assert not left, f"processes are left: {left}"
        except AssertionError as error:
            raise DeploymentFailed(self._story(error)) from error

    def _end_by_force(self) -> None:
        for child in self.processes.values():
            if child.process is not None and child.process.poll() is None:
                # nginx would leave its own workers behind.
                child.send_signal(child.death_signal)
                child.process.wait(START_SECONDS)

    def _story(self, error: BaseException) -> str:
        """What went wrong, and the ends of the logs."""
        parts = ["".join(traceback.format_exception(error))]
        for name, child in self.processes.items():
            if child.process is None:
                continue
            state = child.process.poll()
            parts.append(f"===== {name}: {'running' if state is None else f'ended with {state}'}")
            paths = {child.output, self.log_path(name), self.folder / "logs" / f"{name}-error.log"}
            parts += [_end_of(path) for path in sorted(paths) if path.exists()]
        return "\n".join(parts)

    def log_path(self, name: str) -> Path:
        """The log file of a process."""
        files = {MASTER: "homeserver.log", NGINX: "nginx-access.log"}
        return self.folder / "logs" / files.get(name, f"{name}.log")


def _end_of(path: Path) -> str:
    lines = path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"--- {path.name}", *lines])


def _find_nginx() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SkipTest("nginx is not installed")
    return found


def connection_arguments(address: str) -> dict[str, Any]:
    """The arguments of libpq in an address, whose host may also stand in its query."""
    parts = urlsplit(address)
    arguments: dict[str, Any] = {
        "user": parts.username,
        "password": parts.password,
        "host": parts.hostname,
        "port": parts.port,
        "dbname": parts.path.removeprefix("/"),
    }
    arguments.update({name: values[-1] for name, values in parse_qs(parts.query).items()})
    return {name: value for name, value in arguments.items() if value}
