"""Writes the configuration of a new server: files with fresh secrets that start as they are."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence

import attrs
import yaml

from synapse_lite.types.ids import is_server_name

HOMESERVER_FILE = "homeserver.yaml"
LOG_CONFIG_FILE = "log.yaml"
WORKERS_FOLDER = "workers"

SECRET_BYTES = 32

LOOPBACK = ["127.0.0.1", "::1"]


@attrs.frozen(kw_only=True)
class WorkerPlan:
    """A worker to write a file for.

    `app` is the name of its module under `synapse_lite.app`. Without a port it serves nothing.
    `roles` are the kinds that a `generic_worker` combines.
    """

    name: str
    app: str
    port: int | None = None
    roles: Sequence[str] = ()
    resources: Sequence[str] = ("client", "health", "metrics")


def generate_config(
    server_name: str,
    directory: str,
    *,
    report_stats: bool = False,
    http_port: int = 8008,
    replication_port: int = 9092,
    replication_http_port: int = 9093,
    public_baseurl: str | None = None,
    workers: Sequence[WorkerPlan] = (),
    moved_duties: Iterable[str] = (),
    extra: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Path to text of each file of a new server in `directory`, with SQLite and random secrets.

    With workers the master gets its replication listeners, and the options in `moved_duties`
    (such as `send_federation`) are false. `extra` is added to homeserver.yaml as it is. Nothing
    is written; `write_files` does that. Raises ValueError for a bad server name.
    """
    if not is_server_name(server_name):
        raise ValueError(f"{server_name} is not a server name such as example.com")
    master = _Settings()
    _put_basics(master, server_name, public_baseurl, report_stats=report_stats)
    master.put(
        listeners=_master_listeners(
            http_port, replication_port, replication_http_port, with_workers=bool(workers)
        )
    )
    _put_secrets(master)
    master.put(enable_metrics=True)
    if workers:
        master.say("Workers read this file too, each with its own file after it.")
        master.put(
            worker_replication_secret=secrets.token_urlsafe(SECRET_BYTES),
            worker_replication_port=replication_port,
            worker_replication_http_port=replication_http_port,
            worker_main_http_uri=f"http://127.0.0.1:{http_port}",
            **dict.fromkeys(moved_duties, False),
        )
    if extra:
        master.put(**extra)
    files = {HOMESERVER_FILE: master.text(), LOG_CONFIG_FILE: generate_log_config()}
    for plan in workers:
        files[os.path.join(WORKERS_FOLDER, plan.name + ".yaml")] = _worker_file(plan)
    return {os.path.join(directory, name): text for name, text in files.items()}


def generate_log_config(log_file: str = "logs/homeserver.log") -> str:
    """A log configuration that writes to a rotating file and, for warnings, to standard error."""
    return _LOG_CONFIG.format(log_file=json.dumps(log_file))


def write_files(files: Mapping[str, str]) -> None:
    """Write generated files, readable for their owner alone.

    Raises FileExistsError before anything is written if one of them exists.
    """
    for path in files:
        if os.path.lexists(path):
            raise FileExistsError(f"{path} exists already")
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)


class _Settings:
    """A YAML file in the making."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def say(self, comment: str) -> None:
        self._parts.append(f"# {comment}\n")

    def put(self, **values: object) -> None:
        dumped = yaml.safe_dump(values, sort_keys=False, default_flow_style=False, width=10_000)
        self._parts.append(dumped + "\n")

    def text(self) -> str:
        return "".join(self._parts).rstrip("\n") + "\n"


def _put_basics(
    settings: _Settings, server_name: str, public_baseurl: str | None, *, report_stats: bool
) -> None:
    settings.say("Generated. docs/reference/config.md describes every option.")
    settings.put(server_name=server_name, report_stats=report_stats)
    if public_baseurl is not None:
        settings.put(public_baseurl=public_baseurl)
    settings.say("Relative paths start at the folder of this file.")
    settings.put(
        pid_file="homeserver.pid",
        log_config=LOG_CONFIG_FILE,
        signing_key_path=f"{server_name.replace(':', '_')}.signing.key",
        media_store_path="media_store",
        database={"name": "sqlite3", "args": {"database": "homeserver.db"}},
    )


def _put_secrets(settings: _Settings) -> None:
    settings.say("Secrets. Keep this file to yourself.")
    settings.put(
        registration_shared_secret=secrets.token_urlsafe(SECRET_BYTES),
        macaroon_secret_key=secrets.token_urlsafe(SECRET_BYTES),
        form_secret=secrets.token_urlsafe(SECRET_BYTES),
    )


def _http_listener(port: int, resources: Sequence[str], *, proxied: bool) -> dict[str, object]:
    return {
        "port": port,
        "type": "http",
        "bind_addresses": list(LOOPBACK),
        **({"x_forwarded": True} if proxied else {}),
        "resources": [{"names": list(resources)}],
    }


def _master_listeners(
    http_port: int, replication_port: int, replication_http_port: int, *, with_workers: bool
) -> list[dict[str, object]]:
    resources = ["client", "federation", "media", "keys", "health", "metrics"]
    listeners = [_http_listener(http_port, resources, proxied=True)]
    if with_workers:
        listeners.append(
            {"port": replication_port, "type": "replication", "bind_addresses": ["127.0.0.1"]}
        )
        listeners.append(
            {
                **_http_listener(replication_http_port, ["replication"], proxied=False),
                "bind_addresses": ["127.0.0.1"],
            }
        )
    return listeners


def _worker_file(plan: WorkerPlan) -> str:
    settings = _Settings()
    settings.put(worker_app=f"synapse_lite.app.{plan.app}", worker_name=plan.name)
    if plan.roles:
        settings.put(worker_roles=list(plan.roles))
    if plan.port is not None:
        settings.put(worker_listeners=[_http_listener(plan.port, plan.resources, proxied=True)])
    settings.put(worker_pid_file=f"../{plan.name}.pid", worker_log_file=f"../logs/{plan.name}.log")
    return settings.text()


_LOG_CONFIG = """\
# Logging of the master, in the form of Python's logging.config.dictConfig.
version: 1

formatters:
  precise:
    format: '%(asctime)s - %(process_name)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'

handlers:
  file:
    class: logging.handlers.RotatingFileHandler
    formatter: precise
    filename: {log_file}
    maxBytes: 104857600
    backupCount: 10
    encoding: utf8
  console:
    class: logging.StreamHandler
    formatter: precise
    level: WARNING

loggers:
  # At INFO it tells of each connection and port that it opens.
  twisted:
    level: WARNING

root:
  level: INFO
  handlers: [file, console]

disable_existing_loggers: false
"""  # noqa: E501 - the format is one line of YAML
