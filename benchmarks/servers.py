"""Starts the servers that are compared, each in a temporary folder, with every limit lifted.

synapse_lite comes from this source tree; for Synapse see `synapse`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from tests.harness.databases import create_postgres_database, drop_postgres_database
from tests.integration.deployment import NGINX, POSTGRES, Deployment
from tests.integration.processes import ROOT

from .client import Address
from .environment import own_python
from .meters import Database, PostgresDatabase, SqliteFile

MAIN = "main"
WORKERS = ("event_creator", "client_reader", "synchrotron")

NO_LIMIT = {"per_second": 100_000, "burst_count": 100_000}


@attrs.frozen(kw_only=True)
class Running:
    """A server that answers: where, as which processes, and with which database.

    `processes` are pids by name; that of the main process is `MAIN`. A proxy is none of them.
    `urls` are where each of them answers.
    """

    name: str
    version: str
    address: Address
    processes: Mapping[str, int]
    database: Database
    logs: Mapping[str, Path] = {}
    urls: Mapping[str, str] = {}

    @property
    def pids(self) -> list[int]:
        """All processes."""
        return list(self.processes.values())


@contextmanager
def synapse_lite(
    engine: str, workers: Sequence[str], *, extra: Mapping[str, object] | None = None
) -> Iterator[Running]:
    """This source tree's server. With workers clients come through nginx."""
    with storage(engine) as address:
        options: dict[str, object] = {
            **(extra or {}),
            "presence": {"enabled": True},
            "rc_presence": {"per_user": dict(NO_LIMIT)},
            **{key: dict(NO_LIMIT) for key in PLAIN_LIMITS if key in _OUR_LIMITS},
        }
        if address is not None:
            options["database"] = {"name": "psycopg2", "args": {"dsn": address}}
        with Deployment(
            workers=workers, nginx=bool(workers), extra=options, python=str(own_python())
        ) as deployment:
            names = [name for name in deployment.processes if name != NGINX]
            pids = {_told(name): deployment.processes[name].pid for name in names}
            logs = {_told(name): deployment.log_path(name) for name in names}
            port = urlsplit(deployment.client.url).port
            assert port is not None
            with database_of(address, deployment.folder) as database:
                yield Running(
                    name="synapse_lite",
                    version=_revision(),
                    address=Address(port),
                    processes=pids,
                    database=database,
                    logs=logs,
                    urls={_told(name): deployment.url_of(name) for name in names},
                )


def _told(name: str) -> str:
    return MAIN if name == "master" else name


PLAIN_LIMITS = (
    "rc_message",
    "rc_registration",
    "rc_registration_token_validity",
    "rc_joins_per_room",
    "rc_admin_redaction",
    "rc_3pid_validation",
    "rc_third_party_invite",
    "rc_room_creation",
)
_OUR_LIMITS = frozenset({"rc_message", "rc_registration", "rc_joins_per_room", "rc_room_creation"})


@contextmanager
def storage(engine: str) -> Iterator[str | None]:
    """The address of an empty PostgreSQL database; nothing when the engine is SQLite."""
    address = create_postgres_database() if engine == POSTGRES else None
    try:
        yield address
    finally:
        if address is not None:
            drop_postgres_database(address)


@contextmanager
def database_of(address: str | None, folder: Path) -> Iterator[Database]:
    """What tells of a server's database; both servers keep SQLite's file in their folder."""
    if address is None:
        yield SqliteFile(folder / "homeserver.db")
        return
    database = PostgresDatabase(address)
    try:
        yield database
    finally:
        database.close()


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "?"
