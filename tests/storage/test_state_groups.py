"""State groups over real databases: every group reads as it was made, in few statements."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.storage._base import FollowerStore
from synapse_lite.storage._numbers import MissingNumberError, RecentTable
from synapse_lite.storage.database import DatabasePool
from synapse_lite.storage.schema.prepare import prepare_database
from synapse_lite.storage.state_groups import (
    NewStateGroup,
    StateGroupsStore,
    StateGroupsWorkerStore,
    UnknownStateGroupError,
)
from synapse_lite.storage.transaction import Transaction
from synapse_lite.types.state_map import StateKey, StateMap
from synapse_lite.util.caches.budget import MemoryBudget
from tests.harness.databases import DatabaseCase, FileDatabase, MemoryDatabase, PostgresDatabase

Delta = dict[StateKey, "str | None"]

ROOM = "!room:test"
_EVENT_COLUMNS = (
    "nid, event_id, stream_ordering, room_id, room_version, type, sender, depth, origin_server_ts,"
    " received_ts, contains_url, outlier, soft_failed, in_timeline, out_of_band, json"
)


class FollowingStateGroupsStore(StateGroupsWorkerStore, FollowerStore):
    """State groups as a worker reads them."""


def server(case: DatabaseCase) -> Any:
    """As much of a Homeserver as stores ask for."""
    caches = SimpleNamespace(total_size=64 * 1024 * 1024, global_factor=1.0)
    return SimpleNamespace(
        name="test", clock=case.clock, config=SimpleNamespace(caches=caches), reactor=case.reactor
    )


def insert_events_txn(txn: Transaction, numbers: Mapping[str, int]) -> None:
    """Rows of events of which only the numbers matter."""
    txn.insert_many(
        "events",
        _EVENT_COLUMNS.split(", "),
        [
            (
                *(number, event_id, number, ROOM, "12", "x", "@a:test", 1, 1, 1),
                *(False, False, False, True, False, "{}"),
            )
            for event_id, number in numbers.items()
        ],
    )


class Rooms:
    """Makes groups in a database, and keeps a plain model of their states."""

    def __init__(self, case: DatabaseCase, db: DatabasePool) -> None:
        self.store = StateGroupsStore(server(case), db)
        self.model: dict[int, dict[StateKey, str]] = {}
        self.numbers: dict[str, int] = {}
        self.db = db

    async def add(self, *changes: tuple[int | None, Delta]) -> list[int]:
        """Store groups in one transaction; a parent of -1, -2, … is one of the same call."""
        ids = self.store.reserve_state_groups(len(changes))
        new = []
        fresh: dict[str, int] = {}
        for index, (id, (parent, delta)) in enumerate(zip(ids, changes, strict=True)):
            if parent is not None and parent < 0:
                parent = ids[index + parent]
            new.append(NewStateGroup(id, ROOM, parent, delta))
            state = {**(self.model[parent] if parent else {}), **delta}
            self.model[id] = {key: event for key, event in state.items() if event is not None}
            for event_id in delta.values():
                if event_id is not None and event_id not in self.numbers:
                    self.numbers[event_id] = fresh[event_id] = len(self.numbers) + 1
        await self.db.run("add", self._add_txn, new, fresh)
        return ids

    def _add_txn(
        self, txn: Transaction, new: list[NewStateGroup], fresh: Mapping[str, int]
    ) -> None:
        insert_events_txn(txn, fresh)
        self.store._insert_state_groups_txn(txn, new, fresh)


async def rooms_on(case: DatabaseCase, db: DatabasePool | None = None) -> Rooms:
    """A store on a prepared database."""
    if db is None:
        db = case.db
        await prepare_database(db)
    rooms = Rooms(case, db)
    await rooms.store.load_state_groups()
    return rooms


def reader(case: DatabaseCase) -> FollowingStateGroupsStore:
    """A worker with cold caches on the same database."""
    return FollowingStateGroupsStore(server(case), case.db.sharing())


class _EveryDatabase(DatabaseCase):
    """What must hold on every engine."""

    async def test_random_trees_read_as_made(self) -> None:
        rooms = await rooms_on(self)
        choose = random.Random(5)
        groups: list[int | None] = [None]
        for step in range(150):
            parent = choose.choice(groups[-3:])
            delta: Delta = {
                ("t", str(choose.randrange(20))): choose.choice((f"$e{step}", "$e0", None))
                for _ in range(choose.randrange(1, 4))
            }
            groups.extend(await rooms.add((parent, delta), (-1, {("t", "x"): f"$x{step}"})))
        worker = reader(self)
        order = list(rooms.model)
        choose.shuffle(order)
        for group in order[:50]:
            self.assertEqual(await worker.get_state_ids_for_group(group), rooms.model[group])
        found = await reader(self).get_state_ids_for_groups(order)
        self.assertEqual(found, rooms.model)
        keys = [("t", "1"), ("t", "x"), ("t", "nothing"), ("nothing", "")]
        filtered = await reader(self).get_filtered_state_ids_for_groups(order, keys)
        for group, state in rooms.model.items():
            self.assertEqual(filtered[group], {key: state[key] for key in keys if key in state})

    async def test_keys_of_any_text(self) -> None:
        rooms = await rooms_on(self)
        delta: Delta = {("ü'\"%?", "%s \\"): "$a", ("m.room.member", "@ä:☃"): "$b"}
        (group,) = await rooms.add((None, delta))
        self.assertEqual(await reader(self).get_state_ids_for_group(group), delta)
        found = await reader(self).get_filtered_state_ids(group, [("ü'\"%?", "%s \\")])
        self.assertEqual(found, {("ü'\"%?", "%s \\"): "$a"})

    async def test_unknown_group(self) -> None:
        rooms = await rooms_on(self)
        worker = reader(self)
        with self.assertRaises(UnknownStateGroupError):
            await worker.get_state_ids_for_group(77)
        with self.assertRaises(UnknownStateGroupError):
            await worker.get_filtered_state_ids(77, [("a", "")])
        rooms.model[77] = {}
        with self.assertRaises(UnknownStateGroupError):
            await rooms.add((77, {("a", ""): "$a"}))

    async def test_a_restarted_master_goes_on_counting(self) -> None:
        rooms = await rooms_on(self)
        (first,) = await rooms.add((None, {("a", ""): "$a"}))
        again = await rooms_on(self, self.db.sharing())
        again.model, again.numbers = rooms.model, rooms.numbers
        self.assertEqual(again.store.reserve_state_groups(2), [first + 1, first + 2])
        (group,) = await again.add((first, {("a", ""): "$b", ("b", ""): "$c"}))
        self.assertEqual(await reader(self).get_state_ids_for_group(group), again.model[group])
        keys = await self.db.read("keys", lambda txn: txn.select("state_keys", ("type",)))
        self.assertEqual(sorted(keys), [("a",), ("b",)])

    async def test_a_failed_transaction_leaves_nothing_behind(self) -> None:
        rooms = await rooms_on(self)
        (first,) = await rooms.add((None, {("a", ""): "$a"}))

        def fail(txn: Transaction) -> None:
            new = NewStateGroup(first + 1, ROOM, first, {("lost", ""): "$a"})
            rooms.store._insert_state_groups_txn(txn, [new], rooms.numbers)
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.db.run("fail", fail)
        rooms.store.reserve_state_groups(1)
        (group,) = await rooms.add((first, {("lost", ""): "$l"}))
        self.assertEqual(await reader(self).get_state_ids_for_group(group), rooms.model[group])
        with self.assertRaises(UnknownStateGroupError):
            await reader(self).get_state_ids_for_group(first + 1)

    async def test_an_event_that_is_not_stored_is_refused(self) -> None:
        rooms = await rooms_on(self)
        new = NewStateGroup(1, ROOM, None, {("a", ""): "$nowhere"})
        with self.assertRaises(MissingNumberError):
            await self.db.run("add", rooms.store._insert_state_groups_txn, [new], {})


class StateGroupsInMemoryTests(_EveryDatabase, MemoryDatabase):
    pass


class StateGroupsInFileTests(_EveryDatabase, FileDatabase):
    pass


class StateGroupsPostgresTests(_EveryDatabase, PostgresDatabase):
    pass


_KEYS = st.tuples(st.just("t"), st.sampled_from("abcdefg"))
_DELTAS = st.dictionaries(_KEYS, st.sampled_from(["$1", "$2", "$3", None]), max_size=4)
_STEPS = st.lists(st.tuples(st.integers(0, 5), _DELTAS, st.booleans()), min_size=1, max_size=25)


class StateGroupsTests(MemoryDatabase):
    def setUp(self) -> None:
        super().setUp()
        self.rooms = self.await_now(rooms_on(self))

    def add(self, *changes: tuple[int | None, Delta]) -> list[int]:
        groups: list[int] = self.result(self.rooms.add(*changes))
        return groups

    def result(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self.successResultOf(Deferred.fromCoroutine(wait()))

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(_STEPS)
    def test_any_tree_reads_as_made_with_any_caches(
        self, steps: list[tuple[int, Delta, bool]]
    ) -> None:
        groups: list[int | None] = [None]
        warm = reader(self)
        for back, delta, is_read in steps:
            groups += self.add((groups[-1 - back % len(groups)], delta))
            if is_read:
                # Some states in memory, and some not, for later ones to be built upon.
                state = self.result(warm.get_state_ids_for_group(groups[-1]))
                self.assertEqual(state, self.rooms.model[groups[-1]])
        wanted = groups[1:]
        for store in (warm, reader(self), self.rooms.store):
            found = self.result(store.get_state_ids_for_groups(wanted))
            self.assertEqual(found, {group: self.rooms.model[group] for group in wanted})

    def make_chain(self, length: int) -> list[int]:
        first = self.add((None, {("m.room.create", ""): "$create"}))
        changes: list[tuple[int | None, Delta]] = [(first[0], {("m", "@u0:test"): "$u0"})]
        changes += [(-1, {("m", f"@u{n}:test"): f"$u{n}"}) for n in range(1, length)]
        return first + self.add(*changes)

    def test_a_path_is_logarithmic_and_read_in_one_statement(self) -> None:
        groups = self.make_chain(1023)
        worker = reader(self)
        with worker.db.recording() as statements:
            state = self.result(worker.get_state_ids_for_group(groups[-1]))
        self.assertEqual(len(state), 1024)
        # The row, the rows that it builds upon, the keys, the events.
        self.assertEqual(len(statements), 4)
        self.assertEqual(worker.db.counts.transactions, 1)
        rows = self.result(worker.db.read("rows", _path_lengths_txn))
        self.assertEqual(max(rows.values()), 11)  # generation 1023 has ten bits
        self.assertEqual(rows[groups[1023]], 11)
        self.assertEqual(rows[groups[512]], 2)

    def test_a_state_is_built_upon_the_one_before_it(self) -> None:
        groups = self.make_chain(64)
        worker = reader(self)
        self.result(worker.get_state_ids_for_group(groups[63]))
        with worker.db.recording() as statements:
            state = self.result(worker.get_state_ids_for_group(groups[64]))
        self.assertEqual(state, self.rooms.model[groups[64]])
        self.assertFalse([sql for sql in statements if "RECURSIVE" in sql])
        before = self.result(worker.get_state_ids_for_group(groups[63]))
        # Although the row of generation 64 repeats every change of the room.
        self.assertIs(state._base, before._base)

    def test_what_is_in_memory_costs_no_query(self) -> None:
        (group,) = self.add((None, {("a", ""): "$a", ("b", ""): "$b"}))
        store = self.rooms.store
        store.prefill_state_group(group, StateMap(self.rooms.model[group]))
        whole = {("a", ""): "$a", ("b", ""): "$b"}
        counted = store.db.counts.transactions
        self.assertEqual(self.result(store.get_state_ids_for_group(group)), whole)
        self.assertEqual(
            self.result(store.get_filtered_state_ids(group, [("a", "")])), {("a", ""): "$a"}
        )
        self.assertEqual(store.db.counts.transactions, counted)

    def test_a_filtered_read_looks_up_no_other_event(self) -> None:
        groups = self.make_chain(100)
        worker = reader(self)
        keys = [("m", "@u7:test"), ("m.room.create", "")]
        found = self.result(worker.get_filtered_state_ids(groups[-1], keys))
        self.assertEqual(found, {keys[0]: "$u7", keys[1]: "$create"})
        self.assertEqual(len(worker._numbers._event_id_of), 2)
        self.assertEqual(worker.db.counts.transactions, 1)

    def test_a_write_with_warm_caches_is_one_statement(self) -> None:
        first, *_ = self.add((None, {("a", ""): "$a", ("b", ""): "$b"}))
        second = self.add((first, {("a", ""): "$a2"}))[0]
        new = [
            NewStateGroup(90, ROOM, second, {("b", ""): "$a"}),
            NewStateGroup(91, ROOM, 90, {("a", ""): "$b"}),
        ]
        store = self.rooms.store
        with store.db.recording() as statements:
            self.result(
                store.db.run("add", store._insert_state_groups_txn, new, self.rooms.numbers)
            )
        self.assertEqual(len(statements), 1, statements)

    def test_a_fork_from_an_old_group_is_one_more_statement(self) -> None:
        groups = self.make_chain(20)
        store = self.rooms.store
        new = [NewStateGroup(90, ROOM, groups[7], {("m", "@u1:test"): "$create"})]
        with store.db.recording() as statements:
            self.result(
                store.db.run("add", store._insert_state_groups_txn, new, self.rooms.numbers)
            )
        self.assertEqual(len(statements), 2, statements)
        state = self.result(reader(self).get_state_ids_for_group(90))
        expected = {**self.rooms.model[groups[7]], ("m", "@u1:test"): "$create"}
        self.assertEqual(state, expected)

    def test_events_that_are_stored_already_get_their_numbers(self) -> None:
        (first,) = self.add((None, {("a", ""): "$a", ("b", ""): "$b"}))
        store = self.rooms.store
        new = [NewStateGroup(90, ROOM, first, {("b", ""): "$a"})]
        self.result(store.db.run("add", store._insert_state_groups_txn, new, {}))
        state = self.result(reader(self).get_state_ids_for_group(90))
        self.assertEqual(state, {("a", ""): "$a", ("b", ""): "$a"})

    def test_a_change_costs_tens_of_bytes(self) -> None:
        self.make_chain(2_000)
        rows = self.result(
            self.rooms.db.read(
                "size",
                lambda txn: txn.query(
                    "SELECT SUM(LENGTH(delta)), COUNT(room_id) FROM state_groups"
                ),
            )
        )
        size, with_room = rows[0]
        self.assertLess(size / 2_000, 30)
        self.assertEqual(with_room, 1)

    def test_chain_ends_are_bounded(self) -> None:
        ends = self.rooms.store._chain_ends
        for _ in range(5_100):
            self.add((None, {("a", ""): "$a"}))
        self.assertEqual(len(ends._rows), 5_000)
        self.assertEqual(ends._bytes, sum(row.path_bytes for row in ends._rows.values()))


def _path_lengths_txn(txn: Transaction) -> dict[int, int]:
    """How many rows make up each group."""
    base = dict(txn.query("SELECT id, base_group FROM state_groups ORDER BY id"))
    lengths: dict[int, int] = {}
    for group, base_group in base.items():
        lengths[group] = 1 + (0 if base_group is None else lengths[base_group])
    return lengths


class RecentTableTests(SynchronousTestCase):
    def test_keeps_what_is_asked_for_and_stays_bounded(self) -> None:
        table: RecentTable[int, int] = RecentTable("t", 20, 100)
        for n in range(1, 1_000):
            table.put_many({n: -n})
            self.assertEqual(table.get(1), -1)
            found, missing = table.get_many([2, n, 5_000])
            self.assertEqual(found.get(n), -n)
            self.assertEqual(found[2] if n > 1 else -2, -2)
            self.assertEqual(set(missing), {5_000} if n > 1 else {2, 5_000})
            self.assertLessEqual(len(table), 20)
        self.assertIsNone(table.get(500))

    def test_a_large_batch_is_cut(self) -> None:
        table: RecentTable[int, int] = RecentTable("t", 20, 100)
        table.put_many({n: n for n in range(1, 1_000)})
        self.assertEqual(len(table), 10)

    def test_what_was_not_asked_for_goes_when_memory_is_short(self) -> None:
        budget = MemoryBudget(100_000)
        table: RecentTable[int, int] = RecentTable("t", 1_000, 100, budget)
        table.put_many({n: n for n in range(1, 11)})
        self.assertEqual((budget.used, table.oldest_use()), (1_000, 0))
        budget.limit = 2_000
        for n in range(11, 100):
            table.put_many({n: n})
            self.assertEqual(table.get(n - 1), n - 1)
            self.assertLessEqual(budget.used, budget.limit)
            self.assertEqual(budget.used, table.size_bytes)
        self.assertIsNone(table.get(5))
        while table.oldest_use() is not None:
            table.evict_oldest()
        self.assertEqual((len(table), budget.used), (0, 0))
