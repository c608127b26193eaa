"""Reading power levels: who has how much, and what takes how much.

Until room version 9 levels may be strings and floats; every reader goes through `read_level`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import attrs

from ...api.constants import EventTypes
from ...util.json import JsonDict, JsonValue
from ..event import Event, StateKey
from ..room_versions import RoomVersion

CREATOR_POWER_LEVEL = 2**64
"""The level of creators who stand above every level that an event can hold."""

LEVEL_DEFAULTS: dict[str, int] = {
    "users_default": 0,
    "events_default": 0,
    "state_default": 50,
    "ban": 50,
    "redact": 50,
    "kick": 50,
    "invite": 0,
}
"""The named levels of m.room.power_levels and what they are when absent."""

_CREATOR_DEFAULT = 100
_INTEGER_TEXT = re.compile(r"\s*[+-]?[0-9]{1,40}\s*\Z", re.ASCII)


def read_level(value: JsonValue, room_version: RoomVersion) -> int | None:
    """The level as an integer, or None when the version does not take the value as one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if room_version.integer_power_levels:
        return None
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, str) and _INTEGER_TEXT.match(value):
        return int(value)
    return None


def create_event_creators(create: Event) -> frozenset[str]:
    """The creators of a room, of whom there is one before room version 12."""
    if not create.room_version.implicit_room_creator:
        creator = create.content.get("creator")
        return frozenset((creator,)) if isinstance(creator, str) else frozenset()
    if not create.room_version.privileged_creators:
        return frozenset((create.sender,))
    additional = create.content.get("additional_creators")
    if not isinstance(additional, list):
        return frozenset((create.sender,))
    return frozenset((create.sender, *(user for user in additional if isinstance(user, str))))


@attrs.frozen
class PowerLevels:
    """The power levels of a room at one state."""

    room_version: RoomVersion
    content: JsonDict | None
    """Content of m.room.power_levels; None when the room has no such event."""
    creators: frozenset[str]

    @classmethod
    def of_state(cls, state: Mapping[StateKey, Event], room_version: RoomVersion) -> PowerLevels:
        """The levels that hold in this state; it must have m.room.create."""
        event = state.get((EventTypes.POWER_LEVELS, ""))
        create = state.get((EventTypes.CREATE, ""))
        creators = frozenset[str]() if create is None else create_event_creators(create)
        return cls(room_version, None if event is None else event.content, creators)

    def of_user(self, user_id: str) -> int:
        """The user's level."""
        if user_id in self.creators and self.room_version.privileged_creators:
            return CREATOR_POWER_LEVEL
        if self.content is None:
            return _CREATOR_DEFAULT if user_id in self.creators else 0
        level = self._entry("users", user_id)
        return self.named("users_default") if level is None else level

    def named(self, name: str) -> int:
        """The level under a name of `LEVEL_DEFAULTS`, such as "invite"."""
        if self.content is not None:
            level = read_level(self.content.get(name), self.room_version)
            if level is not None:
                return level
        return LEVEL_DEFAULTS[name]

    def required(self, event_type: str, *, is_state: bool) -> int:
        """The level that sending an event of this type takes."""
        level = self._entry("events", event_type)
        if level is not None:
            return level
        return self.named("state_default" if is_state else "events_default")

    def notification(self, name: str) -> int:
        """The level that notifying in this way takes, such as "room" for @room."""
        level = self._entry("notifications", name)
        return 50 if level is None else level

    def _entry(self, table: str, key: str) -> int | None:
        entries = None if self.content is None else self.content.get(table)
        if not isinstance(entries, dict):
            return None
        return read_level(entries.get(key), self.room_version)


def power_level_of(user_id: str, state: Mapping[StateKey, Event], room_version: RoomVersion) -> int:
    """The user's power level; `CREATOR_POWER_LEVEL` for creators that stand above all."""
    return PowerLevels.of_state(state, room_version).of_user(user_id)


def required_level(event_type: str, is_state: bool, power_levels: PowerLevels) -> int:
    """The power level that sending an event of this type takes."""
    return power_levels.required(event_type, is_state=is_state)
