"""Caches bounded by age."""

from __future__ import annotations

from twisted.internet.task import Clock as FakeReactor
from twisted.trial.unittest import TestCase

from synapse_lite.util.caches.budget import MemoryBudget
from synapse_lite.util.caches.expiring import _ENTRY_BYTES, ExpiringCache
from synapse_lite.util.caches.missing import MISSING
from synapse_lite.util.clock import Clock


class ExpiringCacheTestCase(TestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.clock = Clock(self.reactor)
        self.cache: ExpiringCache[str, int] = ExpiringCache(self.clock, "c", 10_000, 3)

    def test_lives_for_its_time(self) -> None:
        self.cache.set("a", 1)
        self.reactor.advance(9.9)
        self.assertEqual(self.cache.get("a"), 1)
        self.assertIn("a", self.cache)
        self.reactor.advance(0.1)
        self.assertIs(self.cache.get("a"), MISSING)
        self.assertNotIn("a", self.cache)
        self.assertEqual((self.cache.hits, self.cache.misses), (1, 1))

    def test_setting_again_begins_anew(self) -> None:
        self.cache.set("a", 1)
        self.cache.set("b", 1)
        self.reactor.advance(6)
        self.cache.set("a", 2)
        self.reactor.advance(6)
        self.assertEqual(self.cache.get("a"), 2)
        self.assertIs(self.cache.get("b"), MISSING)

    def test_refresh_on_use(self) -> None:
        cache: ExpiringCache[str, int] = ExpiringCache(
            self.clock, "c", 10_000, 3, refresh_on_use=True
        )
        cache.set("a", 1)
        cache.set("b", 1)
        for _ in range(5):
            self.reactor.advance(6)
            self.assertEqual(cache.get("a"), 1)
        self.assertEqual(len(cache), 1)

    def test_number_is_bounded(self) -> None:
        for key in "abcd":
            self.cache.set(key, 1)
        self.assertEqual(len(self.cache), 3)
        self.assertIs(self.cache.get("a"), MISSING)
        self.assertEqual(self.cache.evictions, 1)

    def test_the_budget_bounds_it_as_well(self) -> None:
        budget = MemoryBudget(3 * _ENTRY_BYTES)
        cache: ExpiringCache[str, int] = ExpiringCache(
            self.clock, "c", 10_000, 100, refresh_on_use=True, budget=budget
        )
        for key in "abc":
            cache.set(key, 1)
        cache.get("a")
        cache.set("c", 2)
        self.assertEqual((cache.oldest_use(), budget.used), (1, budget.limit))
        cache.set("d", 1)
        self.assertEqual((len(cache), cache.evictions), (2, 2), "one below the limit, by 1/32")
        self.assertEqual(cache.get("c"), 2)
        cache.pop("c")
        self.reactor.advance(10)
        self.assertEqual((len(cache), cache.oldest_use(), budget.used), (0, None, 0))
        cache.set("e", 1)
        cache.clear()
        self.assertEqual(budget.used, 0)

    def test_pop_and_clear(self) -> None:
        self.cache.set("a", 1)
        self.assertEqual(self.cache.pop("a"), 1)
        self.assertIs(self.cache.pop("a"), MISSING)
        self.cache.set("b", 1)
        self.reactor.advance(10)
        self.assertIs(self.cache.pop("b"), MISSING)
        self.cache.set("c", 1)
        self.cache.clear()
        self.assertEqual(len(self.cache), 0)
