"""What new rooms are like unless their creator says otherwise (POST /createRoom, "preset")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ..api.constants import EventTypes, HistoryVisibility, JoinRules
from ..events.room_versions import RoomVersion
from ..util.json import JsonDict


@attrs.frozen
class Preset:
    """One preset. `power_levels` replaces parts of the power levels that all rooms get."""

    join_rule: str
    history_visibility: str
    guest_access: str
    power_levels: Mapping[str, Any]
    invitees_are_equal: bool = False
    needs_invite: bool = True


PRESETS: Mapping[str, Preset] = {
    "private_chat": Preset(
        JoinRules.INVITE, HistoryVisibility.SHARED, "can_join", power_levels={"invite": 0}
    ),
    "trusted_private_chat": Preset(
        JoinRules.INVITE,
        HistoryVisibility.SHARED,
        "can_join",
        power_levels={"invite": 0},
        invitees_are_equal=True,
    ),
    "public_chat": Preset(
        JoinRules.PUBLIC,
        HistoryVisibility.SHARED,
        "forbidden",
        power_levels={},
        needs_invite=False,
    ),
}
"""The presets by name."""

_CREATOR_LEVEL = 100
_ABOVE_ADMINISTRATORS = 150

_STATE_LEVELS: Mapping[str, int] = {
    EventTypes.NAME: 50,
    EventTypes.AVATAR: 50,
    EventTypes.CANONICAL_ALIAS: 50,
    EventTypes.POWER_LEVELS: 100,
    EventTypes.HISTORY_VISIBILITY: 100,
    EventTypes.ENCRYPTION: 100,
    EventTypes.SERVER_ACL: 100,
    EventTypes.TOMBSTONE: 100,
}


def power_levels_of(
    room_version: RoomVersion, creator: str, preset: Preset, invited: Sequence[str]
) -> JsonDict:
    """The first power levels of a room, before its creator's own wishes."""
    users: dict[str, int] = {}
    events = dict(_STATE_LEVELS)
    if room_version.privileged_creators:
        # Creators stand above all levels and must not be listed. Replacing the room is theirs.
        events[EventTypes.TOMBSTONE] = _ABOVE_ADMINISTRATORS
    else:
        equals = invited if preset.invitees_are_equal else ()
        users = dict.fromkeys((creator, *equals), _CREATOR_LEVEL)
    return {
        "users": users,
        "users_default": 0,
        "events": events,
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 50,
        "historical": 100,
        **preset.power_levels,
    }


def state_of(preset: Preset, *, encrypted: bool) -> list[tuple[str, JsonDict]]:
    """Types and contents of the state events that a preset implies, in their order."""
    events: list[tuple[str, JsonDict]] = [
        (EventTypes.JOIN_RULES, {"join_rule": preset.join_rule}),
        (EventTypes.HISTORY_VISIBILITY, {"history_visibility": preset.history_visibility}),
        (EventTypes.GUEST_ACCESS, {"guest_access": preset.guest_access}),
    ]
    if encrypted:
        events.append((EventTypes.ENCRYPTION, {"algorithm": "m.megolm.v1.aes-sha2"}))
    return events
