"""The whole configuration, and how it is read from files."""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import yaml

from synapse_lite.config._checks import cross_check
from synapse_lite.config._problems import ConfigError, Problem, Source
from synapse_lite.config._reading import Entry, Reader, top_level_names
from synapse_lite.config.appservice import AppserviceConfig
from synapse_lite.config.auth import AuthConfig
from synapse_lite.config.caches import CachesConfig
from synapse_lite.config.daemon import DaemonConfig
from synapse_lite.config.database import DatabaseConfig
from synapse_lite.config.duties import DutiesConfig
from synapse_lite.config.federation import BackoffConfig, FederationConfig
from synapse_lite.config.keys import KeysConfig
from synapse_lite.config.logging import LoggingConfig
from synapse_lite.config.media import MediaConfig
from synapse_lite.config.metrics import MetricsConfig
from synapse_lite.config.outbound import OutboundConfig
from synapse_lite.config.ratelimiting import RatelimitingConfig
from synapse_lite.config.registration import PasswordConfig, RegistrationConfig
from synapse_lite.config.rooms import RoomsConfig
from synapse_lite.config.server import PresenceConfig, ServerConfig
from synapse_lite.config.sessions import ExistingSessionConfig, SessionsConfig
from synapse_lite.config.tls import TlsConfig
from synapse_lite.config.user_directory import UserDirectoryConfig
from synapse_lite.config.voip import TurnConfig
from synapse_lite.config.worker import WorkerConfig

MAX_FILE_SIZE = 4 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Config:
    """One value per section. `warnings` are lines for the log; `files` is what was read."""

    server: ServerConfig
    presence: PresenceConfig
    database: DatabaseConfig
    logging: LoggingConfig
    media: MediaConfig
    keys: KeysConfig
    registration: RegistrationConfig
    password: PasswordConfig
    sessions: SessionsConfig
    existing_session: ExistingSessionConfig
    auth: AuthConfig
    tls: TlsConfig
    outbound: OutboundConfig
    ratelimiting: RatelimitingConfig
    caches: CachesConfig
    federation: FederationConfig
    backoff: BackoffConfig
    appservice: AppserviceConfig
    worker: WorkerConfig
    duties: DutiesConfig
    metrics: MetricsConfig
    turn: TurnConfig
    rooms: RoomsConfig
    user_directory: UserDirectoryConfig
    daemon: DaemonConfig
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def sections() -> dict[str, type]:
    """Attribute name of Config to section class, in the order of the documentation."""
    return {
        name: hint
        for name, hint in typing.get_type_hints(Config).items()
        if hasattr(hint, "__section__")
    }


def read_config(paths: Sequence[str]) -> Config:
    """Read configuration files; a directory stands for the `*.yaml` in it, sorted by name.

    Later files override earlier ones, one top-level key at a time. Relative paths in a file start
    at its folder. Raises ConfigError with every problem found.
    """
    problems: list[Problem] = []
    top: dict[str, Entry] = {}
    files = [file for path in paths for file in _files_of(path, problems)]
    for file in files:
        source = Source(file, os.path.dirname(os.path.abspath(file)))
        for key, value in _load(file, problems).items():
            top[str(key)] = Entry(value, source)
    if problems:
        raise ConfigError(problems)
    if not files:
        raise ConfigError([Problem("configuration", "", "no file was named")])
    fallback = Source(files[0], os.path.dirname(os.path.abspath(files[0])))
    return _read(top, fallback, tuple(files))


def config_from_dict(values: Mapping[str, Any], folder: str = ".") -> Config:
    """The configuration in a mapping, as if it stood in a file in `folder`."""
    source = Source("configuration", os.path.abspath(folder))
    return _read({key: Entry(value, source) for key, value in values.items()}, source, ())


def _files_of(path: str, problems: list[Problem]) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if name.endswith(".yaml"))
    if not names:
        problems.append(Problem(path, "", "no *.yaml file in this directory"))
    return [os.path.join(path, name) for name in names]


def _load(file: str, problems: list[Problem]) -> Mapping[Any, Any]:
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read(MAX_FILE_SIZE + 1)
        if len(text) > MAX_FILE_SIZE:
            raise ValueError(f"larger than {MAX_FILE_SIZE} characters")
        values = yaml.safe_load(text)
    except OSError as error:
        problems.append(Problem(file, "", f"cannot be read: {error.strerror}"))
    except (yaml.YAMLError, ValueError) as error:
        problems.append(Problem(file, "", f"is not YAML: {_yaml_reason(error)}"))
    else:
        if isinstance(values, dict):
            return values
        if values is not None:
            problems.append(Problem(file, "", "must be a mapping of names to values"))
    return {}


def _yaml_reason(error: Exception) -> str:
    """What is wrong and where, without the line itself: it may hold a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return type(error).__name__ if isinstance(error, yaml.YAMLError) else str(error)


def _read(top: Mapping[str, Entry], fallback: Source, files: tuple[str, ...]) -> Config:
    reader = Reader(fallback)
    values = {name: reader.read_section(cls, top) for name, cls in sections().items()}
    known = {key for cls in sections().values() for key in top_level_names(cls)}
    reader.warn_unknown(top, known)
    for key, message in cross_check(values):
        entry = top.get(key.partition(".")[0].partition("[")[0])
        reader.problem(fallback if entry is None else entry.source, key, message)
    if reader.problems:
        raise ConfigError(reader.problems)
    return Config(**values, warnings=tuple(reader.warnings), files=files)
