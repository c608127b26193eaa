"""Authorisation of m.room.power_levels: nobody gives or takes more than they have."""

from __future__ import annotations

from collections.abc import Mapping

from ...api.constants import EventTypes
from ...api.errors import ForbiddenError
from ...types.ids import is_user_id
from ...util.json import JsonDict, JsonValue
from ..event import Event, StateKey
from ..room_versions import RoomVersion
from .power_levels import LEVEL_DEFAULTS, PowerLevels, read_level

_Table = dict[str, int]


def check_power_levels(event: Event, state: Mapping[StateKey, Event], levels: PowerLevels) -> None:
    """Raise ForbiddenError unless the new levels are well-formed and within the sender's right."""
    version = event.room_version
    for name in LEVEL_DEFAULTS:
        if name in event.content:
            _required_level(name, event.content[name], version)
    tables = {name: _required_table(name, event.content, version) for name in _tables(version)}
    for user_id in tables["users"]:
        if not is_user_id(user_id):
            raise ForbiddenError(f"{user_id!r} in the power levels is not a user id")
    if version.privileged_creators and not levels.creators.isdisjoint(tables["users"]):
        raise ForbiddenError("The power levels must not name the room's creators")
    current = state.get((EventTypes.POWER_LEVELS, ""))
    if current is None:
        return
    own = levels.of_user(event.sender)
    for name in LEVEL_DEFAULTS:
        before = read_level(current.content.get(name), version)
        _check_change(name, before, read_level(event.content.get(name), version), own)
    for name, table in tables.items():
        before_table = _known_levels(current.content.get(name), version)
        if name == "users":
            _check_users(before_table, table, event.sender, own)
        else:
            _check_table(before_table, table, own)


def _tables(version: RoomVersion) -> tuple[str, ...]:
    if version.limit_notifications_power_levels:
        return ("events", "notifications", "users")
    return ("events", "users")


def _check_table(before: _Table, after: _Table, own: int) -> None:
    for key in before.keys() | after.keys():
        _check_change(key, before.get(key), after.get(key), own)


def _check_change(name: str, before: int | None, after: int | None, own: int) -> None:
    if before == after:
        return
    if (before is not None and before > own) or (after is not None and after > own):
        raise ForbiddenError(f"Changing the level of {name!r} takes more power than {own}")


def _check_users(before: _Table, after: _Table, sender: str, own: int) -> None:
    for user_id in before.keys() | after.keys():
        old, new = before.get(user_id), after.get(user_id)
        if old == new:
            continue
        if old is not None and old >= own and user_id != sender:
            raise ForbiddenError(f"{sender} does not stand above {user_id}")
        if new is not None and new > own:
            raise ForbiddenError(f"{sender} cannot give {user_id} more power than {own}")


def _required_level(name: str, value: JsonValue, version: RoomVersion) -> int:
    level = read_level(value, version)
    if level is None:
        raise ForbiddenError(f"The power level of {name!r} is not an integer")
    return level


def _required_table(name: str, content: JsonDict, version: RoomVersion) -> _Table:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ForbiddenError(f"{name!r} in the power levels is not an object")
    return {key: _required_level(key, value, version) for key, value in table.items()}


def _known_levels(table: JsonValue, version: RoomVersion) -> _Table:
    """The readable entries of a table of the current event, which older rules let be anything."""
    if not isinstance(table, dict):
        return {}
    levels = ((key, read_level(value, version)) for key, value in table.items())
    return {key: level for key, level in levels if level is not None}
