"""The authorisation rules in their order (room versions, "Authorisation rules").

They come in two parts: what an event and its auth events alone decide, once, when it arrives, and
what depends on a state, which is asked of the auth events, the state before the event, and the
current state in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...api.constants import EventTypes, Membership
from ...api.errors import ForbiddenError
from ...types.ids import domain_of
from ..event import Event, StateKey
from .create import check_create, check_federation_allowed, check_room_of_create
from .level_changes import check_power_levels
from .membership import check_membership
from .power_levels import PowerLevels
from .redactions import has_redact_level
from .room import membership_of
from .selection import auth_types_for_event


def check_state_independent_auth(
    event: Event, auth_events: Iterable[Event], *, create_event: Event | None = None
) -> None:
    """Check the rules on m.room.create and on the choice of auth events.

    `auth_events` are all events that `event.auth_event_ids` names; an event of which one is not
    known cannot be checked. `create_event` must be given where room ids come from it, because it is
    then no auth event. Raises ForbiddenError.
    """
    if event.type == EventTypes.CREATE:
        check_create(event)
        return
    version = event.room_version
    if version.room_id_from_create_event:
        check_room_of_create(event, create_event)
    seen = _check_auth_events(event, auth_events)
    if not version.room_id_from_create_event and (EventTypes.CREATE, "") not in seen:
        raise ForbiddenError("The create event is not among the auth events")


def _check_auth_events(event: Event, auth_events: Iterable[Event]) -> set[StateKey]:
    expected = auth_types_for_event(
        event.room_version, event.type, event.sender, event.state_key, event.content
    )
    seen: set[StateKey] = set()
    for auth_event in auth_events:
        if auth_event.state_key is None or auth_event.state_tuple not in expected:
            raise ForbiddenError(f"{auth_event.event_id} cannot authorise this event")
        if auth_event.state_tuple in seen:
            raise ForbiddenError(f"Two auth events are for {auth_event.state_tuple}")
        if auth_event.metadata.rejected_reason is not None:
            raise ForbiddenError(f"The auth event {auth_event.event_id} was rejected")
        if auth_event.room_id != event.room_id:
            raise ForbiddenError(f"The auth event {auth_event.event_id} is from another room")
        seen.add(auth_event.state_tuple)
    return seen


def check_state_dependent_auth(event: Event, state: Mapping[StateKey, Event]) -> None:
    """Check the rules that depend on the room's state; raises ForbiddenError.

    Of the state, only the events of `auth_types_for_event` and m.room.create are looked at; all of
    them that exist must be in `state`, m.room.create in every room version.
    """
    if event.type == EventTypes.CREATE:
        return
    create = state.get((EventTypes.CREATE, ""))
    if create is None:
        raise ForbiddenError("The room has no create event")
    check_federation_allowed(event, create)
    if event.type == EventTypes.ALIASES and event.room_version.special_case_aliases_auth:
        _check_aliases(event)
        return
    levels = PowerLevels.of_state(state, event.room_version)
    if event.type == EventTypes.MEMBER:
        check_membership(event, state, levels)
        return
    _check_sender(event, state, levels)
    if event.type == EventTypes.POWER_LEVELS:
        check_power_levels(event, state, levels)
    elif event.type == EventTypes.REDACTION and event.room_version.redaction_auth_rule:
        _check_redaction(event, state)


def _check_aliases(event: Event) -> None:
    if event.state_key is None or event.state_key != domain_of(event.sender):
        raise ForbiddenError("A server can only set its own aliases")


def _check_sender(event: Event, state: Mapping[StateKey, Event], levels: PowerLevels) -> None:
    if membership_of(event.sender, state) != Membership.JOIN:
        raise ForbiddenError(f"{event.sender} is not in the room")
    own = levels.of_user(event.sender)
    if event.type == EventTypes.THIRD_PARTY_INVITE:
        if own < levels.named("invite"):
            raise ForbiddenError(f"{event.sender} lacks the power level to invite")
        return
    needed = levels.required(event.type, is_state=event.is_state)
    if own < needed:
        raise ForbiddenError(
            f"Sending {event.type} takes a power level of {needed}, {event.sender} has {own}"
        )
    owned = event.state_key is not None and event.state_key.startswith("@")
    if owned and event.state_key != event.sender:
        raise ForbiddenError("State under a user's id can only be set by that user")


def _check_redaction(event: Event, state: Mapping[StateKey, Event]) -> None:
    redacted = event.redacts
    if redacted is not None and domain_of(redacted) == domain_of(event.event_id):
        return
    if not has_redact_level(event, state):
        raise ForbiddenError(f"{event.sender} lacks the power level to redact events of others")


def check_auth(
    event: Event, auth_events: Iterable[Event], *, create_event: Event | None = None
) -> None:
    """Check an event against its own auth events by all rules. Raises ForbiddenError.

    `create_event` as in `check_state_independent_auth`.
    """
    auth_events = list(auth_events)
    check_state_independent_auth(event, auth_events, create_event=create_event)
    state = {auth_event.state_tuple: auth_event for auth_event in auth_events}
    if create_event is not None:
        state[(EventTypes.CREATE, "")] = create_event
    check_state_dependent_auth(event, state)
