"""Tails of rooms: what they know, and what is left of it when memory is short."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synapse_lite.push._recent import Counter, Record, Tails
from synapse_lite.push.classes import DEFAULT_CLASS, UserRules
from synapse_lite.push.evaluator import EventView, Reader
from synapse_lite.storage.push_rules import UserPushRules
from synapse_lite.storage.unread import ReadPositions
from synapse_lite.types.unread import MAIN_THREAD
from synapse_lite.util.caches.budget import MemoryBudget
from synapse_lite.util.caches.lru import LruCache

ALICE = "@alice:test"
RULES = UserRules(ALICE, UserPushRules())


def record(ordering: int) -> Record:
    """An event that notifies."""
    return Record(ordering, f"${ordering}", ["@bob:test", MAIN_THREAD, True, [], False, False])


def counter(upto: int) -> Counter:
    """A counter of Alice that has nothing to count yet."""
    return Counter(Reader(ALICE), DEFAULT_CLASS, RULES, 0, frozenset(), ReadPositions(), upto)


class TailsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.budget = MemoryBudget(1_000_000)
        self.tails = Tails(0, self.budget)

    def check_weight(self) -> None:
        weight = sum(tail.weight for tail in self.tails._tails.values())
        self.assertEqual((self.tails.size_bytes, self.budget.used), (weight, weight))

    def test_the_least_recently_used_goes_first(self) -> None:
        for ordering, room_id in enumerate("abc", start=1):
            self.tails.append(room_id, record(ordering))
            self.tails.keep(room_id, ALICE, counter(ordering))
        self.assertIsNotNone(self.tails.counter("a", ALICE))
        self.tails.peek("b")
        self.assertEqual(self.tails.oldest_use(), 3, "when the counter of room b was kept")
        self.tails.evict_oldest()
        self.assertEqual(list(self.tails._tails), ["c", "a"])
        self.assertEqual(self.tails.floor, 2)
        self.check_weight()

    def test_another_cache_takes_their_place(self) -> None:
        for ordering, room_id in enumerate("abc", start=1):
            self.tails.append(room_id, record(ordering))
        others: LruCache[str, int] = LruCache("o", budget=self.budget, size_of=lambda size: size)
        others.set("x", self.budget.limit - self.budget.used)
        self.assertEqual(len(self.tails), 0)
        self.assertEqual((self.tails.floor, self.budget.used), (3, others.size_bytes))

    def test_a_new_tail_begins_where_the_old_one_was_forgotten(self) -> None:
        self.tails.append("a", record(5))
        self.tails.evict_oldest()
        tail = self.tails.of_room("a")
        self.assertIsNone(tail.between(4, 9))
        self.assertEqual(tail.between(5, 9), ())
        self.tails.append("a", record(7))
        self.assertEqual([each.ordering for each in tail.between(5, 9) or ()], [7])

    def test_a_tail_that_is_held_stays_whole(self) -> None:
        self.tails.append("a", record(5))
        tail = self.tails.of_room("a")
        self.tails.evict_oldest()
        self.assertEqual([each.ordering for each in tail.between(0, 9) or ()], [5])
        result = DEFAULT_CLASS.evaluator.evaluate(EventView({}, None))
        self.tails.add_result(tail, "a", tail.records[0], DEFAULT_CLASS, result, 100)
        self.assertEqual(self.budget.used, 0)

    def test_larger_than_the_budget(self) -> None:
        self.budget.limit = 100
        self.tails.append("a", record(1))
        self.tails.keep("a", ALICE, counter(1))
        self.tails.redact("a", "$1", 2)
        self.tails.forget("a", 3)
        self.assertIsNotNone(self.tails.of_room("a"))
        self.assertEqual((len(self.tails), self.budget.used), (0, 0))
        self.assertEqual(self.tails.floor, 3)

    def test_bytes_are_given_back(self) -> None:
        self.budget.limit = 10_000_000
        result = DEFAULT_CLASS.evaluator.evaluate(EventView({}, None))
        for ordering in range(1, 500):
            each = record(ordering)
            self.tails.append("a", each)
            tail = self.tails.of_room("a")
            self.tails.add_result(tail, "a", each, DEFAULT_CLASS, result, 100)
            self.check_weight()
        before = self.budget.used
        self.tails.add_result(tail, "a", record(1), DEFAULT_CLASS, result, 100)
        self.assertEqual(self.budget.used, before, "it is not in the tail any more")
        self.tails.keep("a", ALICE, counter(499))
        self.tails.keep("a", ALICE, counter(499))
        self.check_weight()
        self.tails.drop("a", ALICE)
        self.tails.drop("a", ALICE)
        self.assertEqual(self.budget.used, before)
        self.tails.forget("a", 600)
        self.check_weight()
        self.tails.append("b", record(700))
        self.tails.reset(800)
        self.assertEqual((self.budget.used, self.tails.oldest_use()), (0, None))

    @given(
        st.lists(st.tuples(st.sampled_from("aRkdfc"), st.sampled_from("xyz")), max_size=60),
        st.integers(0, 8_000),
    )
    @settings(max_examples=300, deadline=None)
    def test_what_tails_tell_is_true(self, steps: list[tuple[str, str]], limit: int) -> None:
        budget = MemoryBudget(limit)
        tails = Tails(0, budget)
        sent: dict[str, list[int]] = {"x": [], "y": [], "z": []}
        for ordering, (what, room_id) in enumerate(steps, start=1):
            if what == "a":
                tails.append(room_id, record(ordering))
                sent[room_id].append(ordering)
            elif what == "R":
                tails.redact(room_id, f"${ordering - 2}", ordering)
            elif what == "k":
                tails.keep(room_id, ALICE, counter(ordering))
            elif what == "d":
                tails.drop(room_id, ALICE)
            elif what == "f":
                tails.forget(room_id, ordering)
            else:
                tails.counter(room_id, ALICE)
            self.assertLessEqual(budget.used, limit)
            self.assertEqual(budget.used, sum(tail.weight for tail in tails._tails.values()))
        for room_id, orderings in sent.items():
            tail = tails.of_room(room_id)
            for low in range(-1, len(steps) + 1):
                found = tail.between(low, len(steps))
                if found is not None:
                    expected = [ordering for ordering in orderings if ordering > low]
                    self.assertEqual([each.ordering for each in found], expected)
