"""What `slctl status` reads from the database."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.trial import unittest

from synapse_lite.app._run import Runner
from synapse_lite.app.slctl._heartbeats import in_words, read_heartbeats
from synapse_lite.app.table import MASTER
from synapse_lite.config import Config, config_from_dict
from synapse_lite.storage.heartbeats import ProcessHeartbeat


class HeartbeatsTestCase(unittest.TestCase):
    """The database of a master."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.makedirs(self.folder)

    def _config(self, **options: Any) -> Config:
        return config_from_dict({"server_name": "test", "listeners": [], **options}, self.folder)

    async def test_a_running_master(self) -> None:
        config = self._config()
        runner = Runner(MASTER, config, reactor)
        self.addCleanup(runner.stop)
        await runner.start()
        beats = read_heartbeats(config)
        self.assertEqual(
            [(name, beat.pid) for name, beat in beats.items()], [("master", os.getpid())]
        )
        await runner.stop()
        self.assertEqual(read_heartbeats(config), {})

    def test_no_database_is_made(self) -> None:
        self.assertEqual(read_heartbeats(self._config()), {})
        self.assertEqual(os.listdir(self.folder), [])

    def test_something_that_is_no_database(self) -> None:
        with open(os.path.join(self.folder, "homeserver.db"), "wb") as file:
            file.write(b"nonsense" * 1000)
        self.assertEqual(read_heartbeats(self._config()), {})

    def test_in_words(self) -> None:
        lag = {"events": {"rows": 0, "ms": 3}, "caches": {"rows": 2, "ms": 40}}
        beat = ProcessHeartbeat("w", "synchrotron", "h", 1, "1.0", 1_000, 0, (), lag)
        self.assertEqual(in_words(beat, 91_000), "version 1.0, up 90 s, 40 ms behind the master")
        self.assertIn("up 2 h", in_words(beat, 1_000 + 2 * 3600_000))
