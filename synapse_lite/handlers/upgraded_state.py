"""What the state of a room becomes in the room that replaces it (module "Room Upgrades")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..api.constants import EventTypes, JoinRules
from ..events.auth import PowerLevels
from ..events.auth.power_levels import LEVEL_DEFAULTS, read_level
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..types.ids import is_user_id
from ..util.json import JsonDict

COPIED: tuple[str, ...] = (
    EventTypes.JOIN_RULES,
    EventTypes.HISTORY_VISIBILITY,
    EventTypes.GUEST_ACCESS,
    EventTypes.ENCRYPTION,
    EventTypes.SERVER_ACL,
    EventTypes.NAME,
    EventTypes.TOPIC,
    EventTypes.AVATAR,
)
"""Types that are carried over under the empty state key, in this order."""

SPACE = "m.space"

_ADMINISTRATOR = 100
_ABOVE_ADMINISTRATORS = 150
_MODERATOR = 50

_FALLBACKS: Mapping[str, tuple[str, ...]] = {
    JoinRules.KNOCK: (JoinRules.KNOCK, JoinRules.INVITE),
    JoinRules.RESTRICTED: (JoinRules.RESTRICTED, JoinRules.INVITE),
    JoinRules.KNOCK_RESTRICTED: (
        JoinRules.KNOCK_RESTRICTED,
        JoinRules.RESTRICTED,
        JoinRules.KNOCK,
        JoinRules.INVITE,
    ),
}
_WITH_CONDITIONS = (JoinRules.RESTRICTED, JoinRules.KNOCK_RESTRICTED)


def create_content(
    old: Event, version: RoomVersion, sender: str, additional_creators: Collection[str]
) -> JsonDict:
    """Content of the new m.room.create, without its predecessor."""
    content: JsonDict = {"room_version": version.identifier}
    if isinstance(old.content.get("type"), str):
        content["type"] = old.content["type"]
    if old.content.get("m.federate") is False:
        content["m.federate"] = False
    if not version.implicit_room_creator:
        content["creator"] = sender
    others = [user_id for user_id in additional_creators if user_id != sender]
    if version.privileged_creators and others:
        content["additional_creators"] = others
    return content


def join_rules(content: Mapping[str, Any], old_room_id: str, version: RoomVersion) -> JsonDict:
    """Join rules that the new version knows; none lets in more people than the old ones.

    Where members of other rooms may join, so may those of the old room, who could be in it by
    an invite.
    """
    old_rule = content.get("join_rule")
    rule = old_rule if isinstance(old_rule, str) else JoinRules.INVITE
    known = {
        JoinRules.KNOCK: version.knock,
        JoinRules.RESTRICTED: version.restricted_join,
        JoinRules.KNOCK_RESTRICTED: version.knock_restricted,
    }
    rule = next((each for each in _FALLBACKS.get(rule, ()) if known.get(each, True)), rule)
    adjusted: JsonDict = {**content, "join_rule": rule}
    if rule not in _WITH_CONDITIONS:
        adjusted.pop("allow", None)
        return adjusted
    allow = content.get("allow")
    old_members = {"type": "m.room_membership", "room_id": old_room_id}
    conditions = [each for each in allow if each != old_members] if isinstance(allow, list) else []
    adjusted["allow"] = [*conditions, old_members]
    return adjusted


def power_levels(levels: PowerLevels, version: RoomVersion, creators: Collection[str]) -> JsonDict:
    """The power levels of the new room, once it is furnished.

    Levels are those of the old room as integers. Creators who stand above all levels in the new
    room are not listed; those who did in the old room, and no longer do, become administrators.
    """
    content = _integers(levels)
    users: dict[str, int] = content["users"]
    if levels.content is None or levels.room_version.privileged_creators:
        highest = max(_highest(content), _ADMINISTRATOR)
        users.update(dict.fromkeys(levels.creators, highest))
    if version.privileged_creators:
        for user_id in creators:
            users.pop(user_id, None)
        needed = max(levels.required(EventTypes.TOMBSTONE, is_state=True), _ABOVE_ADMINISTRATORS)
        content["events"][EventTypes.TOMBSTONE] = max(needed, content["state_default"] + 1)
    return content


def while_furnishing(content: JsonDict, version: RoomVersion, creator: str) -> JsonDict:
    """Power levels with which the creator may set all that is to be in the room."""
    if version.privileged_creators:
        return content
    users = content["users"]
    level = max(_highest(content), _ADMINISTRATOR, users.get(creator, 0))
    return {**content, "users": {**users, creator: level}}


def restricted_levels(levels: PowerLevels) -> JsonDict:
    """Power levels of the old room that let nobody but its moderators speak and invite."""
    content = dict(levels.content or {"users": dict.fromkeys(levels.creators, _ADMINISTRATOR)})
    least = max(_MODERATOR, levels.named("users_default") + 1)
    for name in ("events_default", "invite"):
        content[name] = max(levels.named(name), least)
    return content


def canonical_alias(content: Mapping[str, Any], moved: Collection[str]) -> JsonDict:
    """Content of m.room.canonical_alias with nothing but the aliases that move."""
    found: JsonDict = {}
    if content.get("alias") in moved:
        found["alias"] = content["alias"]
    alternatives = _aliases(content, moved)
    if alternatives:
        found["alt_aliases"] = alternatives
    return found


def without_aliases(content: Mapping[str, Any], moved: Collection[str]) -> JsonDict:
    """Content of m.room.canonical_alias without the aliases that have moved."""
    left = dict(content)
    if left.get("alias") in moved:
        del left["alias"]
    if isinstance(left.get("alt_aliases"), list):
        left["alt_aliases"] = [each for each in left["alt_aliases"] if each not in moved]
    return left


def space_links(state: Mapping[StateKey, Event], *, is_space: bool) -> list[Event]:
    """The links between spaces and rooms that are carried over: those that are in force."""
    types = (EventTypes.SPACE_PARENT, *((EventTypes.SPACE_CHILD,) if is_space else ()))
    return [
        event
        for (event_type, _), event in sorted(state.items())
        if event_type in types and isinstance(event.content.get("via"), list)
    ]


def _aliases(content: Mapping[str, Any], moved: Collection[str]) -> list[str]:
    listed = content.get("alt_aliases")
    return [each for each in listed if each in moved] if isinstance(listed, list) else []


def _integers(levels: PowerLevels) -> JsonDict:
    """The power levels with every level an integer; what is none is left out."""
    old = levels.content or {}
    others = {name: level for name, level in old.items() if type(level) is int}
    content: JsonDict = {**others, **{name: levels.named(name) for name in LEVEL_DEFAULTS}}
    for table in ("users", "events", "notifications"):
        entries = old.get(table)
        read = {
            key: read_level(level, levels.room_version)
            for key, level in (entries.items() if isinstance(entries, dict) else ())
            if table != "users" or is_user_id(key)
        }
        content[table] = {key: level for key, level in read.items() if level is not None}
    return content


def _highest(content: JsonDict) -> int:
    """The highest level that anything takes."""
    named = [content[name] for name in LEVEL_DEFAULTS]
    highest: int = max(*named, *content["events"].values(), *content["users"].values(), 0)
    return highest
