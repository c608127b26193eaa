"""Positions never pass what is unfinished, and never go back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.storage._positions import FollowingPosition, WritingPosition
from synapse_lite.streams import Counter

COUNTER = Counter("test")


class WritingPositionTestCase(TestCase):
    """Handing out positions."""

    def test_the_older_holds_the_newer_back(self) -> None:
        position = WritingPosition(COUNTER)
        position.load(4)
        [five], [six] = position.reserve(), position.reserve()
        self.assertEqual((five, six), (5, 6))
        position.release([six])
        self.assertEqual(position.current(), 4)
        position.release([five])
        self.assertEqual(position.current(), 6)

    def test_several_at_once(self) -> None:
        position = WritingPosition(COUNTER)
        tokens = position.reserve(3)
        self.assertEqual(tokens, [1, 2, 3])
        position.release(tokens[:2])
        self.assertEqual(position.current(), 2)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
    def test_current_is_below_the_oldest_unfinished(self, choices: list[int]) -> None:
        position = WritingPosition(COUNTER)
        unfinished: list[int] = []
        newest = 0
        for choice in choices:
            if choice < 5 or not unfinished:
                unfinished += position.reserve(choice % 3 + 1)
                newest = unfinished[-1]
            else:
                position.release([unfinished.pop(choice % len(unfinished))])
            expected = min(unfinished) - 1 if unfinished else newest
            self.assertEqual(position.current(), expected)
            unfinished.sort()


class FollowingPositionTestCase(TestCase):
    """Following positions."""

    def test_it_is_what_all_streams_have_reached(self) -> None:
        position = FollowingPosition(COUNTER, ["events", "deltas"])
        position.advance("events", 7)
        self.assertEqual(position.current(), 0)
        position.advance("deltas", 5)
        self.assertEqual(position.current(), 5)
        self.assertEqual(position.token_of("events"), 7)

    def test_it_begins_anew_where_it_is_told(self) -> None:
        position = FollowingPosition(COUNTER, ["events", "deltas"])
        for stream, token in (("events", 9), ("deltas", 9), ("events", 4), ("deltas", 5)):
            position.begin(stream, token)
        self.assertEqual(position.current(), 4)

    def test_it_only_moves_forward(self) -> None:
        position = FollowingPosition(COUNTER, ["events"])
        position.advance("events", 5)
        position.advance("events", 3)
        self.assertEqual(position.current(), 5)
