"""Starts the servers that are compared, each in a temporary folder, with every limit lifted.

synapse_lite comes from this source tree; Synapse from PyPI, in an environment of its own under
`.benchmarks`, which is made when it is first wanted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import yaml

from tests.harness.databases import create_postgres_database, drop_postgres_database
from tests.integration.deployment import NGINX, POSTGRES, Deployment
from tests.integration.processes import ROOT, ChildProcess, free_ports

from .client import Address
from .meters import Database, PostgresDatabase, SqliteFile

CACHE = ROOT / ".benchmarks"
SYNAPSE_PYTHON = CACHE / "venv" / "bin" / "python"
START_SECONDS = 60.0

_NO_LIMIT = {"per_second": 100_000, "burst_count": 100_000}


@attrs.frozen
class Running:
    """A server that answers: where, as which processes, and with which database."""

    name: str
    version: str
    address: Address
    pids: Sequence[int]
    database: Database


@contextmanager
def synapse_lite(engine: str, workers: Sequence[str]) -> Iterator[Running]:
    """This source tree's server. With workers clients come through nginx, which is not counted."""
    with _storage(engine) as address:
        extra: dict[str, object] = {"presence": {"enabled": False}}
        if address is not None:
            extra["database"] = {"name": "psycopg2", "args": {"dsn": address}}
        with Deployment(workers=workers, nginx=bool(workers), extra=extra) as deployment:
            pids = [child.pid for name, child in deployment.processes.items() if name != NGINX]
            port = urlsplit(deployment.client.url).port
            assert port is not None
            with _database(address, deployment.folder) as database:
                yield Running("synapse_lite", _revision(), Address(port), pids, database)


@contextmanager
def synapse(engine: str) -> Iterator[Running]:
    """Synapse as one process, as it comes from PyPI."""
    python = installed_synapse()
    folder = Path(tempfile.mkdtemp(prefix="synapse-benchmark-"))
    (port,) = free_ports(1)
    command = [str(python), "-m", "synapse.app.homeserver"]
    command += ["-c", str(folder / "homeserver.yaml"), "-c", str(folder / "benchmark.yaml")]
    child = ChildProcess("synapse", command, folder, folder.name)
    try:
        with _storage(engine) as address:
            _write_synapse_configuration(python, folder, port, address)
            child.start()
            try:
                _wait_until_healthy(child, port)
                version = _synapse_version(python)
                with _database(address, folder) as database:
                    yield Running("synapse", version, Address(port), [child.pid], database)
            finally:
                child.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _storage(engine: str) -> Iterator[str | None]:
    """The address of an empty PostgreSQL database; nothing when the engine is SQLite."""
    address = create_postgres_database() if engine == POSTGRES else None
    try:
        yield address
    finally:
        if address is not None:
            drop_postgres_database(address)


@contextmanager
def _database(address: str | None, folder: Path) -> Iterator[Database]:
    """What tells of a server's database; both servers keep SQLite's file in their folder."""
    if address is None:
        yield SqliteFile(folder / "homeserver.db")
        return
    database = PostgresDatabase(address)
    try:
        yield database
    finally:
        database.close()


def installed_synapse() -> Path:
    """The interpreter of an environment that has Synapse; installs it the first time."""
    if not SYNAPSE_PYTHON.exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "venv")], check=True)
    has_synapse = [str(SYNAPSE_PYTHON), "-c", "import synapse, psycopg2"]
    if subprocess.run(has_synapse, capture_output=True).returncode != 0:
        install = [str(SYNAPSE_PYTHON), "-m", "pip", "install", "-q"]
        subprocess.run([*install, "matrix-synapse", "psycopg2-binary"], check=True)
    return SYNAPSE_PYTHON


def _write_synapse_configuration(
    python: Path, folder: Path, port: int, postgres: str | None
) -> None:
    generate = [str(python), "-m", "synapse.app.homeserver", "--generate-config"]
    generate += ["--server-name", "localhost", "--report-stats", "no"]
    generate += ["--config-directory", str(folder), "--data-directory", str(folder)]
    generate += ["-c", str(folder / "homeserver.yaml")]
    subprocess.run(generate, check=True, capture_output=True, cwd=folder)
    database: dict[str, object] = {
        "name": "sqlite3",
        "args": {"database": str(folder / "homeserver.db")},
    }
    if postgres is not None:
        database = {"name": "psycopg2", "args": {"dsn": postgres, "cp_min": 5, "cp_max": 10}}
    options: dict[str, object] = {
        "listeners": [
            {
                "port": port,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"], "compress": False}],
            }
        ],
        "database": database,
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "bcrypt_rounds": 4,
        "presence": {"enabled": False},
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        **_lifted_limits(),
    }
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(options), "utf-8")


def _lifted_limits() -> dict[str, object]:
    plain = (
        "rc_message",
        "rc_registration",
        "rc_registration_token_validity",
        "rc_joins_per_room",
        "rc_admin_redaction",
        "rc_3pid_validation",
        "rc_third_party_invite",
        "rc_room_creation",
    )
    return {
        **{key: dict(_NO_LIMIT) for key in plain},
        "rc_login": {key: dict(_NO_LIMIT) for key in ("address", "account", "failed_attempts")},
        "rc_joins": {key: dict(_NO_LIMIT) for key in ("local", "remote")},
        "rc_invites": {key: dict(_NO_LIMIT) for key in ("per_room", "per_user", "per_issuer")},
        "rc_presence": {"per_user": dict(_NO_LIMIT)},
    }


def _wait_until_healthy(child: ChildProcess, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            ended = child.running.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"Synapse did not start: {child.output.read_text()}") from None
            time.sleep(0.1)


def _synapse_version(python: Path) -> str:
    command = [str(python), "-m", "pip", "show", "matrix-synapse"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    return found[1] if found is not None else "?"


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "?"
