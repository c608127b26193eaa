"""Classes of push rules: users whose rules say the same of a room's events share one.

What a user's rules mean for one room is worked out here: rules for other rooms fall away, so that
in most rooms even those who have rules of their own are in the class of those who have none.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import cached_property

import attrs

from ..storage.push_rules import UserPushRules, UserRule
from ..util.json import JsonValue
from .base_rules import KINDS
from .conditions import Conditions, conditions_of
from .evaluator import Evaluator, EventView, Rule
from .rules import ruleset_of

_LOOK_AHEAD = 10

Actions = tuple[JsonValue, ...]


@attrs.frozen
class Effect:
    """What an event does to the counts of a reader; a highlight is a notification, too."""

    notify: bool
    highlight: bool


NOTHING = Effect(notify=False, highlight=False)


def effect_of(actions: Sequence[JsonValue]) -> Effect:
    """What actions do (client-server API, "Actions"); unknown and historical ones do nothing."""
    if "notify" not in actions:
        return NOTHING
    highlight = False
    for action in actions:
        if isinstance(action, dict) and action.get("set_tweak") == "highlight":
            highlight = action.get("value", True) is True
    return Effect(notify=True, highlight=highlight)


class Like(enum.Enum):
    """Which class that needs no look at events a class resembles."""

    DEFAULT = "the rules that everybody has"
    MENTIONS = "of those, the ones before the rules of rooms: mentions alone notify"
    NOTHING = "nothing notifies"


class RuleClass:
    """Rules for the events of a room. `is_plain`: they are exactly what they resemble."""

    def __init__(self, rules: tuple[Rule[Effect], ...]) -> None:
        self.rules = rules
        self.is_plain = rules in _PLAIN
        self.like = _PLAIN[rules] if self.is_plain else self._resembles()

    @cached_property
    def evaluator(self) -> Evaluator[Effect]:
        """The compiled rules."""
        return Evaluator(self.rules)

    def _resembles(self) -> Like:
        """By what they say of a message from somebody about nothing."""
        content = {"msgtype": "m.text", "body": ""}
        view = EventView({"type": "m.room.message", "sender": "", "content": content}, None)
        effect = self.evaluator.evaluate(view).otherwise or NOTHING
        return Like.DEFAULT if effect.notify else Like.MENTIONS


@attrs.frozen
class _OwnRule:
    """A rule of a user that is switched on."""

    place: int
    conditions: Conditions
    actions: Actions
    effect: Effect


class UserRules:
    """All rules of a user, ready to be narrowed to a room."""

    def __init__(self, user_id: str, changes: UserPushRules) -> None:
        self.changes = changes
        self._all = _rules_of(user_id, changes)
        self._general: list[_OwnRule] = []
        self._by_room: dict[str, list[_OwnRule]] = {}
        for rule in _without_redundant(self._all):
            if rule.conditions.room_id is None:
                self._general.append(rule)
            else:
                self._by_room.setdefault(rule.conditions.room_id, []).append(rule)
        self.needs_member_count = any(
            rule.conditions.counts
            for rules in (self._general, *self._by_room.values())
            for rule in rules
        )
        self._elsewhere: dict[str, tuple[Rule[Effect], ...]] = {}

    def for_counting(self, room_id: str, member_count: int) -> tuple[Rule[Effect], ...]:
        """What decides about counts in a room; without what makes no difference to them."""
        own = self._by_room.get(room_id)
        if own is None and not self.needs_member_count:
            if "" not in self._elsewhere:
                self._elsewhere[""] = _for_counting(self._general, member_count)
            return self._elsewhere[""]
        rules = sorted((*self._general, *(own or ())), key=lambda rule: rule.place)
        return _for_counting(rules, member_count)

    def with_actions(self, room_id: str, member_count: int) -> Evaluator[Actions]:
        """The rules for a room with all that they do."""
        return Evaluator(
            [
                Rule(tuple(rule.conditions.of_event), rule.actions)
                for rule in self._all
                if rule.conditions.room_id in (None, room_id)
                and all(count.holds(member_count) for count in rule.conditions.counts)
            ]
        )


def _rules_of(user_id: str, changes: UserPushRules) -> list[_OwnRule]:
    forms = ruleset_of(user_id, changes)
    found: list[_OwnRule] = []
    for kind in KINDS:
        for form in forms[kind]:
            conditions = conditions_of(kind, form, user_id) if form["enabled"] else None
            if conditions is not None:
                actions = tuple(form["actions"])
                found.append(_OwnRule(len(found), conditions, actions, effect_of(actions)))
    return found


def _without_redundant(rules: Sequence[_OwnRule]) -> list[_OwnRule]:
    """Leave out rules whose events get the same from a rule a little further on."""
    kept = []
    for index, rule in enumerate(rules):
        for later in rules[index + 1 : index + 1 + _LOOK_AHEAD]:
            if later.effect != rule.effect:
                kept.append(rule)
                break
            if later.conditions.covers(rule.conditions):
                break
        else:
            kept.append(rule)
    return kept


def _for_counting(rules: Sequence[_OwnRule], member_count: int) -> tuple[Rule[Effect], ...]:
    found: list[Rule[Effect]] = []
    for rule in rules:
        if all(count.holds(member_count) for count in rule.conditions.counts):
            found.append(Rule(_ordered(rule.conditions), rule.effect))
            if not rule.conditions.of_event:
                break  # matches everything
    while found and found[-1].then == NOTHING:
        found.pop()
    return tuple(found)


def _ordered(conditions: Conditions) -> tuple[tuple[object, ...], ...]:
    return tuple(sorted(conditions.of_event, key=repr))


_SOMEBODY = "@user:example.org"
_ROOM = "!room:example.org"
_QUIET_ROOM = UserPushRules((UserRule("room", _ROOM, (), ()),))

DEFAULT_RULES = UserRules(_SOMEBODY, UserPushRules()).for_counting(_ROOM, 0)
_PLAIN: dict[tuple[Rule[Effect], ...], Like] = {
    DEFAULT_RULES: Like.DEFAULT,
    UserRules(_SOMEBODY, _QUIET_ROOM).for_counting(_ROOM, 0): Like.MENTIONS,
    (): Like.NOTHING,
}

DEFAULT_CLASS = RuleClass(DEFAULT_RULES)
"""The class of everybody who has not changed what notifies."""
