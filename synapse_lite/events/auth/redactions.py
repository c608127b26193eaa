"""When a redaction takes effect (room versions, "Handling redactions")."""

from __future__ import annotations

from collections.abc import Mapping

from ...types.ids import domain_of
from ..event import Event, StateKey
from .power_levels import PowerLevels


def redaction_allowed(
    redaction: Event, redacted_sender: str, state: Mapping[StateKey, Event]
) -> bool:
    """Whether an accepted redaction applies to an event of this sender in the same room.

    `state` is the state before the redaction. In versions 1 and 2 the authorisation rules have
    already decided it.
    """
    if redaction.room_version.redaction_auth_rule:
        return True
    if domain_of(redaction.sender) == domain_of(redacted_sender):
        return True
    return has_redact_level(redaction, state)


def has_redact_level(redaction: Event, state: Mapping[StateKey, Event]) -> bool:
    """Whether the sender's power level suffices to redact events of others."""
    levels = PowerLevels.of_state(state, redaction.room_version)
    return levels.of_user(redaction.sender) >= levels.named("redact")
