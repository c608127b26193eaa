"""The order of eviction; what several caches do together is tested with `LruCache`."""

from __future__ import annotations

from collections import OrderedDict

from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.util.caches.budget import first_to_go
from synapse_lite.util.caches.lru import Entry


class FirstToGoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.entries = OrderedDict((key, Entry(key, 1, tick)) for tick, key in enumerate("abc"))

    def test_unused_entries_go_in_the_order_of_arrival(self) -> None:
        self.assertIs(first_to_go(self.entries), self.entries["a"])
        self.assertEqual(list(self.entries), ["a", "b", "c"])

    def test_a_used_entry_gets_its_place_when_it_would_have_gone(self) -> None:
        self.entries["a"].used = 5
        self.entries["c"].used = 6
        self.assertIs(first_to_go(self.entries), self.entries["b"])
        self.assertEqual(list(self.entries), ["b", "c", "a"])
        self.assertEqual(self.entries["a"].placed, 5)
        del self.entries["b"]
        self.assertIs(first_to_go(self.entries), self.entries["a"])

    def test_nothing_to_go(self) -> None:
        self.entries.clear()
        self.assertIsNone(first_to_go(self.entries))
