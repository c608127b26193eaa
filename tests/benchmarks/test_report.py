"""What is written of the figures."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.figures import Sample, figures_of
from benchmarks.profiling import top
from benchmarks.report import (
    BEGIN,
    END,
    ServerReport,
    SettingReport,
    as_markdown,
    write_markdown,
)


def report(name: str, cpu_seconds: float, grown_bytes: int) -> ServerReport:
    """Of a server that sent ten messages."""
    sample = Sample(
        count=10, cpu_seconds=cpu_seconds, latencies=[0.001] * 10, grown_bytes=grown_bytes
    )
    return ServerReport(
        name=name,
        version="1",
        memory_idle={"main": 2**20},
        memory_after={"main": 2**21},
        grown_bytes=grown_bytes,
        events=10,
        operations={"send": figures_of([sample])},
    )


class MarkdownTests(SynchronousTestCase):
    """Tables."""

    def test_ratios(self) -> None:
        """A tenth of the CPU, a quarter of the bytes, the same memory."""
        ours, theirs = report("ours", 0.1, 1000), report("theirs", 1.0, 4000)
        text = as_markdown([SettingReport(says="alone", servers=[ours, theirs])], ["`command`"])
        self.assertIn("| send, one at a time, room of 50 | 10.0 | 100 | 0.10 |", text)
        self.assertIn("| main | 1 | 1 | 1.00 | 2 | 2 | 1.00 |", text)
        self.assertIn("100 bytes of database for each of 10 events; theirs", text)
        self.assertIn("ratio 0.25.", text)

    def test_what_failed_on_one_side_has_no_ratio(self) -> None:
        """The row is there all the same."""
        ours = report("ours", 0.1, 0)
        broken = ServerReport(
            name="theirs",
            version="1",
            memory_idle={},
            memory_after={},
            grown_bytes=0,
            events=0,
            operations={},
        )
        text = as_markdown([SettingReport(says="alone", servers=[ours, broken])], [])
        self.assertIn("| send, one at a time, room of 50 | 10.0 | failed | – |", text)

    def test_is_put_between_the_marks_of_a_page(self) -> None:
        """What stands around them stays, and a second time replaces the first."""
        path = Path(self.mktemp())
        path.write_text(f"# Page\n\n{BEGIN}\nold\n{END}\n\nEnd.\n", "utf-8")
        for text in ("one\n", "two\n"):
            write_markdown(path, text)
        self.assertEqual(path.read_text("utf-8"), f"# Page\n\n{BEGIN}\n\ntwo\n\n{END}\n\nEnd.\n")


class ProfileTests(SynchronousTestCase):
    """Lists of a profile."""

    def test_own_time_and_that_of_what_is_called(self) -> None:
        """A recursive function counts once in each stack, and a waiting one not at all."""
        waits = "main;Thread.run (threading.py:1);Condition.wait (threading.py:295) 96"
        lines = top(["main;a;b 3", waits, "main;a;a 1"]).splitlines()
        self.assertEqual(lines[0], "4 samples of threads that did not wait")
        self.assertIn("  75.0% b", lines)
        self.assertIn(" 100.0% a", lines)
        self.assertIn("  25.0% a", lines)
