"""Auth differences come out the same, whatever part of the common state had to be looked at."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.events.resolution import EventLoader
from synapse_lite.state.loader import StoreEventLoader

Edges = dict[str, set[str]]


class GraphStore:
    """Auth events by id; notes how many events it was asked for."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.asked = 0

    async def get_state_auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        self.asked += len(event_ids)
        found: set[str] = set()
        pending = list(event_ids)
        while pending:
            fresh = self.edges.get(pending.pop(), set()) - found
            found |= fresh
            pending.extend(fresh)
        return found


class PlainLoader(EventLoader):
    """The definition: whole chains of whole states."""

    def __init__(self, store: GraphStore) -> None:
        self.store = store

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        return await self.store.get_state_auth_chain_ids(event_ids)


def random_graph(count: int, seed: int) -> Edges:
    """Each event has a few earlier ones as auth events."""
    choose = random.Random(seed)
    return {
        f"${n}": {f"${choose.randrange(n)}" for _ in range(choose.randrange(4))} if n else set()
        for n in range(count)
    }


class AuthDifferenceTests(SynchronousTestCase):
    def difference(self, loader: Any, sets: Sequence[Collection[str]]) -> set[str]:
        found: set[str] = self.successResultOf(Deferred.fromCoroutine(loader.auth_difference(sets)))
        return found

    @settings(deadline=None)
    @given(
        st.integers(0, 2**32),
        st.lists(st.sets(st.integers(0, 59)), min_size=1, max_size=4),
        st.sets(st.integers(0, 59)),
    )
    def test_equals_the_definition_but_for_what_is_in_conflict(
        self, seed: int, sets: list[set[int]], common: set[int]
    ) -> None:
        store: Any = GraphStore(random_graph(60, seed))
        states = [{f"${n}" for n in one | common} for one in sets]
        differing = set().union(*states) - states[0].intersection(*states)
        self.assertEqual(
            self.difference(StoreEventLoader(store), states),
            self.difference(PlainLoader(store), states) | differing,
        )

    def large_room(self) -> tuple[Edges, set[str]]:
        """Create, power levels, and members who joined under them."""
        edges: Edges = {"$create": set(), "$levels": {"$create"}}
        members = {f"$join{n}" for n in range(5_000)}
        edges |= {member: {"$create", "$levels"} for member in members}
        return edges, members | {"$create", "$levels"}

    def test_one_more_member_looks_at_few_of_the_others(self) -> None:
        edges, common = self.large_room()
        edges["$new"] = {"$create", "$levels"}
        store: Any = GraphStore(edges)
        found = self.difference(StoreEventLoader(store), [common, common | {"$new"}])
        self.assertEqual(found, {"$new"})
        self.assertLessEqual(store.asked, 201)

    def test_what_nobody_else_cites_is_found(self) -> None:
        edges, common = self.large_room()
        edges["$ban"] = {"$create", "$levels", "$old_levels"}
        edges["$old_levels"] = {"$create"}
        store: Any = GraphStore(edges)
        found = self.difference(StoreEventLoader(store), [common, common | {"$ban"}])
        self.assertEqual(found, {"$ban", "$old_levels"})
