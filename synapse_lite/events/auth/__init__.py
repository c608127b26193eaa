"""The authorisation rules of every room version, as pure functions over events and state."""

from __future__ import annotations

from .check import check_auth, check_state_dependent_auth, check_state_independent_auth
from .power_levels import CREATOR_POWER_LEVEL, PowerLevels, power_level_of, required_level
from .redactions import redaction_allowed
from .room import can_invite, creators_of, join_rule_of, membership_of
from .selection import auth_types_for_event
from .signers import required_signers

__all__ = [
    "CREATOR_POWER_LEVEL",
    "PowerLevels",
    "auth_types_for_event",
    "can_invite",
    "check_auth",
    "check_state_dependent_auth",
    "check_state_independent_auth",
    "creators_of",
    "join_rule_of",
    "membership_of",
    "power_level_of",
    "redaction_allowed",
    "required_level",
    "required_signers",
]
