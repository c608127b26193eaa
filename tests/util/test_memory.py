"""What is done with memory once a process is up."""

from __future__ import annotations

import gc

from twisted.trial.unittest import TestCase

from synapse_lite.util.memory import settle_memory


class SettleMemoryTests(TestCase):
    """Undone at the end, as this process goes on with other tests."""

    def setUp(self) -> None:
        self.addCleanup(gc.unfreeze)

    def test_what_is_there_is_looked_at_no_more(self) -> None:
        """And garbage is still found, with what comes later."""
        ring: list[object] = []
        ring.append(ring)
        del ring
        settle_memory()
        self.assertGreater(gc.get_freeze_count(), 10_000)
        later: list[object] = []
        later.append(later)
        del later
        self.assertGreaterEqual(gc.collect(), 1)
