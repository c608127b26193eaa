"""The SQLite engine's choices."""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import TestCase

from synapse_lite.storage.engines._base import with_values_mark
from synapse_lite.storage.engines.sqlite import SqliteEngine


class TestSqliteEngine(TestCase):
    """Arguments and generated SQL."""

    def test_lists_of_similar_length_share_a_statement(self) -> None:
        engine = SqliteEngine({})
        five, args = engine.in_clause("id", [1, 2, 3, 4, 5])
        eight, _ = engine.in_clause("id", range(8))
        self.assertEqual(five, eight)
        self.assertEqual(args, [1, 2, 3, 4, 5, 5, 5, 5])

    def test_other_durability(self) -> None:
        engine = SqliteEngine({"database": self.mktemp(), "synchronous": "normal", "cp_max": 3})
        connection = engine.connect(read_only=False)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA synchronous").fetchone(), (1,))
        with self.assertRaisesRegex(ValueError, "synchronous must be one of"):
            SqliteEngine({"synchronous": "sometimes"})

    def test_readers_cannot_write(self) -> None:
        engine = SqliteEngine({"database": self.mktemp()})
        connection = engine.connect(read_only=True)
        self.addCleanup(connection.close)
        with self.assertRaisesRegex(sqlite3.OperationalError, "readonly"):
            connection.execute("CREATE TABLE a (b)")

    def test_schema_statements(self) -> None:
        text = "-- A; b.\nCREATE TABLE a (\n  -- it's; BYTES\n  b BYTES\n);\n\nSELECT ';';\n"
        self.assertEqual(
            SqliteEngine({}).schema_statements(text),
            ["CREATE TABLE a (\n  -- it's; BLOB\n  b BLOB\n);", "SELECT ';';"],
        )
        with self.assertRaisesRegex(ValueError, "without end"):
            SqliteEngine({}).schema_statements("SELECT 1")

    def test_values_mark(self) -> None:
        self.assertEqual(
            with_values_mark("INSERT INTO a (b, c) VALUES (?, ?) ON CONFLICT DO NOTHING"),
            "INSERT INTO a (b, c) VALUES ? ON CONFLICT DO NOTHING",
        )
        for other in (
            "UPDATE a SET b = ? WHERE c = ?",
            "INSERT INTO a VALUES (?, now())",
            "INSERT INTO a VALUES (?) ON CONFLICT (b) DO UPDATE SET c = ?",
        ):
            self.assertIsNone(with_values_mark(other))
