"""Stored filters: one id for one definition, and a bound on how many."""

from __future__ import annotations

from typing import Any
from unittest import mock

from synapse_lite.api.errors import LimitExceededError, NotFoundError
from synapse_lite.storage import filters
from synapse_lite.storage.filters import FiltersStore
from tests.harness.databases import DatabaseCase, MemoryDatabase, PostgresDatabase
from tests.storage.stores import make_store

ALICE, BOB = "@alice:test", "@bob:test"


class EveryFilters(DatabaseCase):
    async def store(self) -> Any:
        return await make_store(self, FiltersStore)

    async def test_same_definition_same_id(self) -> None:
        store = await self.store()
        self.assertEqual(await store.add_user_filter(ALICE, {"a": 1, "b": 2}), 0)
        self.assertEqual(await store.add_user_filter(ALICE, {"b": 1}), 1)
        self.assertEqual(await store.add_user_filter(ALICE, {"b": 2, "a": 1}), 0)
        self.assertEqual(await store.add_user_filter(BOB, {"b": 1}), 0)
        self.assertEqual(await store.get_user_filter(ALICE, 1), {"b": 1})

    async def test_kept_without_asking_again(self) -> None:
        store = await self.store()
        with self.assertRaises(NotFoundError):
            await store.get_user_filter(ALICE, 0)
        await store.add_user_filter(ALICE, {"a": 1})
        self.assertEqual(await store.get_user_filter(ALICE, 0), {"a": 1})
        before = self.db.counts.transactions
        await store.get_user_filter(ALICE, 0)
        self.assertEqual(self.db.counts.transactions, before)

    async def test_bound(self) -> None:
        store = await self.store()
        with mock.patch.object(filters, "MAX_FILTERS_PER_USER", 2):
            for number in range(2):
                await store.add_user_filter(ALICE, {"n": number})
            with self.assertRaises(LimitExceededError):
                await store.add_user_filter(ALICE, {"n": 2})
            self.assertEqual(await store.add_user_filter(ALICE, {"n": 1}), 1)


class MemoryFiltersTests(EveryFilters, MemoryDatabase):
    pass


class PostgresFiltersTests(EveryFilters, PostgresDatabase):
    pass


del EveryFilters
