"""Who may see an event (client-server API, "Room History Visibility")."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..api.constants import EventTypes, HistoryVisibility, Membership
from ..util.json import JsonDict
from .event import Event, StateKey


def visibility_in(content: JsonDict | None) -> str:
    """The setting in the content of m.room.history_visibility; "shared" if unset or unknown."""
    value = None if content is None else content.get("history_visibility")
    return value if value in HistoryVisibility.ALL else HistoryVisibility.SHARED


def history_visibility_of(state: Mapping[StateKey, Event]) -> str:
    """The setting in a state."""
    event = state.get((EventTypes.HISTORY_VISIBILITY, ""))
    return visibility_in(None if event is None else event.content)


def may_see_event(
    event: Event, user_id: str, *, visibility: str, membership: str, joined_since: bool
) -> bool:
    """Whether the user may see an event.

    `visibility` and `membership` are the room's setting and the user's membership in the state
    before the event; `joined_since` says whether the user was in the room at any time after it.
    Events that change one of the two are seen by who may see them before or after.
    """
    visibilities = [visibility]
    memberships = [membership]
    if event.type == EventTypes.HISTORY_VISIBILITY and event.state_key == "":
        visibilities.append(visibility_in(event.content))
    if event.type == EventTypes.MEMBER and event.state_key == user_id:
        memberships.append(event.membership or Membership.LEAVE)
    return any(
        _may_see(one_visibility, one_membership, joined_since)
        for one_visibility in visibilities
        for one_membership in memberships
    )


def _may_see(visibility: str, membership: str, joined_since: bool) -> bool:
    if visibility == HistoryVisibility.WORLD_READABLE or membership == Membership.JOIN:
        return True
    if visibility == HistoryVisibility.SHARED:
        return joined_since
    return visibility == HistoryVisibility.INVITED and membership == Membership.INVITE


def server_may_see_event(event: Event, *, visibility: str, memberships: Collection[str]) -> bool:
    """Whether another server in the room may be given an event with its content.

    `memberships` are those of the server's users in the state before the event. What a server
    may not see, it is given redacted.
    """
    visibilities = [visibility]
    if event.type == EventTypes.HISTORY_VISIBILITY and event.state_key == "":
        visibilities.append(visibility_in(event.content))
    return any(_server_may_see(one, memberships) for one in visibilities)


def _server_may_see(visibility: str, memberships: Collection[str]) -> bool:
    if visibility in (HistoryVisibility.WORLD_READABLE, HistoryVisibility.SHARED):
        return True
    if Membership.JOIN in memberships:
        return True
    return visibility == HistoryVisibility.INVITED and Membership.INVITE in memberships
