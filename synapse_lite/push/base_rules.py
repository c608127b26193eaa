"""The push rules that everybody has (client-server API, "Predefined Rules")."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..util.json import JsonDict, JsonValue

KINDS = ("override", "content", "room", "sender", "underride")
"""The kinds of rules in the order in which they are asked."""

MASTER_RULE = ".m.rule.master"
"""Comes before all other rules, also those that users make."""

_NOTIFY = "notify"
_HIGHLIGHT: JsonDict = {"set_tweak": "highlight"}


@attrs.frozen
class BaseRule:
    """A rule that everybody has. Its conditions may depend on the user."""

    kind: str
    rule_id: str
    conditions: Callable[[str], list[JsonDict]]
    actions: tuple[JsonValue, ...]
    enabled: bool = True


def _sound(value: str) -> JsonDict:
    return {"set_tweak": "sound", "value": value}


def _match(key: str, pattern: str) -> JsonDict:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _is(key: str, value: JsonValue) -> JsonDict:
    return {"kind": "event_property_is", "key": key, "value": value}


def _always(*conditions: JsonDict) -> Callable[[str], list[JsonDict]]:
    return lambda user_id: list(conditions)


_TWO_MEMBERS: JsonDict = {"kind": "room_member_count", "is": "2"}

BASE_RULES = (
    BaseRule("override", MASTER_RULE, _always(), (), enabled=False),
    BaseRule(
        "override",
        ".m.rule.suppress_notices",
        _always(_match("content.msgtype", "m.notice")),
        (),
    ),
    BaseRule(
        "override",
        ".m.rule.invite_for_me",
        lambda user_id: [
            _match("type", "m.room.member"),
            _match("content.membership", "invite"),
            _match("state_key", user_id),
        ],
        (_NOTIFY, _sound("default")),
    ),
    BaseRule("override", ".m.rule.member_event", _always(_match("type", "m.room.member")), ()),
    BaseRule(
        "override",
        ".m.rule.is_user_mention",
        lambda user_id: [
            {
                "kind": "event_property_contains",
                "key": "content.m\\.mentions.user_ids",
                "value": user_id,
            }
        ],
        (_NOTIFY, _sound("default"), _HIGHLIGHT),
    ),
    BaseRule(
        "override",
        ".m.rule.is_room_mention",
        _always(
            _is("content.m\\.mentions.room", True),
            {"kind": "sender_notification_permission", "key": "room"},
        ),
        (_NOTIFY, _HIGHLIGHT),
    ),
    BaseRule(
        "override",
        ".m.rule.tombstone",
        _always(_match("type", "m.room.tombstone"), _match("state_key", "")),
        (_NOTIFY, _HIGHLIGHT),
    ),
    BaseRule("override", ".m.rule.reaction", _always(_match("type", "m.reaction")), ()),
    BaseRule(
        "override",
        ".m.rule.room.server_acl",
        _always(_match("type", "m.room.server_acl"), _match("state_key", "")),
        (),
    ),
    BaseRule(
        "override",
        ".m.rule.suppress_edits",
        _always(_is("content.m\\.relates_to.rel_type", "m.replace")),
        (),
    ),
    BaseRule(
        "underride",
        ".m.rule.call",
        _always(_match("type", "m.call.invite")),
        (_NOTIFY, _sound("ring")),
    ),
    BaseRule(
        "underride",
        ".m.rule.encrypted_room_one_to_one",
        _always(_TWO_MEMBERS, _match("type", "m.room.encrypted")),
        (_NOTIFY, _sound("default")),
    ),
    BaseRule(
        "underride",
        ".m.rule.room_one_to_one",
        _always(_TWO_MEMBERS, _match("type", "m.room.message")),
        (_NOTIFY, _sound("default")),
    ),
    BaseRule("underride", ".m.rule.message", _always(_match("type", "m.room.message")), (_NOTIFY,)),
    BaseRule(
        "underride", ".m.rule.encrypted", _always(_match("type", "m.room.encrypted")), (_NOTIFY,)
    ),
)

_BY_KEY = {(rule.kind, rule.rule_id): rule for rule in BASE_RULES}


def base_rule(kind: str, rule_id: str) -> BaseRule | None:
    """The rule that everybody has under this id, if there is one."""
    return _BY_KEY.get((kind, rule_id))
