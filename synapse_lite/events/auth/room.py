"""Questions about a room's state that the rules and their callers share."""

from __future__ import annotations

from collections.abc import Mapping

from ...api.constants import EventTypes, JoinRules, Membership
from ..event import Event, StateKey
from .power_levels import PowerLevels, create_event_creators


def membership_of(user_id: str, state: Mapping[StateKey, Event]) -> str:
    """The user's membership; "leave" for who was never in the room."""
    event = state.get((EventTypes.MEMBER, user_id))
    if event is None or event.membership is None:
        return Membership.LEAVE
    return event.membership


def join_rule_of(state: Mapping[StateKey, Event]) -> str:
    """The join rule; "invite" when none is set."""
    event = state.get((EventTypes.JOIN_RULES, ""))
    rule = None if event is None else event.content.get("join_rule")
    return rule if isinstance(rule, str) else JoinRules.INVITE


def creators_of(state: Mapping[StateKey, Event]) -> frozenset[str]:
    """The room's creators: one, or with `additional_creators` several from version 12 on."""
    create = state.get((EventTypes.CREATE, ""))
    return frozenset() if create is None else create_event_creators(create)


def can_invite(user_id: str, state: Mapping[StateKey, Event]) -> bool:
    """Whether the user is joined and has the level to invite."""
    create = state.get((EventTypes.CREATE, ""))
    if create is None or membership_of(user_id, state) != Membership.JOIN:
        return False
    levels = PowerLevels.of_state(state, create.room_version)
    return levels.of_user(user_id) >= levels.named("invite")
