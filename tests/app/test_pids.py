"""Pid files, and that strangers are left alone."""

from __future__ import annotations

import os
import pathlib

from twisted.trial import unittest

from synapse_lite.app._files import StartError
from synapse_lite.app._pids import (
    command_fits,
    is_process_of,
    read_pid,
    remove_pid_file,
    running_pid,
    write_pid_file,
)

APP = "synapse_lite.app.synchrotron"
COMMAND = ("python", "-m", APP, "-c", "homeserver.yaml", "--config=workers/s.yaml", "-D", "")
FILES = ("/srv/homeserver.yaml", "/srv/workers/s.yaml")


class CommandFitsTestCase(unittest.TestCase):
    """Which command lines are those of a process."""

    def test_same_files_seen_from_the_folder_of_the_process(self) -> None:
        self.assertTrue(command_fits(COMMAND, "/srv", APP, FILES))
        self.assertFalse(command_fits(COMMAND, "/other", APP, FILES))

    def test_more_files_than_expected_are_fine_fewer_are_not(self) -> None:
        self.assertTrue(command_fits(COMMAND, "/srv", APP, FILES[1:]))
        self.assertFalse(command_fits(COMMAND, "/srv", APP, (*FILES, "/srv/more.yaml")))

    def test_another_kind_of_process(self) -> None:
        self.assertFalse(command_fits(COMMAND, "/srv", "synapse_lite.app.homeserver", FILES))

    def test_a_stranger_that_only_reads_the_file(self) -> None:
        self.assertFalse(command_fits(("tail", "-f", *FILES), "/", APP, FILES))

    def test_started_by_its_file(self) -> None:
        command = ("python", "/lib/synapse_lite/app/synchrotron.py", "-c", *FILES)
        self.assertTrue(command_fits(command, "/", APP, FILES))


class PidFileTestCase(unittest.TestCase):
    """The file itself; this test process plays a stranger."""

    def setUp(self) -> None:
        self.path = self.mktemp()

    def _write(self, text: str) -> None:
        pathlib.Path(self.path).write_text(text)

    def test_written_read_and_removed(self) -> None:
        write_pid_file(self.path, APP, ())
        self.assertEqual(read_pid(self.path), os.getpid())
        remove_pid_file(self.path)
        self.assertFalse(os.path.exists(self.path))

    def test_the_file_of_another_process_is_not_removed(self) -> None:
        self._write("1\n")
        remove_pid_file(self.path)
        self.assertEqual(read_pid(self.path), 1)

    def test_nonsense_is_no_pid(self) -> None:
        for text in ("", "-5", "0", "abc", "12 13"):
            self._write(text)
            self.assertIsNone(read_pid(self.path), text)

    def test_a_stale_file_names_nobody_though_a_stranger_has_the_pid(self) -> None:
        self._write(str(os.getppid()))
        self.assertIsNone(running_pid(self.path, APP, ()))
        write_pid_file(self.path, APP, ())
        self.assertEqual(read_pid(self.path), os.getpid())

    def test_a_second_process_is_refused(self) -> None:
        parent = pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
        app = parent[0].decode()
        self._write(str(os.getppid()))
        error = self.assertRaises(StartError, write_pid_file, self.path, app, ())
        self.assertIn(str(os.getppid()), str(error))

    def test_a_pid_without_process(self) -> None:
        self.assertFalse(is_process_of(2**22 + 1, APP, ()))

    def test_a_folder_that_is_not_there(self) -> None:
        self.assertRaises(StartError, write_pid_file, "/nonexistent/x.pid", APP, ())
