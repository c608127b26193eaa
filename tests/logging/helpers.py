"""Keeps the process's logging as it was, for tests that set it up."""

from __future__ import annotations

import io
import logging
import os
import types
import warnings

from twisted.logger import LogBeginner, LogPublisher
from twisted.trial import unittest


class LoggingTestCase(unittest.TestCase):
    """Puts the root logger's handlers and the levels back, and closes what the test opened."""

    def setUp(self) -> None:
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        of_twisted = logging.getLogger("twisted")
        self.addCleanup(of_twisted.setLevel, of_twisted.level)
        root.handlers = []

        def restore() -> None:
            for handler in root.handlers:
                handler.close()
            root.handlers = handlers
            root.setLevel(level)

        self.addCleanup(restore)
        self.patch(logging, "raiseExceptions", logging.raiseExceptions)
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        self.publisher = LogPublisher()
        self.stdio = types.SimpleNamespace(stdout=io.StringIO(), stderr=io.StringIO())
        self.beginner = LogBeginner(
            self.publisher,
            io.StringIO(),
            self.stdio,
            types.SimpleNamespace(showwarning=warnings.showwarning),
        )

    def read(self, name: str) -> str:
        """The text of a file in the test's folder."""
        with open(os.path.join(self.folder, name), encoding="utf-8") as stream:
            return stream.read()

    def write(self, name: str, text: str) -> str:
        """Write such a file; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path
