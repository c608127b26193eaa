"""SQL in the driver's style."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.storage.engines.postgres import PostgresEngine, to_format_style


class TestFormatStyle(TestCase):
    """Only question marks that stand for values are replaced."""

    def test_placeholders(self) -> None:
        self.assertEqual(to_format_style("a = ? AND b IN (?, ?)"), "a = %s AND b IN (%s, %s)")

    def test_quotes_and_comments_are_left_alone(self) -> None:
        sql = "SELECT '?''?', \"?\" -- what's this?\n, ?"
        self.assertEqual(to_format_style(sql), "SELECT '?''?', \"?\" -- what's this?\n, %s")

    def test_percent_signs_are_doubled_everywhere(self) -> None:
        self.assertEqual(to_format_style("a % ? LIKE '%x' -- 5%"), "a %% %s LIKE '%%x' -- 5%%")


class TestConnections(TestCase):
    """The connections of one process are shared out."""

    def test_both_kinds_have_one_at_least(self) -> None:
        for limit in (1, 2, 5, 20):
            engine = PostgresEngine({"cp_max": limit, "cp_min": 1})
            self.assertGreaterEqual(min(engine.writers, engine.readers), 1)
            self.assertLessEqual(engine.writers + engine.readers, max(limit, 2))
