"""Which state events authorise an event (server-server API, "Auth events selection")."""

from __future__ import annotations

from ...api.constants import EventTypes, Membership
from ...util.json import JsonDict
from ..event import StateKey
from ..room_versions import RoomVersion

_NEEDS_JOIN_RULES = (Membership.JOIN, Membership.INVITE, Membership.KNOCK)


def auth_types_for_event(
    room_version: RoomVersion,
    event_type: str,
    sender: str,
    state_key: str | None,
    content: JsonDict,
) -> set[StateKey]:
    """The types and state keys of the state events that belong into `auth_events`."""
    if event_type == EventTypes.CREATE:
        return set()
    wanted = {(EventTypes.POWER_LEVELS, ""), (EventTypes.MEMBER, sender)}
    if not room_version.room_id_from_create_event:
        wanted.add((EventTypes.CREATE, ""))
    if event_type == EventTypes.MEMBER and state_key is not None:
        wanted |= _types_for_membership(room_version, state_key, content)
    return wanted


def _types_for_membership(
    room_version: RoomVersion, state_key: str, content: JsonDict
) -> set[StateKey]:
    wanted = {(EventTypes.MEMBER, state_key)}
    membership = content.get("membership")
    if membership in _NEEDS_JOIN_RULES:
        wanted.add((EventTypes.JOIN_RULES, ""))
    if membership == Membership.INVITE:
        token = third_party_token(content)
        if token is not None:
            wanted.add((EventTypes.THIRD_PARTY_INVITE, token))
    if membership == Membership.JOIN and room_version.restricted_join:
        authoriser = content.get("join_authorised_via_users_server")
        if isinstance(authoriser, str):
            wanted.add((EventTypes.MEMBER, authoriser))
    return wanted


def third_party_token(content: JsonDict) -> str | None:
    """`third_party_invite.signed.token` of a membership, if it is there."""
    invite = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, dict) else None
    token = signed.get("token") if isinstance(signed, dict) else None
    return token if isinstance(token, str) else None
