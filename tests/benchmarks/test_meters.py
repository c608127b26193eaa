"""What the benchmark reads from the kernel and from databases."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.meters import SqliteFile, cpu_seconds, pss_bytes, pss_in_rollup, ticks_in_stat


class ProcTests(SynchronousTestCase):
    """Texts of /proc."""

    def test_ticks_are_found_behind_any_name(self) -> None:
        """A program may have spaces and brackets in its name."""
        stat = "7 (a ) 1 (b) S 1 7 7 0 -1 4194560 100 0 0 0 230 17 5 6 20 0 3 0 1 2 3"
        self.assertEqual(ticks_in_stat(stat), 247)

    def test_pss(self) -> None:
        """In bytes, and not another line that begins alike."""
        self.assertEqual(
            pss_in_rollup("0-1 rollup\nRss: 90 kB\nPss_Anon: 7 kB\nPss: 52 kB\n"), 53_248
        )
        with self.assertRaises(ValueError):
            pss_in_rollup("Rss: 90 kB\n")

    def test_own_process(self) -> None:
        """Work shows."""
        before = cpu_seconds([os.getpid()])
        deadline = time.process_time() + 0.05
        while time.process_time() < deadline:
            pass
        self.assertGreaterEqual(cpu_seconds([os.getpid()]) - before, 0.03)
        self.assertGreater(pss_bytes(os.getpid()), 1024 * 1024)


class SqliteSizeTests(SynchronousTestCase):
    """The size of a database in a file."""

    def test_counts_pages_in_the_log_and_not_free_ones(self) -> None:
        """What is committed counts at once, what is deleted no more."""
        path = Path(self.mktemp())
        connection = sqlite3.connect(path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x BLOB)")
        empty = SqliteFile(path).size()
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        full = SqliteFile(path).size()
        # Whole pages, the first of which were partly filled before.
        self.assertTrue(90_000 <= full - empty < 120_000, full - empty)
        connection.execute("DELETE FROM t")
        self.assertEqual(SqliteFile(path).size(), empty)
