"""The databases that can be used: `sqlite3` and `psycopg2` (PostgreSQL)."""

from __future__ import annotations

from ...config.database import DatabaseConfig
from ._base import SQLITE, DatabaseEngine
from .sqlite import SqliteEngine


def create_engine(config: DatabaseConfig) -> DatabaseEngine:
    """The engine that the configuration names."""
    if config.name == SQLITE:
        return SqliteEngine(config.args)
    raise ValueError(f"There is no database engine {config.name}")
