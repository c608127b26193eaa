"""The body of a request to create a room (client-server API, POST /createRoom)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ..api.constants import EventTypes, Membership
from ..api.errors import (
    BadJsonError,
    ForbiddenError,
    InvalidParamError,
    InvalidRoomStateError,
    UnsupportedRoomVersionError,
)
from ..events.room_versions import ROOM_VERSIONS, RoomVersion
from ..http.parameters import (
    check_dict,
    optional_bool,
    optional_dict,
    optional_enum,
    optional_list,
    optional_str,
    optional_str_list,
    require_str,
)
from ..types.ids import InvalidIdError, parse_room_alias, parse_user_id
from ..util.json import JsonDict, JsonValue
from .room_presets import PRESETS

MAX_INVITES = 200
MAX_INITIAL_STATE = 200

_PRESET_OF_VISIBILITY = {"public": "public_chat", "private": "private_chat"}
_NOT_INITIAL = (EventTypes.CREATE, EventTypes.REDACTION)


@attrs.frozen
class InitialState:
    """A state event that the creator wants in the new room."""

    type: str
    state_key: str
    content: JsonDict


@attrs.frozen
class RoomOptions:
    """What a new room shall be like. `alias` is complete; `invite` names each user once."""

    room_version: RoomVersion
    preset: str
    is_public: bool
    alias: str | None
    name: str | None
    topic: str | None
    invite: tuple[str, ...]
    creation_content: Mapping[str, Any]
    initial_state: tuple[InitialState, ...]
    is_direct: bool
    power_levels: Mapping[str, Any]

    @staticmethod
    def from_json(body: JsonDict, server_name: str, default_version: str) -> RoomOptions:
        """Read the body of the request.

        Raises BadJsonError, MissingParamError, InvalidParamError, InvalidRoomStateError,
        UnsupportedRoomVersionError; ForbiddenError for invites by email or telephone.
        """
        visibility = optional_enum(body, "visibility", _PRESET_OF_VISIBILITY, "private")
        if optional_list(body, "invite_3pid"):
            raise ForbiddenError("This server invites nobody by email address or phone number")
        return RoomOptions(
            room_version=_room_version(body, default_version),
            preset=optional_enum(body, "preset", PRESETS, _PRESET_OF_VISIBILITY[visibility]),
            is_public=visibility == "public",
            alias=_alias(body, server_name),
            name=optional_str(body, "name"),
            topic=optional_str(body, "topic"),
            invite=_invite(body),
            creation_content=optional_dict(body, "creation_content", {}),
            initial_state=_initial_state(body),
            is_direct=optional_bool(body, "is_direct", False),
            power_levels=optional_dict(body, "power_level_content_override", {}),
        )


def _room_version(body: JsonDict, default: str) -> RoomVersion:
    identifier = optional_str(body, "room_version", default)
    version = ROOM_VERSIONS.get(identifier)
    if version is None:
        raise UnsupportedRoomVersionError("This server does not know the room version")
    return version


def _alias(body: JsonDict, server_name: str) -> str | None:
    localpart = optional_str(body, "room_alias_name")
    if localpart is None:
        return None
    if ":" in localpart or "#" in localpart or any(character.isspace() for character in localpart):
        raise InvalidParamError("room_alias_name must be only the part between '#' and ':'")
    alias = f"#{localpart}:{server_name}"
    try:
        parse_room_alias(alias)
    except InvalidIdError as error:
        raise InvalidParamError(str(error)) from error
    return alias


def _invite(body: JsonDict) -> tuple[str, ...]:
    invited = optional_str_list(body, "invite", (), max_items=MAX_INVITES)
    for user_id in invited:
        try:
            parse_user_id(user_id)
        except InvalidIdError as error:
            raise InvalidParamError(str(error)) from error
    return tuple(dict.fromkeys(invited))


def _initial_state(body: JsonDict) -> tuple[InitialState, ...]:
    events = optional_list(body, "initial_state", [], max_items=MAX_INITIAL_STATE)
    return tuple(_state_event(event) for event in events)


def _state_event(value: JsonValue) -> InitialState:
    event = check_dict(value, "An event of initial_state")
    event_type = require_str(event, "type", allow_empty=False)
    state_key = event.get("state_key", "")
    if not isinstance(state_key, str):
        raise BadJsonError("state_key must be a string")
    content = check_dict(event.get("content"), "content")
    # Others than bans come by way of `invite`, with its limits.
    bans = content.get("membership") == Membership.BAN
    if event_type in _NOT_INITIAL or (event_type == EventTypes.MEMBER and not bans):
        raise InvalidRoomStateError(f"initial_state cannot hold this {event_type}")
    return InitialState(event_type, state_key, content)
