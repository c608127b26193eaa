"""Setting up logging, and reopening its files."""

from __future__ import annotations

import logging
import os

from twisted.logger import Logger

from synapse_lite.config.generate import generate_log_config
from synapse_lite.logging import context
from synapse_lite.logging.setup import LoggingSetupError, reopen_log_files, setup_logging
from tests.logging.helpers import LoggingTestCase

CONFIG = """
version: 1
formatters:
  precise: {format: '%(process_name)s %(levelname)s %(request)s %(message)s'}
handlers:
  file:
    class: HANDLER
    formatter: precise
    filename: logs/server.log
root: {level: INFO, handlers: [file]}
"""

OPERATORS_CONFIG = """
version: 1
filters:
  context:
    (): synapse.logging.context.LoggingContextFilter
    request: ""
formatters:
  precise: {format: '%(request)s|%(message)s'}
handlers:
  file:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: precise
    filters: [context]
    filename: homeserver.log
    when: midnight
  buffer:
    class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler
    target: file
    capacity: 10
    flushLevel: 30
    period: 5
root: {level: INFO, handlers: [buffer]}
disable_existing_loggers: false
"""

logger = logging.getLogger("synapse_lite.test")


class SetupTestCase(LoggingTestCase):
    """Where lines go."""

    def setup_from(self, text: str) -> None:
        setup_logging(self.write("log.yaml", text), "reader1", beginner=self.beginner)

    def test_from_a_file(self) -> None:
        self.setup_from(CONFIG.replace("HANDLER", "logging.FileHandler"))
        with context.bind(request_id="GET-1"):
            logger.info("Hello %s", "you")
        logger.debug("Not this")
        self.assertEqual(self.read("logs/server.log"), "reader1 INFO GET-1 Hello you\n")

    def test_loggers_made_before_go_on(self) -> None:
        self.setup_from(CONFIG.replace("HANDLER", "logging.FileHandler"))
        self.assertFalse(logger.disabled)

    def test_a_configuration_that_operators_bring_along(self) -> None:
        self.setup_from(OPERATORS_CONFIG)
        with context.bind(request_id="GET-1"):
            logger.info("Hello")
        self.assertEqual(self.read("homeserver.log"), "GET-1|Hello\n")
        self.assertEqual(reopen_log_files(), 1)

    def test_the_generated_configuration(self) -> None:
        self.setup_from(generate_log_config("logs/hs.log"))
        with context.bind(request_id="GET-1"):
            logger.info("Hello")
        line = self.read("logs/hs.log")
        self.assertIn(" - reader1 - synapse_lite.test - ", line)
        self.assertTrue(line.endswith(" - INFO - GET-1 - Hello\n"), line)

    def test_default_file(self) -> None:
        path = os.path.join(self.folder, "logs", "w.log")
        setup_logging(None, "reader1", log_file=path, beginner=self.beginner)
        with context.bind(request_id="GET-1"):
            logger.warning("Hello")
        line = self.read("logs/w.log")
        self.assertIn(" - reader1 - synapse_lite.test - ", line)
        self.assertIn(" - WARNING - GET-1 - Hello\n", line)

    def test_twisteds_lines_come_along(self) -> None:
        self.setup_from(CONFIG.replace("HANDLER", "logging.FileHandler"))
        Logger(namespace="x", observer=self.publisher).error("From {whom}", whom="Twisted")
        self.assertIn("ERROR - From Twisted", self.read("logs/server.log"))

    def check_twisteds_lines(self) -> None:
        log = Logger(namespace="x", observer=self.publisher)
        log.info("Starting factory")
        log.warn("Be warned")
        lines = self.read("logs/w.log")
        self.assertIn("Be warned", lines)
        self.assertNotIn("Starting factory", lines)

    def test_of_twisteds_lines_only_warnings_by_default(self) -> None:
        path = os.path.join(self.folder, "logs", "w.log")
        setup_logging(None, "reader1", log_file=path, beginner=self.beginner)
        self.check_twisteds_lines()

    def test_of_twisteds_lines_only_warnings_as_generated(self) -> None:
        self.setup_from(generate_log_config("logs/w.log"))
        self.check_twisteds_lines()

    def test_what_is_printed_comes_along_when_asked(self) -> None:
        path = self.write("log.yaml", CONFIG.replace("HANDLER", "logging.FileHandler"))
        before = self.stdio.stdout
        setup_logging(path, "reader1", redirect_standard_io=True, beginner=self.beginner)
        self.assertIsNot(self.stdio.stdout, before)
        self.stdio.stdout.write("printed\n")
        self.assertIn("INFO - printed", self.read("logs/server.log"))

    def test_bad_configurations_are_named(self) -> None:
        for text in (
            "- a",
            "a: [",
            "version: 2",
            "version: 1\nhandlers: {x: {class: no.such.Handler}}\nroot: {handlers: [x]}",
            "version: 1\nhandlers: 3",
        ):
            path = self.write("bad.yaml", text)
            with self.assertRaises(LoggingSetupError) as caught:
                setup_logging(path, "master", beginner=self.beginner)
            self.assertIn(path, str(caught.exception))

    def test_a_missing_file_is_named(self) -> None:
        path = os.path.join(self.folder, "none.yaml")
        with self.assertRaises(LoggingSetupError) as caught:
            setup_logging(path, "master", beginner=self.beginner)
        self.assertIn(path, str(caught.exception))

    def test_a_log_file_that_cannot_be_written(self) -> None:
        path = os.path.join(self.write("plain", ""), "x.log")
        with self.assertRaises(LoggingSetupError) as caught:
            setup_logging(None, "master", log_file=path, beginner=self.beginner)
        self.assertIn(path, str(caught.exception))


class ReopenTestCase(LoggingTestCase):
    """What SIGHUP does after the files were moved away."""

    def rotate(self, handler: str) -> None:
        path = self.write("log.yaml", CONFIG.replace("HANDLER", handler))
        setup_logging(path, "master", beginner=self.beginner)
        logger.info("Before")
        os.rename(self.folder + "/logs/server.log", self.folder + "/logs/server.log.1")
        self.assertEqual(reopen_log_files(), 1)
        logger.info("After")
        self.assertEqual(self.read("logs/server.log.1"), "master INFO - Before\n")
        self.assertEqual(self.read("logs/server.log"), "master INFO - After\n")

    def test_plain_files(self) -> None:
        self.rotate("logging.FileHandler")

    def test_rotating_files(self) -> None:
        self.rotate("logging.handlers.RotatingFileHandler")

    def test_watched_files(self) -> None:
        self.rotate("logging.handlers.WatchedFileHandler")

    def test_handlers_of_single_loggers(self) -> None:
        handler = logging.FileHandler(os.path.join(self.folder, "one.log"))
        single = logging.getLogger("synapse_lite.test.single")
        single.addHandler(handler)
        self.addCleanup(handler.close)
        self.addCleanup(single.removeHandler, handler)
        os.rename(self.folder + "/one.log", self.folder + "/one.log.1")
        self.assertEqual(reopen_log_files(), 1)
        self.assertTrue(os.path.exists(self.folder + "/one.log"))

    def test_a_file_that_cannot_be_opened_is_written_on(self) -> None:
        path = self.write("log.yaml", CONFIG.replace("HANDLER", "logging.FileHandler"))
        setup_logging(path, "master", beginner=self.beginner)
        os.rename(self.folder + "/logs", self.folder + "/moved")
        self.assertEqual(reopen_log_files(), 0)
        logger.info("Still here")
        lines = self.read("moved/server.log")
        self.assertIn("Cannot reopen log file", lines)
        self.assertIn("Still here", lines)
