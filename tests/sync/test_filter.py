"""Filters: what they let through, and what is no filter."""

from __future__ import annotations

import time
from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import BadJsonError, InvalidParamError
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.sync.filter import (
    DEFAULT_FILTER,
    MAX_ITEMS,
    TypePatterns,
    compile_event_filter,
    compile_filter,
)
from tests.events.support import ALICE, BOB, Room


class TypePatternsTests(TestCase):
    def test_patterns(self) -> None:
        for pattern, event_type, expected in (
            ("m.room.message", "m.room.message", True),
            ("m.room.message", "m.room.messages", False),
            ("m.room.*", "m.room.message", True),
            ("m.room.*", "m.roomXmessage", False),
            ("*", "", True),
            ("*.message", "m.room.message", True),
            ("m*e", "m.room.message", True),
            ("ab*ba", "aba", False),
            ("a*b*c", "a--b--c", True),
            ("a*b*c", "a--c--b", False),
            ("a**c", "abc", True),
            ("M.*", "m.room", False),
            ("m.?oom", "m.room", False),
        ):
            self.assertIs(TypePatterns([pattern]).match(event_type), expected, pattern)

    def test_hostile_pattern_is_quick(self) -> None:
        patterns = TypePatterns(["*a" * 100 + "*b"])
        began = time.process_time()
        self.assertFalse(patterns.match("a" * 255))
        self.assertLess(time.process_time() - began, 0.1)


class FilterTests(TestCase):
    def test_everything(self) -> None:
        self.assertTrue(DEFAULT_FILTER.wants_room("!a:b"))
        self.assertTrue(DEFAULT_FILTER.timeline.wants("m.any", "@a:b"))
        self.assertFalse(DEFAULT_FILTER.timeline.is_selective)
        self.assertFalse(DEFAULT_FILTER.lazy_load_members)

    def test_exclusion_is_stronger(self) -> None:
        compiled = compile_event_filter(
            {
                "types": ["m.a*"],
                "not_types": ["m.ab"],
                "senders": ["@a:b", "@c:d"],
                "not_senders": ["@c:d"],
                "rooms": ["!a:b", "!c"],
                "not_rooms": ["!c"],
            }
        )
        self.assertTrue(compiled.wants("m.a", "@a:b"))
        self.assertFalse(compiled.wants("m.ab", "@a:b"))
        self.assertFalse(compiled.wants("m.a", "@c:d"))
        self.assertFalse(compiled.wants("m.a", "@e:f"))
        self.assertTrue(compiled.wants_room("!a:b"))
        self.assertFalse(compiled.wants_room("!c"))
        self.assertFalse(compiled.wants_room("!d:e"))

    def test_empty_list_is_not_the_same_as_none(self) -> None:
        self.assertFalse(compile_event_filter({"types": []}).wants("m.a"))
        self.assertFalse(compile_event_filter({"senders": []}).wants("m.a", "@a:b"))
        self.assertFalse(compile_event_filter({"rooms": []}).wants_room("!a:b"))
        self.assertTrue(compile_event_filter({"not_types": []}).wants("m.a"))

    def test_events(self) -> None:
        room = Room(ROOM_VERSIONS["11"])
        plain = room.send(ALICE, "m.room.message", {"body": "x"})
        picture = room.send(BOB, "m.room.message", {"body": "y", "url": "mxc://one/z"})
        events = [plain, picture]
        self.assertEqual(compile_event_filter({"contains_url": True}).select(events), [picture])
        self.assertEqual(compile_event_filter({"contains_url": False}).select(events), [plain])
        self.assertEqual(compile_event_filter({"senders": [BOB]}).select(events), [picture])
        self.assertEqual(compile_event_filter({"limit": 1}).select(events), events)

    def test_same_meaning_same_key(self) -> None:
        one = compile_filter({"room": {"timeline": {"limit": 1, "types": ["a"]}}})
        two = compile_filter({"room": {"timeline": {"types": ["a"], "limit": 1}}})
        other = compile_filter({"room": {"timeline": {"types": ["a"], "limit": 2}}})
        self.assertEqual(one.key, two.key)
        self.assertNotEqual(one.key, other.key)

    def test_storage_form(self) -> None:
        stored = compile_event_filter({"types": ["m.*"], "not_senders": ["@a:b"]}).to_storage()
        self.assertEqual(stored.types, ("m.*",))
        self.assertEqual(stored.not_senders, frozenset({"@a:b"}))
        self.assertIsNone(stored.senders)

    def test_limit_is_bounded(self) -> None:
        self.assertEqual(compile_event_filter({"limit": 0}).limit, 0)
        limit = compile_event_filter({"limit": 2**53}).limit
        assert limit is not None
        self.assertLess(limit, 2**31)

    def test_bad_filters(self) -> None:
        bad: list[Any] = [
            [],
            "x",
            {"room": []},
            {"room": {"timeline": 1}},
            {"room": {"timeline": {"limit": "1"}}},
            {"room": {"timeline": {"limit": True}}},
            {"room": {"timeline": {"limit": -1}}},
            {"room": {"timeline": {"types": "m.a"}}},
            {"room": {"timeline": {"types": [1]}}},
            {"room": {"timeline": {"contains_url": "no"}}},
            {"room": {"state": {"lazy_load_members": 1}}},
            {"room": {"state": {"senders": ["alice"]}}},
            {"room": {"rooms": ["room"]}},
            {"room": {"include_leave": "yes"}},
            {"presence": {"not_senders": ["_"]}},
            {"account_data": {"not_types": [None]}},
            {"event_format": "xml"},
            {"event_fields": [1]},
            {"room": {"timeline": {"types": ["a"] * (MAX_ITEMS + 1)}}},
            {"unknown": "x" * 70_000},
        ]
        for definition in bad:
            with self.assertRaises((BadJsonError, InvalidParamError), msg=str(definition)[:80]):
                compile_filter(definition)
