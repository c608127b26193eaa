"""Chains of deltas give back every state, in short paths and few bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.storage._state_rows import (
    REMOVED,
    GroupRow,
    decode_delta,
    encode_delta,
    first_row,
    next_row,
)

_EVENTS = st.integers(-(2**40), 2**62)
_DELTAS = st.dictionaries(st.integers(1, 2**62), _EVENTS, max_size=50)
_SMALL_DELTAS = st.dictionaries(st.integers(1, 12), st.sampled_from([REMOVED, -7, 5, 6, 900]))


def applied(state: dict[int, int], delta: dict[int, int]) -> dict[int, int]:
    """A state after a change, in the plain way."""
    return {key: event for key, event in {**state, **delta}.items() if event != REMOVED}


class EncodingTests(TestCase):
    @settings(deadline=None)
    @given(_DELTAS)
    def test_decoding_gives_back_the_delta(self, delta: dict[int, int]) -> None:
        self.assertEqual(decode_delta(encode_delta(delta)), delta)

    def test_a_single_change_is_small(self) -> None:
        self.assertLessEqual(len(encode_delta({70_000: 5_000_000})), 11)

    def test_members_who_joined_in_turn_are_small(self) -> None:
        delta = {5_000 + n: 2_000_000 + 3 * n for n in range(1_000)}
        self.assertLessEqual(len(encode_delta(delta)), 1_000 * 2 + 20)


class ChainTests(TestCase):
    @settings(deadline=None)
    @given(_SMALL_DELTAS, st.lists(st.tuples(st.integers(0, 99), _SMALL_DELTAS), max_size=60))
    def test_every_group_of_any_tree_reads_as_it_was_made(
        self, start: dict[int, int], steps: list[tuple[int, dict[int, int]]]
    ) -> None:
        rows = [first_row(1, start)]
        model = [applied({}, start)]
        for parent, delta in steps:
            index = len(rows) - 1 - parent % len(rows) // 2  # mostly the newest, often a fork
            rows.append(next_row(len(rows) + 1, rows[index], delta))
            model.append(applied(model[index], delta))
        for row, state in zip(rows, model, strict=True):
            self.assertEqual(row.numbers(), state)
            self.assertEqual(row.entries, len(decode_delta(row.delta)))

    def test_a_path_has_a_row_for_each_bit_of_the_generation(self) -> None:
        row = first_row(1, {1: 1})
        for n in range(1, 3_000):
            row = next_row(n + 1, row, {n + 1: n + 1})
            self.assertEqual(row.generation, n)
            path = list(row.path())
            self.assertEqual(len(path), n.bit_count() + 1)
            self.assertEqual(path[-1].generation, 0)

    def test_a_large_growing_room_costs_tens_of_bytes_for_each_change(self) -> None:
        row = first_row(1, {1: 1})
        total = 0
        for n in range(1, 10_001):
            row = next_row(n + 1, row, {50 + n: 1_000 + 3 * n})
            total += len(row.delta)
        self.assertLess(total / 10_000, 30)
        self.assertEqual(len(row.numbers()), 10_001)

    def test_a_delta_as_large_as_the_state_becomes_the_state(self) -> None:
        row = first_row(1, dict.fromkeys(range(10), 1))
        longest = 0
        for n in range(1, 2_000):
            row = next_row(n + 1, row, {n % 10: n})
            longest = max(longest, len(list(row.path())))
            self.assertLessEqual(row.entries, 10)
        self.assertLessEqual(longest, 5)

    def test_a_whole_new_state_is_stored_without_base(self) -> None:
        row = first_row(1, dict.fromkeys(range(100), 1))
        row = next_row(2, row, dict.fromkeys(range(100), 2))
        self.assertIsNone(row.base)
        self.assertEqual(row.numbers(), dict.fromkeys(range(100), 2))

    def test_removed_keys_are_gone_from_whole_states(self) -> None:
        row = next_row(2, first_row(1, {1: 5, 2: 6}), {1: REMOVED})
        self.assertEqual(row.numbers(), {2: 6})
        self.assertEqual(first_row(3, {1: REMOVED}).entries, 0)

    def test_path_bytes_counts_the_whole_path(self) -> None:
        row: GroupRow = first_row(1, {key: key + 1 for key in range(50)})
        for n in range(1, 8):
            row = next_row(n + 1, row, {100 + n: n})
        self.assertEqual(row.path_bytes, sum(len(step.delta) for step in row.path()))
