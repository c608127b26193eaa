"""Joins of restricted rooms: by members of other rooms, on the word of a member who may invite."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..api.constants import EventTypes, JoinRules, Membership
from ..api.errors import ForbiddenError
from ..events.auth import PowerLevels, join_rule_of
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..util.json import JsonValue

_KEYS: tuple[StateKey, ...] = (
    (EventTypes.CREATE, ""),
    (EventTypes.JOIN_RULES, ""),
    (EventTypes.POWER_LEVELS, ""),
)
_ENOUGH = (Membership.INVITE, Membership.JOIN)

MAX_CONDITIONS = 1_000
"""So many entries of `allow` are looked at."""


class RestrictedJoinPolicy:
    """Decides about joins of users of this server (client-server API, "Restricted rooms")."""

    def __init__(self, hs: Homeserver) -> None:
        self._state = hs.part(CurrentStateWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)

    async def authoriser_for(
        self, user_id: str, room_id: str, room_version: RoomVersion, membership: str
    ) -> str | None:
        """The member by whose right the user may join, or None if none is needed.

        `membership` is what the user is in the room now. Raises ForbiddenError if the user
        satisfies no condition, or if no member of this server may let them in.
        """
        if not room_version.restricted_join or membership in _ENOUGH:
            return None
        state = await self._state.get_current_state_events(room_id, keys=_KEYS)
        rule = join_rule_of(state)
        restricted = rule == JoinRules.RESTRICTED or (
            rule == JoinRules.KNOCK_RESTRICTED and room_version.knock_restricted
        )
        if not restricted:
            return None
        if not await self._is_member_of_any(user_id, allowed_rooms(state)):
            raise ForbiddenError("You are in none of the rooms whose members may join")
        return await self._strongest_inviter(room_id, room_version, state)

    async def _is_member_of_any(self, user_id: str, room_ids: Collection[str]) -> bool:
        rooms = await self._memberships.get_rooms_for_user(user_id)
        return any(
            room_id in rooms and rooms[room_id].membership == Membership.JOIN
            for room_id in room_ids
        )

    async def _strongest_inviter(
        self, room_id: str, room_version: RoomVersion, state: Mapping[StateKey, Event]
    ) -> str:
        levels = PowerLevels.of_state(state, room_version)
        needed = levels.named("invite")
        members = await self._memberships.get_local_users_in_room(room_id)
        able = [(levels.of_user(user_id), user_id) for user_id in members]
        strongest = max(able, default=(needed - 1, ""))
        if strongest[0] < needed:
            raise ForbiddenError("No member on this server may let you into the room")
        return strongest[1]


def allowed_rooms(state: Mapping[StateKey, Event]) -> list[str]:
    """The rooms whose members the join rules let in."""
    event = state.get((EventTypes.JOIN_RULES, ""))
    conditions = None if event is None else event.content.get("allow")
    if not isinstance(conditions, list):
        return []
    found = (_room_of(condition) for condition in conditions[:MAX_CONDITIONS])
    return [room_id for room_id in found if room_id is not None]


def _room_of(condition: JsonValue) -> str | None:
    if not isinstance(condition, dict) or condition.get("type") != "m.room_membership":
        return None
    room_id = condition.get("room_id")
    return room_id if isinstance(room_id, str) else None
