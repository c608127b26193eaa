"""Caches bounded by entries, bytes, and a budget shared with others."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.util.caches.budget import MemoryBudget
from synapse_lite.util.caches.lru import LruCache
from synapse_lite.util.caches.missing import MISSING
from synapse_lite.util.caches.sizes import ENTRY_BYTES, estimated_size


class LruCacheTestCase(TestCase):
    def test_get_set_pop(self) -> None:
        cache: LruCache[str, int | None] = LruCache("c", max_entries=10)
        self.assertIs(cache.get("a"), MISSING)
        cache.set("a", None)
        self.assertIsNone(cache.get("a"))
        self.assertIn("a", cache)
        cache.set("a", 2)
        self.assertEqual(len(cache), 1)
        self.assertEqual(cache.pop("a"), 2)
        self.assertIs(cache.pop("a"), MISSING)
        self.assertEqual((cache.hits, cache.misses, cache.evictions), (1, 1, 0))

    def test_evicts_what_was_not_used(self) -> None:
        cache: LruCache[str, int] = LruCache("c", max_entries=3)
        for key in "abc":
            cache.set(key, 1)
        cache.get("a")
        cache.peek("b")
        cache.set("d", 1)
        self.assertEqual(sorted(cache), ["a", "c", "d"])
        cache.get("a")
        cache.set("e", 1)
        self.assertEqual(sorted(cache), ["a", "d", "e"])
        self.assertEqual(cache.evictions, 2)

    def test_what_is_set_again_is_new(self) -> None:
        cache: LruCache[str, int] = LruCache("c", max_entries=2)
        cache.set("a", 1)
        cache.set("b", 1)
        cache.set("a", 2)
        cache.set("c", 1)
        self.assertEqual(sorted(cache), ["a", "c"])

    def test_used_entries_do_not_stay_for_ever(self) -> None:
        cache: LruCache[int, int] = LruCache("c", max_entries=5)
        for key in range(5):
            cache.set(key, 1)
            cache.get(key)
        for key in range(5, 15):
            cache.set(key, 1)
        self.assertEqual(sorted(cache), [10, 11, 12, 13, 14])

    def test_bytes(self) -> None:
        cache: LruCache[str, bytes] = LruCache("c", max_bytes=3 * (ENTRY_BYTES + 100), size_of=len)
        for key in "abc":
            cache.set(key, bytes(100))
        self.assertEqual(cache.size_bytes, 3 * (ENTRY_BYTES + 100))
        cache.set("b", bytes(101))
        self.assertEqual(sorted(cache), ["b", "c"])
        cache.set("b", bytes(1))
        self.assertEqual(cache.size_bytes, 2 * ENTRY_BYTES + 101)
        cache.set("huge", bytes(10_000))
        self.assertEqual((len(cache), cache.size_bytes), (0, 0))

    def test_clear_and_on_drop(self) -> None:
        dropped: list[str] = []
        cache: LruCache[str, int] = LruCache("c", max_entries=2, on_drop=dropped.append)
        for key in "abc":
            cache.set(key, 1)
        cache.pop("b")
        cache.clear()
        self.assertEqual(dropped, ["a", "b", "c"])
        self.assertEqual((len(cache), cache.size_bytes), (0, 0))

    def test_a_bound_is_required(self) -> None:
        with self.assertRaises(ValueError):
            LruCache("c")


class BudgetTestCase(TestCase):
    def test_evicts_across_caches_what_was_used_least_recently(self) -> None:
        budget = MemoryBudget(10 * ENTRY_BYTES)
        first: LruCache[int, int] = LruCache("f", budget=budget, size_of=lambda _: 0)
        second: LruCache[int, int] = LruCache("s", budget=budget, size_of=lambda _: 0)
        for key in range(5):
            first.set(key, 1)
        for key in range(5):
            second.set(key, 1)
        first.get(0)
        second.set(5, 1)
        self.assertEqual(sorted(first), [0, 3, 4], "one below the limit, by 1/32")
        self.assertEqual(len(second), 6)
        for key in range(6, 20):
            second.set(key, 1)
        self.assertEqual(len(first), 0)
        self.assertLessEqual(budget.used, budget.limit)
        self.assertEqual(budget.used, first.size_bytes + second.size_bytes)

    def test_leaving_gives_the_bytes_back(self) -> None:
        budget = MemoryBudget(100_000)
        cache: LruCache[int, str] = LruCache("c", budget=budget)
        for key in range(10):
            cache.set(key, "x" * key)
        cache.pop(3)
        cache.set(4, "")
        cache.clear()
        self.assertEqual(budget.used, 0)

    def test_containers_weigh_by_their_items(self) -> None:
        for make in (list, tuple, set, frozenset):
            self.assertGreater(estimated_size(make(range(1000))), 64_000)
        self.assertGreater(estimated_size(b"x" * 5000), 5000)
        self.assertLess(estimated_size(None), 100)
