"""Options of rooms and of their list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Rooms")
class RoomsConfig:
    """What new rooms are like, and how rooms are found."""

    encryption_enabled_by_default_for_room_type: str = option(
        default="off",
        doc="Which new rooms are encrypted without being asked: `all`, `invite` (those that need "
        "an invite) or `off`.",
        parse=_parsers.one_of("all", "invite", "off"),
    )
    enable_room_list_search: bool = option(
        default=True, doc="Serve the list of public rooms. If false it is empty."
    )
    enable_search: bool = option(
        default=True,
        doc="Index messages and let users search for them. While it is false nothing is indexed; "
        "once it is true again, what came meanwhile is caught up with.",
    )
    default_power_level_content_override: Mapping[str, Any] = option(
        default={},
        doc="Content that replaces parts of the first power levels of a new room, by preset.",
        example={"trusted_private_chat": {"users_default": 0}},
    )
