"""The log file and its format: as Python's own, line by line."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from synapse_lite.logging.lines import LineFormatter, RotatingLogFile
from tests.logging.helpers import LoggingTestCase


def record(message: str, created: float = 0.0) -> logging.LogRecord:
    """A record of some moment."""
    made = logging.LogRecord("name", logging.INFO, __file__, 1, message, (), None)
    made.created = created
    made.msecs = (created - int(created)) * 1000
    return made


class LineFormatterTests(LoggingTestCase):
    """Date and time."""

    def test_as_pythons_own(self) -> None:
        """Within a second, in the next one, and back."""
        own = LineFormatter("%(asctime)s %(message)s")
        pythons = logging.Formatter("%(asctime)s %(message)s")
        now = float(int(time.time()))
        for moment in (now, now + 0.007, now + 0.999, now + 1.5, now + 0.25):
            one = record("text", moment)
            self.assertEqual(own.format(one), pythons.format(one))

    def test_with_a_format_of_the_operator(self) -> None:
        """Python does it."""
        self.assertRegex(LineFormatter("%(asctime)s", "%Y").format(record("")), r"^\d{4}$")


class RotatingLogFileTests(LoggingTestCase):
    """Files that are full."""

    def handler(self, name: str = "server.log", max_bytes: int = 29) -> RotatingLogFile:
        """Writes messages only, into files of so many bytes."""
        path = os.path.join(self.folder, name)
        made = RotatingLogFile(path, maxBytes=max_bytes, backupCount=2, encoding="utf-8")
        self.addCleanup(made.close)
        return made

    def test_begins_a_new_file_before_it_is_too_long(self) -> None:
        """Bytes count, not letters."""
        handler = self.handler()
        for message in ("ä" * 9, "b" * 9, "c" * 9):
            handler.emit(record(message))
        self.assertEqual(self.read("server.log.1"), "ä" * 9 + "\n")
        self.assertEqual(self.read("server.log"), "b" * 9 + "\n" + "c" * 9 + "\n")

    def test_goes_on_in_a_file_that_is_there(self) -> None:
        """What is in it counts; a line that is too long stands alone."""
        self.write("server.log", "x" * 25 + "\n")
        handler = self.handler()
        handler.emit(record("y" * 50))
        self.assertEqual(self.read("server.log.1"), "x" * 25 + "\n")
        self.assertEqual(self.read("server.log"), "y" * 50 + "\n")

    def test_without_limit(self) -> None:
        """One file for ever."""
        handler = self.handler(max_bytes=0)
        for _ in range(10):
            handler.emit(record("z" * 20))
        self.assertEqual(os.listdir(self.folder), ["server.log"])

    def test_what_is_no_file_is_not_rotated(self) -> None:
        """A device stays where it is."""
        handler = RotatingLogFile(os.devnull, maxBytes=5, backupCount=1)
        self.addCleanup(handler.close)
        for _ in range(3):
            handler.emit(record("long enough"))
        self.assertFalse(Path(os.devnull).is_file())
        self.assertFalse(Path(f"{os.devnull}.1").exists())
