"""Work in the threads of the reactor."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.background import start
from synapse_lite.util.threads import Threads


class ThreadsTests(TestCase):
    def setUp(self) -> None:
        self.threads = Threads(SimpleNamespace(reactor=reactor))

    async def test_runs_elsewhere_and_answers_here(self) -> None:
        here = threading.get_ident()
        self.assertNotEqual(await self.threads.run(threading.get_ident), here)
        self.assertEqual(threading.get_ident(), here)

    async def test_failures_come_back(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            await self.threads.run(lambda: 1 // 0)

    def test_result(self) -> object:
        done = start(self.threads.run(lambda: 7))
        return done.addCallback(self.assertEqual, 7)
