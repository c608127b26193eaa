"""Every cached read that a stream makes stale is asked of master and worker in a test."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import TestCase

from synapse_lite.streams import STREAMS

TESTS = Path(__file__).parent.parent


def checked_methods() -> set[str]:
    """The reads that tests pass to `SameAnswerCase.check`."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "check"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


class SameAnswersTestCase(TestCase):
    """Nothing that a row makes stale may be forgotten."""

    def test_every_read_of_a_stream_is_asked_on_both_sides(self) -> None:
        named = {name for stream in STREAMS for name in stream.stale}
        self.assertEqual(named - checked_methods(), set())
