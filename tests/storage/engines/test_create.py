"""The configuration names the engine."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import TestCase

from synapse_lite.config.database import DatabaseConfig
from synapse_lite.storage.engines import create_engine
from synapse_lite.storage.engines.postgres import PostgresEngine
from synapse_lite.storage.engines.sqlite import SqliteEngine

CREATE = """
import sys
from synapse_lite.config.database import DatabaseConfig
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.engines import create_engine

create_engine(DatabaseConfig(name="sqlite3", args={"database": "x.db"}))
print("psycopg2" in sys.modules)
"""


class TestCreateEngine(TestCase):
    """One class for each name."""

    def test_by_name(self) -> None:
        sqlite = create_engine(DatabaseConfig(name="sqlite3", args={"database": "x.db"}))
        self.assertIsInstance(sqlite, SqliteEngine)
        postgres = create_engine(DatabaseConfig(name="psycopg2", args={"dbname": "x"}))
        self.assertIsInstance(postgres, PostgresEngine)

    def test_sqlite_does_not_load_the_driver_of_postgresql(self) -> None:
        environment = {"PYTHONPATH": ":".join(sys.path)}
        output = subprocess.check_output([sys.executable, "-c", CREATE], env=environment)
        self.assertEqual(output, b"False\n")
