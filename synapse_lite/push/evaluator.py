"""Push rules as code: compiled once, evaluated once for each event and all who have the same rules.

Conditions that name the user are kept apart (`USER`), so that rules which everybody has are the
same for everybody. (Client-server API, "Push Rules", "Conditions".)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from ..events.auth.power_levels import PowerLevels
from ..events.event import Event
from ..util.json import JsonDict, JsonValue
from .patterns import Effort, Glob, contains_words

T = TypeVar("T")

Condition = tuple[Any, ...]
"""A condition as a value that can be compared: its kind, then its parameters."""

USER = ("user",)
"""As the last item of a condition: the value is the id of whoever has the rule."""

MATCH, IS, CONTAINS = "event_match", "event_property_is", "event_property_contains"
PERMISSION, DISPLAY_NAME = "sender_notification_permission", "contains_display_name"
MEMBER_COUNT = "room_member_count"

_BODY = ("content", "body")
_MAX_INTEGER = 2**53 - 1


@attrs.frozen
class Reader:
    """Who has the rules. `display_name` is the one in the room, where a rule asks for it."""

    user_id: str
    display_name: str | None = None


class EventView:
    """An event as conditions look at it. `levels` are the power levels of the room.

    `lacks_levels` is set when a condition asks for them and they were not given.
    """

    __slots__ = ("_lower", "effort", "fields", "lacks_levels", "levels", "sender")

    def __init__(self, fields: Mapping[str, JsonValue], levels: PowerLevels | None) -> None:
        self.fields = fields
        self.levels = levels
        self.lacks_levels = False
        self.sender = fields.get("sender")
        self.effort = Effort()
        self._lower: dict[tuple[str, ...], str | None] = {}

    @classmethod
    def of(cls, event: Event, levels: PowerLevels | None) -> EventView:
        """The view of an event."""
        fields: JsonDict = {
            "type": event.type,
            "sender": event.sender,
            "room_id": event.room_id,
            "event_id": event.event_id,
            "origin_server_ts": event.origin_server_ts,
            "content": event.content,
        }
        if event.state_key is not None:
            fields["state_key"] = event.state_key
        return cls(fields, levels)

    def value(self, path: Sequence[str]) -> JsonValue:
        """The property at a path; something that equals no value where there is none."""
        found: Any = self.fields
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                return _ABSENT
            found = found[name]
        return found

    def lower(self, path: tuple[str, ...]) -> str | None:
        """A text property in lower case; None if it is no text."""
        if path not in self._lower:
            value = self.value(path)
            self._lower[path] = value.lower() if isinstance(value, str) else None
        return self._lower[path]


_ABSENT = object()

Check = Callable[[EventView], bool]
UserCheck = Callable[[EventView, Reader], bool]


@attrs.frozen
class Rule(Generic[T]):
    """Conditions, all of which must hold, and what follows then."""

    conditions: tuple[Condition, ...]
    then: T


@attrs.frozen
class _Compiled(Generic[T]):
    checks: tuple[Check, ...]
    user_checks: tuple[UserCheck, ...]
    then: T


@attrs.frozen
class Result(Generic[T]):
    """What an event is to all who have the same rules.

    `for_some` are rules that hold for a reader if the checks do; they come before `otherwise`.
    """

    view: EventView
    for_some: tuple[_Compiled[T], ...]
    otherwise: T | None

    def for_reader(self, reader: Reader) -> T | None:
        """What follows for one of them; None if no rule matches."""
        for rule in self.for_some:
            if all(check(self.view, reader) for check in rule.user_checks):
                return rule.then
        return self.otherwise


class Evaluator(Generic[T]):
    """A list of rules, of which the first that matches counts."""

    def __init__(self, rules: Sequence[Rule[T]]) -> None:
        self._rules = tuple(_compile(rule) for rule in rules)
        kinds = {condition[0] for rule in rules for condition in rule.conditions}
        self.needs_display_name = DISPLAY_NAME in kinds

    def evaluate(self, view: EventView) -> Result[T]:
        """Look at an event once, for everybody."""
        for_some: list[_Compiled[T]] = []
        for rule in self._rules:
            for check in rule.checks:
                if not check(view):
                    break
            else:
                if not rule.user_checks:
                    return Result(view, tuple(for_some), rule.then)
                for_some.append(rule)
        return Result(view, tuple(for_some), None)


def _compile(rule: Rule[T]) -> _Compiled[T]:
    checks: list[Check] = []
    user_checks: list[UserCheck] = []
    for condition in rule.conditions:
        if condition[0] == DISPLAY_NAME:
            user_checks.append(_names_reader)
        elif condition[-1] == USER:
            user_checks.append(_user_check(condition[0], condition[1]))
        else:
            checks.append(_CHECKS[condition[0]](*condition[1:]))
    return _Compiled(tuple(checks), tuple(user_checks), rule.then)


def _match(path: tuple[str, ...], pattern: str) -> Check:
    glob = Glob(pattern)
    in_words = path == _BODY
    if not in_words and not set("*?") & set(pattern):
        return lambda view: view.lower(path) == glob.pattern

    def check(view: EventView) -> bool:
        text = view.lower(path)
        if text is None:
            return False
        if in_words:
            return glob.matches_words(text, view.effort)
        return glob.matches(text, view.effort)

    return check


def _is(path: tuple[str, ...], kind: str, value: JsonValue) -> Check:
    def check(view: EventView) -> bool:
        found = view.value(path)
        return found == value and simple_kind(found) == kind

    return check


def _contains(path: tuple[str, ...], kind: str, value: JsonValue) -> Check:
    def check(view: EventView) -> bool:
        found = view.value(path)
        return isinstance(found, list) and any(
            item == value and simple_kind(item) == kind for item in found
        )

    return check


def _permission(key: str) -> Check:
    def check(view: EventView) -> bool:
        levels, sender = view.levels, view.sender
        if levels is None:
            view.lacks_levels = True
            return False
        if not isinstance(sender, str):
            return False
        return levels.of_user(sender) >= levels.notification(key)

    return check


_CHECKS: dict[str, Callable[..., Check]] = {
    MATCH: _match,
    IS: _is,
    CONTAINS: _contains,
    PERMISSION: _permission,
}


def _user_check(kind: str, path: tuple[str, ...]) -> UserCheck:
    if kind == CONTAINS:
        return lambda view, reader: _has(view.value(path), reader.user_id)
    if kind == IS:
        return lambda view, reader: view.value(path) == reader.user_id
    return lambda view, reader: view.lower(path) == reader.user_id.lower()


def _has(values: JsonValue, value: str) -> bool:
    return isinstance(values, list) and value in values


def _names_reader(view: EventView, reader: Reader) -> bool:
    body = view.lower(_BODY)
    if body is None or reader.display_name is None:
        return False
    return contains_words(body, reader.display_name.lower(), view.effort)


def simple_kind(value: object) -> str | None:
    """Which of the kinds that rules compare exactly a value is of; None for any other."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if abs(value) <= _MAX_INTEGER else None
    return "string" if isinstance(value, str) else None


def mentioned_users(event: Event) -> frozenset[str]:
    """Whom an event mentions (client-server API, "User and room mentions")."""
    mentions = event.content.get("m.mentions")
    users = mentions.get("user_ids") if isinstance(mentions, dict) else None
    if not isinstance(users, list):
        return frozenset()
    return frozenset(user for user in users if isinstance(user, str))
