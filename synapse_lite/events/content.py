"""The content of events that local clients send, for the types that the server knows.

Events of other servers are not held to this: what breaks it there is handled where it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ..api.constants import EventTypes, HistoryVisibility, Membership
from ..api.errors import BadJsonError
from ..types.ids import InvalidIdError, is_user_id, parse_room_alias
from ..util.json import JsonDict, JsonValue
from .room_versions import RoomVersion


@attrs.frozen
class _Kind:
    """A kind of value: its name for the message, and its test."""

    name: str
    matches: Callable[[JsonValue], bool]


def _is_text_or_null(value: JsonValue) -> bool:
    return value is None or isinstance(value, str)


def _is_integer(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text_list(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_object_list(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_levels(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(_is_integer(level) for level in value.values())


def _is_user_levels(value: JsonValue) -> bool:
    return _is_levels(value) and all(is_user_id(user_id) for user_id in value)


def _is_alias(value: JsonValue) -> bool:
    try:
        parse_room_alias(value)
    except InvalidIdError:
        return False
    return True


def _is_alias_or_nothing(value: JsonValue) -> bool:
    return value is None or value == "" or _is_alias(value)


def _is_alias_list(value: JsonValue) -> bool:
    return isinstance(value, list) and all(_is_alias(item) for item in value)


def _is_user_list(value: JsonValue) -> bool:
    return isinstance(value, list) and all(is_user_id(item) for item in value)


_TEXT = _Kind("a string", lambda value: isinstance(value, str))
_TEXT_OR_NULL = _Kind("a string", _is_text_or_null)
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_INTEGER = _Kind("an integer", _is_integer)
_TEXT_LIST = _Kind("a list of strings", _is_text_list)
_OBJECT_LIST = _Kind("a list of objects", _is_object_list)
_LEVELS = _Kind("an object of integers", _is_levels)
_USER_LEVELS = _Kind("an object of integers by user id", _is_user_levels)
_ALIAS = _Kind("a room alias", _is_alias_or_nothing)
_ALIAS_LIST = _Kind("a list of room aliases", _is_alias_list)
_USER_LIST = _Kind("a list of user ids", _is_user_list)
_MEMBERSHIP = _Kind(
    "a known membership", lambda value: isinstance(value, str) and value in Membership.ALL
)
_VISIBILITY = _Kind(
    "a known visibility", lambda value: isinstance(value, str) and value in HistoryVisibility.ALL
)

_KINDS: Mapping[str, Mapping[str, _Kind]] = {
    EventTypes.CREATE: {
        "creator": _TEXT,
        "m.federate": _FLAG,
        "room_version": _TEXT,
        "type": _TEXT,
        "predecessor": _OBJECT,
        "additional_creators": _USER_LIST,
    },
    EventTypes.MEMBER: {
        "membership": _MEMBERSHIP,
        "displayname": _TEXT_OR_NULL,
        "avatar_url": _TEXT_OR_NULL,
        "reason": _TEXT_OR_NULL,
        "join_authorised_via_users_server": _TEXT,
        "third_party_invite": _OBJECT,
    },
    EventTypes.POWER_LEVELS: {
        "ban": _INTEGER,
        "events_default": _INTEGER,
        "invite": _INTEGER,
        "kick": _INTEGER,
        "redact": _INTEGER,
        "state_default": _INTEGER,
        "users_default": _INTEGER,
        "events": _LEVELS,
        "notifications": _LEVELS,
        "users": _USER_LEVELS,
    },
    EventTypes.JOIN_RULES: {"join_rule": _TEXT, "allow": _OBJECT_LIST},
    EventTypes.HISTORY_VISIBILITY: {"history_visibility": _VISIBILITY},
    EventTypes.GUEST_ACCESS: {"guest_access": _TEXT},
    EventTypes.ALIASES: {"aliases": _TEXT_LIST},
    EventTypes.CANONICAL_ALIAS: {"alias": _ALIAS, "alt_aliases": _ALIAS_LIST},
    EventTypes.NAME: {"name": _TEXT_OR_NULL},
    EventTypes.TOPIC: {"topic": _TEXT_OR_NULL, "m.topic": _OBJECT},
    EventTypes.AVATAR: {"url": _TEXT_OR_NULL},
    EventTypes.ENCRYPTION: {"algorithm": _TEXT},
    EventTypes.MESSAGE: {"msgtype": _TEXT, "body": _TEXT},
    EventTypes.REDACTION: {"redacts": _TEXT, "reason": _TEXT_OR_NULL},
    EventTypes.TOMBSTONE: {"body": _TEXT, "replacement_room": _TEXT},
    EventTypes.SERVER_ACL: {
        "allow": _TEXT_LIST,
        "deny": _TEXT_LIST,
        "allow_ip_literals": _FLAG,
    },
    EventTypes.PINNED_EVENTS: {"pinned": _TEXT_LIST},
    EventTypes.THIRD_PARTY_INVITE: {
        "display_name": _TEXT,
        "key_validity_url": _TEXT,
        "public_key": _TEXT,
        "public_keys": _OBJECT_LIST,
    },
}

_REQUIRED: Mapping[str, str] = {
    EventTypes.MEMBER: "membership",
    EventTypes.JOIN_RULES: "join_rule",
    EventTypes.HISTORY_VISIBILITY: "history_visibility",
}


def check_known_content(event_type: str, content: JsonDict, room_version: RoomVersion) -> None:
    """Raise BadJsonError if a key that the specification knows has a value of the wrong kind."""
    required = _REQUIRED.get(event_type)
    if required is not None and required not in content:
        raise BadJsonError(f"The content of {event_type} must have {required!r}")
    for key, kind in _KINDS.get(event_type, {}).items():
        if key in content and not kind.matches(content[key]):
            raise BadJsonError(f"{key!r} in {event_type} must be {kind.name}")
    if event_type != EventTypes.MEMBER or room_version.knock:
        return
    if content["membership"] == Membership.KNOCK:
        raise BadJsonError("This room version has no knocking")
