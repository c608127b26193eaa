"""Conditions and rules (client-server API, "Push Rules")."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.events.auth.power_levels import PowerLevels
from synapse_lite.events.room_versions import ROOM_VERSIONS
from synapse_lite.push.base_rules import BASE_RULES
from synapse_lite.push.classes import (
    DEFAULT_CLASS,
    DEFAULT_RULES,
    NOTHING,
    Effect,
    Like,
    RuleClass,
    UserRules,
    effect_of,
)
from synapse_lite.push.conditions import property_path
from synapse_lite.push.evaluator import EventView, Reader
from synapse_lite.storage.push_rules import UserPushRules, UserRule

ALICE, BOB = "@alice:test", "@bob:test"
ROOM = "!room:test"
NOTIFY = Effect(notify=True, highlight=False)
HIGHLIGHT = Effect(notify=True, highlight=True)
LEVELS = PowerLevels(ROOM_VERSIONS["12"], {"users": {BOB: 50}}, frozenset({"@creator:test"}))


def event(content: Any = None, **fields: Any) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": "hello"} if content is None else content
    return {"type": "m.room.message", "sender": BOB, "content": content, "room_id": ROOM, **fields}


def rules(*own: UserRule, **changes: Any) -> UserRules:
    return UserRules(ALICE, UserPushRules(own, **changes))


def matching(*conditions: Any) -> UserRules:
    """Rules of which one with these conditions highlights, and no other does anything."""
    rule = UserRule("override", "x", conditions, ("notify", {"set_tweak": "highlight"}))
    return rules(rule, UserRule("override", "y", (), ()))


def effect(
    of: UserRules, fields: dict[str, Any], reader: Reader = Reader(ALICE), count: int = 3
) -> Effect:
    made = RuleClass(of.for_counting(ROOM, count))
    return made.evaluator.evaluate(EventView(fields, LEVELS)).for_reader(reader) or NOTHING


class ConditionsTestCase(TestCase):
    def check(self, condition: Any, fields: dict[str, Any], expected: bool, **options: Any) -> None:
        found = effect(matching(condition), fields, **options)
        self.assertEqual(found, HIGHLIGHT if expected else NOTHING, (condition, fields))

    def test_event_match(self) -> None:
        for key, pattern, content, expected in (
            ("content.topic", "lunc?*", {"topic": "LUNCH plans"}, True),
            ("content.topic", "lunc?*", {"topic": " lunch"}, False),
            ("content.topic", "*", {"topic": None}, False),
            ("content.topic", "*", {}, False),
            ("content.topic", "*", {"topic": ""}, True),
            ("content.body", "cake", {"body": "A piece of CAKE, please"}, True),
            ("content.body", "cake", {"body": "pancakes"}, False),
            ("content.other", "cake", {"other": "piece of cake"}, False),
            ("content.a\\.b", "c", {"a.b": "c"}, True),
            ("content.a\\.b", "c", {"a": {"b": "c"}}, False),
            ("content.a.b", "c", {"a": {"b": "c"}}, True),
            ("content.a.b", "c", {"a": ["b"]}, False),
            ("type", "M.ROOM.message", {}, True),
            ("state_key", "*", {}, False),
        ):
            condition = {"kind": "event_match", "key": key, "pattern": pattern}
            self.check(condition, event(content), expected)

    def test_event_property_is(self) -> None:
        for value, found, expected in (
            (True, True, True),
            (True, "true", False),
            (True, 1, False),
            (1, True, False),
            (1, 1, True),
            (None, None, True),
            (None, 0, False),
            ("a", "a", True),
            ("a", "A", False),
            ("a", ["a"], False),
            (1.5, 1.5, False),
            ({}, {}, False),
            (2**53, 2**53, False),
        ):
            condition = {"kind": "event_property_is", "key": "content.x", "value": value}
            self.check(condition, event({"x": found}), expected)
        self.check({"kind": "event_property_is", "key": "content.x", "value": None}, event(), False)
        self.check({"kind": "event_property_is", "key": "content.x"}, event({"x": None}), False)

    def test_event_property_contains(self) -> None:
        for value, found, expected in (
            ("a", ["b", "a"], True),
            ("a", ["ab"], False),
            ("a", "a", False),
            (1, [True], False),
            (True, [1, True], True),
            (None, [None], True),
            ("a", [["a"]], False),
        ):
            condition = {"kind": "event_property_contains", "key": "content.x", "value": value}
            self.check(condition, event({"x": found}), expected)

    def test_room_member_count(self) -> None:
        for text, count, expected in (
            ("2", 2, True),
            ("==2", 2, True),
            ("==2", 3, False),
            ("<2", 2, False),
            ("<=2", 2, True),
            (">2", 3, True),
            (">=3", 3, True),
            ("two", 2, False),
            ("", 0, False),
            (2, 2, False),
        ):
            self.check({"kind": "room_member_count", "is": text}, event(), expected, count=count)

    def test_sender_notification_permission(self) -> None:
        condition = {"kind": "sender_notification_permission", "key": "room"}
        self.check(condition, event(sender=BOB), True)
        self.check(condition, event(sender=ALICE), False)
        self.check(condition, event(sender="@creator:test"), True)

    def test_contains_display_name(self) -> None:
        condition = {"kind": "contains_display_name"}
        said = event({"body": "ask Alice L?, please"})
        self.check(condition, said, True, reader=Reader(ALICE, "alice l?"))
        self.check(condition, said, False, reader=Reader(ALICE, "lice"))
        self.check(condition, said, False, reader=Reader(ALICE, None))
        self.check(condition, said, False, reader=Reader(ALICE, ""))

    def test_what_is_unknown_or_makes_no_sense_matches_nothing(self) -> None:
        for condition in (
            {"kind": "org.example.new"},
            {"kind": "event_match", "key": "type"},
            {"kind": "event_match", "pattern": "*"},
            {"kind": "event_match", "key": 3, "pattern": "*"},
            {"kind": "sender_notification_permission"},
        ):
            self.check(condition, event(), False)

    def test_all_conditions_must_hold(self) -> None:
        yes = {"kind": "event_match", "key": "type", "pattern": "m.room.message"}
        no = {"kind": "event_match", "key": "type", "pattern": "m.sticker"}
        self.assertEqual(effect(matching(yes, no), event()), NOTHING)
        self.assertEqual(effect(matching(yes, yes), event()), HIGHLIGHT)

    def test_values_that_name_the_reader(self) -> None:
        condition = {"kind": "event_property_is", "key": "content.for", "value": ALICE}
        self.check(condition, event({"for": ALICE}), True)
        self.check(condition, event({"for": BOB}), False)
        # Whoever has that rule about another user has another rule.
        self.assertNotEqual(
            matching(condition).for_counting(ROOM, 1),
            UserRules(BOB, matching(condition).changes).for_counting(ROOM, 1),
        )

    def test_paths(self) -> None:
        self.assertEqual(property_path("content.m\\.x.y"), ("content", "m.x", "y"))
        self.assertEqual(property_path("a\\\\b\\c\\"), ("a\\b\\c\\",))


class DefaultRulesTestCase(TestCase):
    def test_what_the_rules_that_everybody_has_say(self) -> None:
        mention = {"m.mentions": {"user_ids": [ALICE]}}
        for fields, expected in (
            (event(), NOTIFY),
            (event({"msgtype": "m.notice", "body": "x"}), NOTHING),
            (event({"msgtype": "m.notice", **mention}), NOTHING),
            (event(mention), HIGHLIGHT),
            (event({"m.mentions": {"user_ids": [BOB]}}), NOTIFY),
            (event(mention, type="org.example.custom"), HIGHLIGHT),
            (event({}, type="org.example.custom"), NOTHING),
            (event({"m.mentions": {"room": True}}), HIGHLIGHT),
            (event({"m.mentions": {"room": True}}, sender="@nobody:test"), NOTIFY),
            (event({"m.mentions": {"room": "true"}}), NOTIFY),
            (event({}, type="m.reaction"), NOTHING),
            (event({"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}), NOTHING),
            (event({}, type="m.room.tombstone", state_key=""), HIGHLIGHT),
            (event({}, type="m.room.tombstone", state_key="x"), NOTHING),
            (event({}, type="m.room.server_acl", state_key=""), NOTHING),
            (event({}, type="m.room.topic", state_key=""), NOTHING),
            (event({}, type="m.room.encrypted"), NOTIFY),
            (event({}, type="m.call.invite"), NOTIFY),
            (event({"membership": "join"}, type="m.room.member", state_key=BOB), NOTHING),
            (event({"membership": "invite"}, type="m.room.member", state_key=ALICE), NOTIFY),
        ):
            self.assertEqual(effect(rules(), fields), expected, fields)

    def test_they_need_no_member_count_to_count(self) -> None:
        self.assertFalse(rules().needs_member_count)
        self.assertEqual(rules().for_counting(ROOM, 2), DEFAULT_RULES)
        self.assertIs(DEFAULT_CLASS.like, Like.DEFAULT)

    def test_direct_rooms_only(self) -> None:
        off = {("underride", ".m.rule.message"): False, ("underride", ".m.rule.encrypted"): False}
        own = rules(enabled=off)
        self.assertTrue(own.needs_member_count)
        self.assertEqual(effect(own, event(), count=2), NOTIFY)
        self.assertEqual(effect(own, event(), count=3), NOTHING)
        self.assertIs(RuleClass(own.for_counting(ROOM, 3)).like, Like.MENTIONS)

    def test_everything_off(self) -> None:
        own = rules(enabled={("override", ".m.rule.master"): True})
        self.assertEqual(own.for_counting(ROOM, 3), ())

    def test_all_of_them_can_be_understood(self) -> None:
        on = {(rule.kind, rule.rule_id): True for rule in BASE_RULES if not rule.enabled}
        self.assertTrue(on)
        for rule in BASE_RULES:
            if rule.rule_id != ".m.rule.master":
                off = {(rule.kind, rule.rule_id): False}
                self.assertIsInstance(rules(enabled=off).for_counting(ROOM, 2), tuple)


class ClassesTestCase(TestCase):
    """Users share a class wherever their rules come to the same."""

    def test_rules_of_other_rooms_make_no_difference(self) -> None:
        elsewhere = rules(
            UserRule("room", "!other:test", (), ()),
            UserRule(
                "override",
                "!third:test",
                ({"kind": "event_match", "key": "room_id", "pattern": "!third:test"},),
                (),
            ),
        )
        self.assertEqual(elsewhere.for_counting(ROOM, 3), DEFAULT_RULES)
        self.assertEqual(elsewhere.for_counting("!third:test", 3), ())
        made = RuleClass(elsewhere.for_counting("!other:test", 3))
        self.assertEqual((made.is_plain, made.like), (True, Like.MENTIONS))

    def test_sounds_make_no_difference(self) -> None:
        loud = ("notify", {"set_tweak": "sound", "value": "ring"})
        own = rules(actions={("underride", ".m.rule.message"): loud})
        self.assertEqual(own.for_counting(ROOM, 3), DEFAULT_RULES)

    def test_kinds_are_asked_in_their_order(self) -> None:
        loud, quiet = ("notify", {"set_tweak": "highlight"}), ("dont_notify",)
        own = rules(
            UserRule("sender", BOB, (), quiet),
            UserRule("room", ROOM, (), ("notify",)),
            UserRule("content", "cake", (), loud, "cake"),
        )
        self.assertEqual(effect(own, event({"body": "cake"})), HIGHLIGHT)
        self.assertEqual(effect(own, event({"body": "bread"})), NOTIFY)
        self.assertEqual(effect(own, event({}, type="m.room.topic", state_key="")), NOTIFY)
        without_room = rules(own.changes.rules[0])
        self.assertEqual(effect(without_room, event()), NOTHING)
        self.assertEqual(effect(without_room, event(sender=ALICE)), NOTIFY)

    def test_keywords_make_a_class(self) -> None:
        keyword = rules(UserRule("content", "cake", (), ("notify",), "cake"))
        made = RuleClass(keyword.for_counting(ROOM, 3))
        self.assertEqual((made.is_plain, made.like), (False, Like.DEFAULT))
        same = UserRules(BOB, UserPushRules((UserRule("content", "k", (), ("notify",), "CAKE"),)))
        self.assertEqual(same.for_counting(ROOM, 3), made.rules)

    def test_actions(self) -> None:
        for actions, expected in (
            (["notify"], NOTIFY),
            ([], NOTHING),
            (["dont_notify"], NOTHING),
            (["coalesce"], NOTHING),
            ([{"set_tweak": "highlight"}], NOTHING),
            (["notify", {"set_tweak": "highlight"}], HIGHLIGHT),
            (["notify", {"set_tweak": "highlight", "value": False}], NOTIFY),
            (["notify", {"set_tweak": "highlight", "value": True}], HIGHLIGHT),
        ):
            self.assertEqual(effect_of(actions), expected, actions)

    def test_with_actions(self) -> None:
        loud = ("notify", {"set_tweak": "sound", "value": "ring"})
        own = rules(UserRule("content", "cake", (), loud, "cake"))
        evaluator = own.with_actions(ROOM, 2)
        for body, expected in (
            ("cake", loud),
            ("bread", ("notify", {"set_tweak": "sound", "value": "default"})),
        ):
            result = evaluator.evaluate(EventView(event({"body": body}), LEVELS))
            self.assertEqual(result.for_reader(Reader(ALICE)), expected)
