"""The databases that can be used: `sqlite3` and `psycopg2` (PostgreSQL)."""

from __future__ import annotations

from ...config.database import DatabaseConfig
from ._base import POSTGRES, SQLITE, DatabaseEngine, Row
from .postgres import PostgresEngine
from .sqlite import SqliteEngine

__all__ = [
    "POSTGRES",
    "SQLITE",
    "DatabaseEngine",
    "PostgresEngine",
    "Row",
    "SqliteEngine",
    "create_engine",
]

_ENGINES: dict[str, type[SqliteEngine] | type[PostgresEngine]] = {
    SQLITE: SqliteEngine,
    POSTGRES: PostgresEngine,
}


def create_engine(config: DatabaseConfig) -> DatabaseEngine:
    """The engine that the configuration names. Raises ValueError for an unsuitable argument."""
    return _ENGINES[config.name](config.args)
