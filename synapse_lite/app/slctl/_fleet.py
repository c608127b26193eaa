"""Which processes the configuration files of an operator describe."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterator, Sequence

import attrs
import yaml

from ...config import Config, ConfigError, read_config
from ...config.listeners import Listener
from .._files import StartError
from .._lookup import process_for
from .._main import log_destination
from .._process import Process

logger = logging.getLogger(__name__)

MASTER_NAME = "master"
WORKERS_FOLDER = "workers"


class FleetError(Exception):
    """The configuration files cannot be used; the message has a line for each reason."""


@attrs.frozen
class Instance:
    """One process to run: `files` are its configuration files as absolute paths."""

    name: str
    process: Process
    files: tuple[str, ...]
    config: Config

    @property
    def app(self) -> str:
        """The module that starts it."""
        return self.process.app

    @property
    def pid_file(self) -> str | None:
        """Where it says which process it is."""
        own = self.config.daemon if self.process.is_master else self.config.worker
        return own.pid_file

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Its ports."""
        if self.process.is_master:
            return self.config.server.listeners
        return self.config.worker.listeners

    @property
    def base_url(self) -> str | None:
        """Where its first http listener answers, as seen from this machine."""
        for listener in self.listeners:
            if listener.type != "replication":
                return local_url(listener)
        return None

    @property
    def log_files(self) -> tuple[str, ...]:
        """The files that it logs to."""
        log_config, log_file = log_destination(self.config)
        if log_file is not None:
            return (log_file,)
        return () if log_config is None else tuple(_files_of_log_config(log_config))


@attrs.frozen
class Fleet:
    """The processes that a command is about. Either part may be empty."""

    master: Instance | None
    workers: tuple[Instance, ...]

    @property
    def all(self) -> tuple[Instance, ...]:
        """The master first."""
        return (*((self.master,) if self.master is not None else ()), *self.workers)


def read_fleet(
    config_files: Sequence[str],
    *,
    worker_file: str | None = None,
    workers_folder: str | None = None,
) -> Fleet:
    """The processes of these files. Raises FleetError with everything that is wrong.

    With `worker_file` only that worker; with `workers_folder` the master and a worker for each
    `*.yaml` in it. With neither the master, and the workers in the folder `workers` beside the
    first configuration file if there is one.
    """
    problems: list[str] = []
    files = tuple(os.path.abspath(file) for file in config_files)
    if worker_file is not None:
        worker = _read(files, os.path.abspath(worker_file), problems)
        _raise(problems)
        assert worker is not None
        return Fleet(None, (worker,))
    master = _read(files, None, problems)
    folder = workers_folder
    if folder is None:
        beside = os.path.join(os.path.dirname(files[0]), WORKERS_FOLDER)
        folder = beside if os.path.isdir(beside) else None
    found = [_read(files, path, problems) for path in _worker_files(folder, problems)]
    workers = tuple(worker for worker in found if worker is not None)
    problems += _clashes([*workers, *([master] if master is not None else [])])
    _raise(problems)
    return Fleet(master, workers)


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise FleetError("\n".join(dict.fromkeys(problems)))


def _read(files: Sequence[str], own: str | None, problems: list[str]) -> Instance | None:
    named = (*files, *((own,) if own is not None else ()))
    try:
        config = read_config(named)
        process = process_for(config)
    except ConfigError as error:
        problems += [str(problem) for problem in error.problems]
        return None
    except StartError as error:
        problems.append(f"{named[-1]}: {error}")
        return None
    if process.is_master and own is not None:
        problems.append(f"{own}: worker_app is missing: this is no worker's file")
        return None
    if not process.is_master and own is None:
        problems.append(f"{named[-1]}: worker_app: this is a worker's file, not the master's")
        return None
    return Instance(
        MASTER_NAME if process.is_master else config.worker.name or process.name,
        process,
        named,
        config,
    )


def _worker_files(folder: str | None, problems: list[str]) -> list[str]:
    if folder is None:
        return []
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml"))
    except OSError as error:
        problems.append(f"{folder}: {error.strerror}")
        return []
    return [os.path.join(os.path.abspath(folder), name) for name in names]


def _clashes(instances: Sequence[Instance]) -> Iterator[str]:
    """What processes must not share."""
    seen: dict[tuple[str, object], str] = {}
    for instance in instances:
        file = instance.files[-1]
        claims: list[tuple[str, object]] = [("worker_name", instance.name)]
        if not instance.process.many:
            claims.append(("worker_app", instance.app))
        if instance.pid_file is not None:
            claims.append(("pid file", instance.pid_file))
        claims += [
            ("port", f"{address}:{listener.port}")
            for listener in instance.listeners
            for address in listener.bind_addresses
        ]
        for claim in claims:
            other = seen.setdefault(claim, file)
            if other is not file:
                yield f"{file}: {claim[0]} {claim[1]} is that of {other} too"


def local_url(listener: Listener) -> str:
    """The address of a listener for clients on this machine; IPv4 where there is a choice."""
    addresses = sorted(
        (ipaddress.ip_address(address) for address in listener.bind_addresses),
        key=lambda address: address.version,
    )
    address = addresses[0]
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"{'https' if listener.tls else 'http'}://{host}:{listener.port}"


def _files_of_log_config(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as file:
            settings = yaml.safe_load(file)
        handlers = list((settings.get("handlers") or {}).values())
    except (OSError, ValueError, yaml.YAMLError, AttributeError):
        # The process itself says what is wrong with it.
        logger.debug("%s cannot be read", path, exc_info=True)
        return
    for handler in handlers:
        if isinstance(handler, dict) and isinstance(handler.get("filename"), str):
            yield os.path.join(os.path.dirname(os.path.abspath(path)), handler["filename"])
