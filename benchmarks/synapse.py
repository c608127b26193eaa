"""Starts Synapse as it comes from PyPI: one process, or with workers of the kinds that we have.

With workers it needs Redis, which is started here as well, and nginx, which follows the same rules
as in front of ours. Its limits are lifted like ours.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from synapse_lite.app._nginx import (
    NginxSettings,
    make_nginx_folders,
    render_server,
    render_whole,
)
from synapse_lite.app._proxy import Backend
from synapse_lite.app.table import WORKERS as WORKER_KINDS
from synapse_lite.config import config_from_dict
from synapse_lite.rest.servlets import SERVLETS
from tests.integration.processes import ChildProcess, free_ports

from .client import Address
from .environment import NGINX, REDIS, benchmark_python, find_program
from .servers import MAIN, NO_LIMIT, PLAIN_LIMITS, Running, database_of, storage

START_SECONDS = 90.0

_PROXY = "nginx"
_REDIS_PROCESS = "redis"


@contextmanager
def synapse(engine: str, workers: Sequence[str] = ()) -> Iterator[Running]:
    """Synapse; with workers clients come through nginx. Raises RuntimeError if it won't start."""
    python = benchmark_python()
    folder = Path(tempfile.mkdtemp(prefix="synapse-benchmark-"))
    names = [MAIN, "replication", _REDIS_PROCESS, _PROXY, *workers]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    try:
        with storage(engine) as address, ExitStack() as stack:
            _write_configuration(python, folder, ports, address, workers)
            children = _children(python, folder, ports, workers)
            for name, child in children.items():
                child.start()
                stack.callback(child.stop)
                if name != _REDIS_PROCESS:
                    _wait_until_healthy(child, ports[name])
            database = stack.enter_context(database_of(address, folder))
            yield Running(
                name="synapse",
                version=_version(python),
                address=Address(ports[_PROXY if workers else MAIN]),
                processes={n: child.pid for n, child in children.items() if n != _PROXY},
                database=database,
                logs={name: folder / f"{name}.log" for name in (MAIN, *workers)},
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _children(
    python: Path, folder: Path, ports: Mapping[str, int], workers: Sequence[str]
) -> dict[str, ChildProcess]:
    """The processes by name, in the order in which they start."""
    marker = secrets.token_hex(8)
    common = ["-c", str(folder / "homeserver.yaml"), "-c", str(folder / "benchmark.yaml")]
    commands: dict[str, list[str]] = {}
    if workers:
        save_nothing = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        commands[_REDIS_PROCESS] = [
            find_program(REDIS),
            *("--port", str(ports[_REDIS_PROCESS]), "--bind", "127.0.0.1"),
            *save_nothing,
        ]
    commands[MAIN] = [str(python), "-m", "synapse.app.homeserver", *common]
    for name in workers:
        own = ["-c", str(folder / f"{name}.yaml")]
        commands[name] = [str(python), "-m", "synapse.app.generic_worker", *common, *own]
    children = {name: ChildProcess(name, c, folder, marker) for name, c in commands.items()}
    if workers:
        command = [find_program(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        if os.geteuid() == 0:  # its workers would not be let into our folder
            command += ["-g", "user root;"]
        children[_PROXY] = ChildProcess(
            _PROXY, command, folder, marker, death_signal=signal.SIGTERM
        )
    return children


# --- configuration


def _write_configuration(
    python: Path,
    folder: Path,
    ports: Mapping[str, int],
    postgres: str | None,
    workers: Sequence[str],
) -> None:
    generate = [str(python), "-m", "synapse.app.homeserver", "--generate-config"]
    generate += ["--server-name", "localhost", "--report-stats", "no"]
    generate += ["--config-directory", str(folder), "--data-directory", str(folder)]
    generate += ["-c", str(folder / "homeserver.yaml")]
    subprocess.run(generate, check=True, capture_output=True, cwd=folder)
    listeners = [_listener(ports[MAIN], "client")]
    options: dict[str, object] = {
        "listeners": listeners,
        "database": _database(folder, postgres),
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "bcrypt_rounds": 4,
        "presence": {"enabled": True},
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "log_config": _log_configuration(folder, MAIN),
        **_lifted_limits(),
    }
    if workers:
        listeners.append(_listener(ports["replication"], "replication"))
        options |= {
            "redis": {"enabled": True, "host": "127.0.0.1", "port": ports[_REDIS_PROCESS]},
            "worker_replication_secret": secrets.token_hex(16),
            "instance_map": {"main": {"host": "127.0.0.1", "port": ports["replication"]}},
        }
        _write_nginx_configuration(folder, ports, workers)
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(options), "utf-8")
    for name in workers:
        own = {
            "worker_app": "synapse.app.generic_worker",
            "worker_name": name,
            "worker_listeners": [_listener(ports[name], "client")],
            "worker_log_config": _log_configuration(folder, name),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(own), "utf-8")


def _listener(port: int, resource: str) -> dict[str, object]:
    return {
        "port": port,
        "type": "http",
        "bind_addresses": ["127.0.0.1"],
        "x_forwarded": True,
        "resources": [{"names": [resource], "compress": False}],
    }


def _database(folder: Path, postgres: str | None) -> dict[str, object]:
    if postgres is None:
        return {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}}
    return {"name": "psycopg2", "args": {"dsn": postgres, "cp_min": 3, "cp_max": 8}}


def _log_configuration(folder: Path, name: str) -> str:
    """Synapse's own configuration of logging, with a file for each process."""
    made = (folder / "localhost.log.config").read_text("utf-8")
    path = folder / f"{name}.log.config"
    path.write_text(made.replace("homeserver.log", f"{name}.log"), "utf-8")
    return str(path)


def _lifted_limits() -> dict[str, object]:
    return {
        **{key: dict(NO_LIMIT) for key in PLAIN_LIMITS},
        "rc_login": {key: dict(NO_LIMIT) for key in ("address", "account", "failed_attempts")},
        "rc_joins": {key: dict(NO_LIMIT) for key in ("local", "remote")},
        "rc_invites": {key: dict(NO_LIMIT) for key in ("per_room", "per_user", "per_issuer")},
        "rc_presence": {"per_user": dict(NO_LIMIT)},
    }


def _write_nginx_configuration(
    folder: Path, ports: Mapping[str, int], workers: Sequence[str]
) -> None:
    """The rules that `slctl proxy-config` makes for our workers, with Synapse behind them."""
    resources = frozenset({"client"})

    def backend(name: str, kinds: frozenset[str]) -> Backend:
        return Backend(name, kinds, f"127.0.0.1:{ports[name]}", resources)

    settings = NginxSettings(listen=(f"127.0.0.1:{ports[_PROXY]}",), directory=str(folder))
    make_nginx_folders(str(folder))
    server = render_server(
        config_from_dict({"server_name": "localhost"}),
        WORKER_KINDS,
        [backend(MAIN, frozenset()), *(backend(name, frozenset({name})) for name in workers)],
        SERVLETS,
        settings,
    )
    (folder / "nginx.conf").write_text(render_whole(server, settings), "utf-8")


# --- life


def _wait_until_healthy(child: ChildProcess, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            ended = child.running.poll() is not None
            if ended or time.monotonic() > deadline:
                output = child.output.read_text("utf-8", "replace")[-4000:]
                raise RuntimeError(f"Synapse's {child.name} did not start: {output}") from None
            time.sleep(0.1)


def _version(python: Path) -> str:
    command = [str(python), "-m", "pip", "show", "matrix-synapse"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    return found[1] if found is not None else "?"
