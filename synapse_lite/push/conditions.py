"""Conditions of push rules in a form that can be compared, compiled and narrowed to a room."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from ..util.json import JsonDict, JsonValue
from .evaluator import (
    CONTAINS,
    DISPLAY_NAME,
    IS,
    MATCH,
    MEMBER_COUNT,
    PERMISSION,
    USER,
    Condition,
    simple_kind,
)
from .patterns import MAX_PATTERN

_COUNT = re.compile(r"(==|<=|>=|<|>)?\s*([0-9]{1,15})\Z", re.ASCII)
_NEVER = "never"
_BODY = ("content", "body")
_ROOM = ("room_id",)


@attrs.frozen
class MemberCount:
    """A condition on how many are joined to the room."""

    operator: str
    number: int

    def holds(self, count: int) -> bool:
        """Whether a room with so many members meets it."""
        if self.operator == "<":
            return count < self.number
        if self.operator == ">":
            return count > self.number
        if self.operator == "<=":
            return count <= self.number
        if self.operator == ">=":
            return count >= self.number
        return count == self.number


@attrs.frozen
class Conditions:
    """The conditions of a rule. `room_id`: it is for that room only."""

    of_event: frozenset[Condition] = frozenset()
    counts: frozenset[MemberCount] = frozenset()
    room_id: str | None = None

    def covers(self, other: Conditions) -> bool:
        """Whether these hold wherever the others do."""
        return (
            self.of_event <= other.of_event
            and self.counts <= other.counts
            and self.room_id in (None, other.room_id)
        )


def conditions_of(kind: str, form: JsonDict, user_id: str) -> Conditions | None:
    """The conditions of a rule in the form of m.push_rules; None if it can never match.

    (Client-server API, "Push Rules".)
    """
    if kind == "room":
        return Conditions(room_id=form["rule_id"])
    if kind == "sender":
        return Conditions(frozenset({(IS, ("sender",), "string", form["rule_id"])}))
    if kind == "content":
        pattern = form.get("pattern")
        if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
            return None
        return Conditions(frozenset({(MATCH, _BODY, pattern.lower())}))
    return _all_of(form.get("conditions", ()), user_id)


def _all_of(conditions: Iterable[JsonValue], user_id: str) -> Conditions | None:
    of_event, counts, rooms = set(), set(), set()
    for condition in conditions:
        parsed = _parse(condition, user_id)
        if isinstance(parsed, MemberCount):
            counts.add(parsed)
        elif parsed[0] == _NEVER:
            return None
        elif _is_exact_room(parsed):
            rooms.add(condition["pattern"])
        else:
            of_event.add(parsed)
    if len(rooms) > 1:
        return None
    return Conditions(frozenset(of_event), frozenset(counts), rooms.pop() if rooms else None)


def _is_exact_room(condition: Condition) -> bool:
    return condition[:2] == (MATCH, _ROOM) and not set("*?") & set(condition[2])


def _parse(condition: JsonValue, user_id: str) -> Condition | MemberCount:
    """One condition; `(never,)` for one that is unknown or makes no sense."""
    kind = condition.get("kind") if isinstance(condition, dict) else None
    if kind == DISPLAY_NAME:
        return (DISPLAY_NAME,)
    if kind == MEMBER_COUNT:
        found = _COUNT.match(condition["is"]) if isinstance(condition.get("is"), str) else None
        return (_NEVER,) if found is None else MemberCount(found[1] or "==", int(found[2]))
    if kind == PERMISSION and isinstance(condition.get("key"), str):
        return (PERMISSION, condition["key"])
    if kind in (MATCH, IS, CONTAINS) and isinstance(condition.get("key"), str):
        return _property(kind, condition, user_id)
    return (_NEVER,)


def _property(kind: str, condition: JsonDict, user_id: str) -> Condition:
    path = property_path(condition["key"])
    if kind == MATCH:
        pattern = condition.get("pattern")
        if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
            return (_NEVER,)
        if pattern == user_id and path not in (_BODY, _ROOM):
            return (MATCH, path, USER)
        return (MATCH, path, pattern.lower())
    if "value" not in condition:
        return (_NEVER,)
    value = condition["value"]
    of_kind = simple_kind(value)
    if of_kind is None:
        return (_NEVER,)
    if value == user_id:
        return (kind, path, USER)
    return (kind, path, of_kind, value)


def property_path(key: str) -> tuple[str, ...]:
    """The names in a path (Appendices, "Dot-separated property paths")."""
    names = [""]
    escaped = False
    for char in key:
        if escaped:
            names[-1] += char if char in ".\\" else "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ".":
            names.append("")
        else:
            names[-1] += char
    if escaped:
        names[-1] += "\\"
    return tuple(names)
