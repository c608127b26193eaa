"""The databases that can be used: `sqlite3` and `psycopg2` (PostgreSQL)."""

from __future__ import annotations

import importlib

from ...config.database import DatabaseConfig
from ._base import POSTGRES, SQLITE, DatabaseEngine, Row

__all__ = ["POSTGRES", "SQLITE", "DatabaseEngine", "Row", "create_engine"]

_ENGINES = {SQLITE: ("sqlite", "SqliteEngine"), POSTGRES: ("postgres", "PostgresEngine")}


def create_engine(config: DatabaseConfig) -> DatabaseEngine:
    """The engine that the configuration names. Raises ValueError for an unsuitable argument.

    Only its own module is loaded: the driver of PostgreSQL costs each process 5 MiB.
    """
    module, name = _ENGINES[config.name]
    engine = getattr(importlib.import_module(f".{module}", __name__), name)(config.args)
    assert isinstance(engine, DatabaseEngine)
    return engine
