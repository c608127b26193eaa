"""JSON from outside, and canonical JSON."""

from __future__ import annotations

import json

import canonicaljson
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synapse_lite.util.json import (
    MAX_DEPTH,
    JsonError,
    check_canonical_numbers,
    decode_json,
    decode_stored_json,
    encode_canonical_json,
    encode_json,
    encode_json_text,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | text
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20
)


class DecodeTestCase(TestCase):
    def test_what_is_refused(self) -> None:
        for data in (
            b"",
            b"{",
            b"{} x",
            b"[1,]",
            b"01",
            b"NaN",
            b"-Infinity",
            b"1e400",
            b"1" * 5000,
            b'"\xff"',
            b'"\xed\xa0\x80"',
            b'"\\ud800 and more"',
            b'"\\udc00\\ud800 reversed"',
            b'{"\\ud800": 1}',
            b"\xef\xbb\xbf{}",
            b'"line\nbreak"',
            '"\ud800"',
        ):
            with self.subTest(data=data[:40]), self.assertRaises(JsonError):
                decode_json(data)

    def test_surrogate_pairs_are_one_character(self) -> None:
        self.assertEqual(decode_json(b'"\\ud83d\\ude00"'), "\U0001f600")

    def test_depth(self) -> None:
        def nested(depth: int) -> bytes:
            return (
                b"[" * (depth // 2)
                + b'{"a":' * (depth - depth // 2)
                + b"1"
                + (b"}" * (depth - depth // 2) + b"]" * (depth // 2))
            )

        decode_json(nested(MAX_DEPTH))
        for depth in (MAX_DEPTH + 1, 100_000):
            with self.assertRaises(JsonError):
                decode_json(nested(depth))

    @settings(deadline=None)
    @given(values)
    def test_round_trip(self, value: object) -> None:
        self.assertEqual(decode_json(encode_json(value)), value)
        self.assertEqual(decode_stored_json(encode_json_text(value)), value)

    def test_ready_bytes_are_joined_in(self) -> None:
        self.assertEqual(encode_json({"a": msgspec.Raw(b'{"b":1}')}), b'{"a":{"b":1}}')


class CanonicalTestCase(TestCase):
    @settings(deadline=None)
    @given(st.dictionaries(text, values))
    def test_same_bytes_as_the_reference_implementation(self, value: dict[str, object]) -> None:
        self.assertEqual(encode_canonical_json(value), canonicaljson.encode_canonical_json(value))

    def test_floats_of_old_rooms(self) -> None:
        for number in (1e16, 1.5e300, 1e-5, -2.5e-7, 0.1, 100.0):
            value = {"a": [number, "1e5"], "b": number}
            self.assertEqual(
                encode_canonical_json(value),
                json.dumps(value, separators=(",", ":")).encode(),
            )

    def test_order_is_by_code_point_not_by_utf16(self) -> None:
        self.assertEqual(
            encode_canonical_json({"\U00010000": 1, "\uffff": 2, "a": 3}),
            '{"a":3,"\uffff":2,"\U00010000":1}'.encode(),
        )

    def test_numbers_of_new_rooms(self) -> None:
        most = 2**53 - 1
        check_canonical_numbers({"a": [most, -most, True, False, None, "1.5"], "b": {"c": 0}})
        for number in (most + 1, -most - 1, 1.0, 1.5):
            for value in ({"a": number}, {"a": [{"b": [number]}]}):
                with self.subTest(value=value), self.assertRaises(JsonError):
                    check_canonical_numbers(value)
