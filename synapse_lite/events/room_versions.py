"""The room versions as a table: one value holds every rule in which a version differs.

Code asks the value (`event.room_version.knock`), never which version it is (specification, "Room
Versions").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class EventFormat(enum.Enum):
    """How events of a version refer to each other and get their ids."""

    V1 = "ids chosen by the sender; references are pairs of id and hashes"
    V3 = "ids are reference hashes in unpadded base64; references are ids"
    V4 = "ids are reference hashes in URL-safe unpadded base64; references are ids"


class StateResolutionVersion(enum.Enum):
    """The algorithm that makes one state out of several."""

    V1 = "1"
    V2 = "2"
    V2_1 = "2.1"


@attrs.frozen(eq=False)
class RedactionRules:
    """What survives the redaction of an event.

    `content_keys` names the keys of `content` kept for each event type, `whole_content` the types
    that keep all of it. `third_party_signed` says whether `third_party_invite.signed` of a
    membership stays.
    """

    top_level_keys: frozenset[str]
    content_keys: Mapping[str, tuple[str, ...]]
    whole_content: frozenset[str] = frozenset()
    third_party_signed: bool = False


@attrs.frozen(eq=False)
class RoomVersion:
    """One room version. Values are compared by identity; there is one for each identifier."""

    identifier: str
    event_format: EventFormat
    state_resolution: StateResolutionVersion
    redaction_rules: RedactionRules
    stable: bool = True
    enforce_key_validity: bool = False
    """Signing keys count only within their validity period."""
    strict_canonical_json: bool = False
    """Floats and integers beyond ±(2^53 - 1) are refused; `depth` ends at 2^53 - 1."""
    special_case_aliases_auth: bool = False
    """m.room.aliases is authorised by the sender's domain alone."""
    redaction_auth_rule: bool = False
    """The authorisation rules decide whether a redaction event may be sent."""
    limit_notifications_power_levels: bool = False
    """`notifications` of m.room.power_levels is guarded as `events` is."""
    knock: bool = False
    restricted_join: bool = False
    knock_restricted: bool = False
    integer_power_levels: bool = False
    """Power levels must be integers; before, strings and floats were read as integers."""
    redacts_in_content: bool = False
    """`redacts` of m.room.redaction lies in `content`, not at the top level."""
    implicit_room_creator: bool = False
    """The creator is the sender of m.room.create, not its `content.creator`."""
    room_id_from_create_event: bool = False
    """The room id is the id of m.room.create, which has no `room_id` and is never an auth event."""
    privileged_creators: bool = False
    """Creators, `additional_creators` among them, stand above every power level."""

    @property
    def max_depth(self) -> int:
        """Largest `depth` of an event."""
        return 2**53 - 1 if self.strict_canonical_json else 2**63 - 1

    @property
    def event_id_is_hash(self) -> bool:
        """Whether event ids are reference hashes."""
        return self.event_format is not EventFormat.V1


_TOP_LEVEL = frozenset(
    {
        "event_id",
        "type",
        "room_id",
        "sender",
        "state_key",
        "content",
        "hashes",
        "signatures",
        "depth",
        "prev_events",
        "auth_events",
        "origin_server_ts",
    }
)

_POWER_LEVEL_KEYS = (
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
)

_CONTENT_V6: dict[str, tuple[str, ...]] = {
    "m.room.member": ("membership",),
    "m.room.create": ("creator",),
    "m.room.join_rules": ("join_rule",),
    "m.room.power_levels": _POWER_LEVEL_KEYS,
    "m.room.history_visibility": ("history_visibility",),
}
_CONTENT_V8 = {**_CONTENT_V6, "m.room.join_rules": ("join_rule", "allow")}
_CONTENT_V9 = {
    **_CONTENT_V8,
    "m.room.member": ("membership", "join_authorised_via_users_server"),
}

_OLD_TOP_LEVEL = _TOP_LEVEL | {"prev_state", "origin", "membership"}

_REDACTION_V1 = RedactionRules(_OLD_TOP_LEVEL, {**_CONTENT_V6, "m.room.aliases": ("aliases",)})
_REDACTION_V6 = RedactionRules(_OLD_TOP_LEVEL, _CONTENT_V6)
_REDACTION_V8 = RedactionRules(_OLD_TOP_LEVEL, _CONTENT_V8)
_REDACTION_V9 = RedactionRules(_OLD_TOP_LEVEL, _CONTENT_V9)
_REDACTION_V11 = RedactionRules(
    _TOP_LEVEL,
    {
        **_CONTENT_V9,
        "m.room.power_levels": (*_POWER_LEVEL_KEYS, "invite"),
        "m.room.redaction": ("redacts",),
    },
    whole_content=frozenset({"m.room.create"}),
    third_party_signed=True,
)

_V1 = RoomVersion(
    "1",
    EventFormat.V1,
    StateResolutionVersion.V1,
    _REDACTION_V1,
    special_case_aliases_auth=True,
    redaction_auth_rule=True,
)
_V2 = attrs.evolve(_V1, identifier="2", state_resolution=StateResolutionVersion.V2)
_V3 = attrs.evolve(_V2, identifier="3", event_format=EventFormat.V3, redaction_auth_rule=False)
_V4 = attrs.evolve(_V3, identifier="4", event_format=EventFormat.V4)
_V5 = attrs.evolve(_V4, identifier="5", enforce_key_validity=True)
_V6 = attrs.evolve(
    _V5,
    identifier="6",
    strict_canonical_json=True,
    special_case_aliases_auth=False,
    limit_notifications_power_levels=True,
    redaction_rules=_REDACTION_V6,
)
_V7 = attrs.evolve(_V6, identifier="7", knock=True)
_V8 = attrs.evolve(_V7, identifier="8", restricted_join=True, redaction_rules=_REDACTION_V8)
_V9 = attrs.evolve(_V8, identifier="9", redaction_rules=_REDACTION_V9)
_V10 = attrs.evolve(_V9, identifier="10", knock_restricted=True, integer_power_levels=True)
_V11 = attrs.evolve(
    _V10,
    identifier="11",
    redacts_in_content=True,
    implicit_room_creator=True,
    redaction_rules=_REDACTION_V11,
)
_V12 = attrs.evolve(
    _V11,
    identifier="12",
    state_resolution=StateResolutionVersion.V2_1,
    room_id_from_create_event=True,
    privileged_creators=True,
)

ROOM_VERSIONS: dict[str, RoomVersion] = {
    version.identifier: version
    for version in (_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10, _V11, _V12)
}
"""Every room version that this server speaks, by identifier."""

DEFAULT_ROOM_VERSION = "12"
"""The version of new rooms, as the specification recommends."""
