"""Tokens that clients carry."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.types.tokens import InvalidTokenError, RoomToken, StreamToken

positions = st.integers(0, 10**18 - 1)


class StreamTokenTestCase(TestCase):
    @settings(deadline=None)
    @given(st.lists(positions, max_size=5))
    def test_round_trip(self, numbers: list[int]) -> None:
        token = StreamToken(*numbers)
        self.assertEqual(StreamToken.from_text(token.to_text()), token)

    def test_fields_that_an_older_version_lacks_are_0(self) -> None:
        self.assertEqual(StreamToken.from_text("s5_7"), StreamToken(events=5, typing=7))

    def test_refused(self) -> None:
        for text in (
            "",
            "s",
            "5",
            "s5_",
            "s-5",
            "s5_x",
            "s٣",
            "s 5",
            "s1_2_3_4_5_6_7_8_9",
            "s1" * 400,
        ):
            with self.subTest(text=text[:20]), self.assertRaises(InvalidTokenError):
                StreamToken.from_text(text)


class RoomTokenTestCase(TestCase):
    @settings(deadline=None)
    @given(st.integers(-(10**18) + 1, 10**18 - 1), st.none() | positions)
    def test_round_trip(self, ordering: int, depth: int | None) -> None:
        token = RoomToken(ordering, depth)
        self.assertEqual(RoomToken.from_text(token.to_text()), token)

    def test_a_sync_token_stands_for_its_position_of_events(self) -> None:
        self.assertEqual(RoomToken.from_text("s5_7_9"), RoomToken(5))

    def test_refused(self) -> None:
        for text in ("", "t", "t5", "t5-", "t-5", "t-5-5", "tx-5", "t5-5-5", "s", "s--5", "s-5_3"):
            with self.subTest(text=text), self.assertRaises(InvalidTokenError):
                RoomToken.from_text(text)
        with self.assertRaises(InvalidTokenError):
            RoomToken.from_text("t" + "1" * 1000 + "-5")
