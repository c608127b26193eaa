"""Change caches: compared with a plain log."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.util.caches.budget import MemoryBudget
from synapse_lite.util.caches.changes import _ENTITY_BYTES, StreamChangeCache

ENTITIES = "abcdefgh"
changes = st.lists(st.tuples(st.sampled_from(ENTITIES), st.integers(1, 40)), max_size=60)


class StreamChangeCacheTestCase(TestCase):
    @settings(deadline=None)
    @given(changes, st.integers(1, 12), st.integers(0, 10), st.booleans())
    def test_against_a_plain_log(
        self, log: list[tuple[str, int]], size: int, earliest: int, rising: bool
    ) -> None:
        if rising:
            log = sorted(log, key=lambda change: change[1])
        cache: StreamChangeCache = StreamChangeCache("c", earliest, size)
        for entity, position in log:
            cache.entity_changed(entity, position)
            self.assertLessEqual(len(cache), size)
        for position in range(45):
            changed = {entity for entity, at in log if at > position}
            if position >= cache.earliest_known:
                self._check_exact(cache, position, changed)
            else:
                self._check_unknown(cache, position)
        for entity in ENTITIES:
            last = max((at for changed, at in log if changed == entity), default=0)
            found = cache.latest_change_of(entity)
            if found is None:
                self.assertLessEqual(last, cache.earliest_known)
            else:
                self.assertEqual(found, last)

    def _check_exact(self, cache: StreamChangeCache, position: int, changed: set[str]) -> None:
        self.assertEqual({e for e in ENTITIES if cache.has_changed(e, position)}, changed)
        self.assertEqual(cache.changed_among("abcz", position), changed & set("abcz"))
        since = cache.all_changed_since(position)
        assert since is not None
        self.assertEqual(len(since), len(changed))
        self.assertEqual(set(since), changed)
        last = [cache.latest_change_of(entity) or 0 for entity in since]
        self.assertEqual(last, sorted(last))
        self.assertEqual(cache.any_changed(position), bool(changed))

    def _check_unknown(self, cache: StreamChangeCache, position: int) -> None:
        self.assertTrue(cache.has_changed("never", position))
        self.assertEqual(cache.changed_among(["a", "never"], position), {"a", "never"})
        self.assertIsNone(cache.all_changed_since(position))
        self.assertTrue(cache.any_changed(position))

    def test_size_that_suffices_loses_nothing(self) -> None:
        cache: StreamChangeCache = StreamChangeCache("c", 0, len(ENTITIES))
        for position in range(1, 100):
            cache.entity_changed(ENTITIES[position % 8], position)
        self.assertEqual(cache.earliest_known, 0)
        self.assertEqual(cache.all_changed_since(96), ["b", "c", "d"])

    def test_several_entities_at_one_position(self) -> None:
        cache: StreamChangeCache = StreamChangeCache("c", 0, 10)
        for entity in "abc":
            cache.entity_changed(entity, 5)
        cache.entity_changed("b", 6)
        self.assertEqual(cache.changed_among("abc", 4), set("abc"))
        self.assertEqual(cache.changed_among("abc", 5), {"b"})

    def test_eviction_drops_the_oldest(self) -> None:
        cache: StreamChangeCache = StreamChangeCache("c", 0, 2)
        for position, entity in enumerate("abc", 1):
            cache.entity_changed(entity, position)
        self.assertEqual(cache.earliest_known, 1)
        self.assertIsNone(cache.latest_change_of("a"))
        self.assertFalse(cache.has_changed("a", 1))
        self.assertTrue(cache.has_changed("a", 0))
        self.assertEqual(cache.evictions, 1)

    @settings(deadline=None)
    @given(changes, st.integers(1, 12))
    def test_the_budget_bounds_it_as_well(self, log: list[tuple[str, int]], size: int) -> None:
        budget = MemoryBudget(size * _ENTITY_BYTES)
        cache: StreamChangeCache = StreamChangeCache("c", 0, 1000, budget)
        for entity, position in log:
            cache.entity_changed(entity, position)
            self.assertEqual(budget.used, len(cache) * _ENTITY_BYTES)
            self.assertLessEqual(budget.used, budget.limit)
        for position in range(45):
            changed = {entity for entity, at in log if at > position}
            if position >= cache.earliest_known:
                self._check_exact(cache, position, changed)
            else:
                self._check_unknown(cache, position)
        while cache.oldest_use() is not None:
            cache.evict_oldest()
        self.assertEqual((budget.used, cache._ticks), (0, {}))

    def test_what_changed_long_ago_goes_first(self) -> None:
        budget = MemoryBudget(100_000)
        cache: StreamChangeCache = StreamChangeCache("c", 0, 10, budget)
        for position, entity in enumerate("abca", 1):
            cache.entity_changed(entity, position)
        self.assertEqual(cache.oldest_use(), 1)
        cache.evict_oldest()
        self.assertEqual((cache.earliest_known, cache.oldest_use()), (2, 2))
        cache.reset(10)
        self.assertEqual((budget.used, cache.oldest_use()), (0, None))

    def test_reset(self) -> None:
        cache: StreamChangeCache = StreamChangeCache("c", 0, 10)
        cache.entity_changed("a", 5)
        cache.reset(20)
        self.assertTrue(cache.has_changed("b", 19))
        self.assertFalse(cache.has_changed("a", 20))
        self.assertEqual(len(cache), 0)
        cache.entity_changed("a", 21)
        self.assertTrue(cache.has_changed("a", 20))
