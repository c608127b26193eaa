"""State and members of rooms, as clients read them.

Who is in a room reads its current state, who has left it the state as of then, and everybody the
current state of a room whose history is world readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..api.constants import EventTypes, Membership
from ..api.errors import ForbiddenError, InvalidParamError, NotFoundError
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore
from ..storage.timeline import TimelineWorkerStore
from ..types.requester import Requester
from ..types.state_map import StateMap
from ..types.tokens import InvalidTokenError, RoomToken
from ..util.json import JsonDict
from .event_format import EventFormatter
from .visibility import EventVisibility, ReadAccess


class RoomStateReader:
    """Reads state for clients (client-server API, "Getting events for a room")."""

    def __init__(self, hs: Homeserver) -> None:
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._current_state = hs.part(CurrentStateWorkerStore)
        self._groups = hs.part(StateGroupsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._timeline = hs.part(TimelineWorkerStore)

    async def state(self, requester: Requester, room_id: str) -> list[msgspec.Raw]:
        """The state of a room, in client form. Raises ForbiddenError."""
        access = await self._visibility.check_readable(requester.user_id, room_id)
        events = await self._current_state.load_state(await self._state_ids(room_id, access))
        return await self._formatter.to_client(
            list(events.values()), requester, with_previous=False
        )

    async def state_event(
        self, requester: Requester, room_id: str, event_type: str, state_key: str
    ) -> Event:
        """One event of the state of a room. Raises ForbiddenError, NotFoundError."""
        access = await self._visibility.check_readable(requester.user_id, room_id)
        key = (event_type, state_key)
        if access.left is None:
            event = await self._current_state.get_current_state_event(room_id, *key)
        else:
            ids = await self._groups.get_filtered_state_ids(_group_of(access.left), (key,))
            event = (await self._current_state.load_state(ids)).get(key)
        if event is None:
            raise NotFoundError("The room has no such state")
        return event

    async def state_event_in_client_form(
        self, requester: Requester, room_id: str, event_type: str, state_key: str
    ) -> msgspec.Raw:
        """`state_event` as clients get whole events."""
        event = await self.state_event(requester, room_id, event_type, state_key)
        return await self._formatter.to_client_one(event, requester)

    async def members(
        self,
        requester: Requester,
        room_id: str,
        *,
        at: str | None = None,
        membership: str | None = None,
        not_membership: str | None = None,
    ) -> list[msgspec.Raw]:
        """The membership events of a room in client form, at a pagination token or now.

        With both conditions, those that meet either. Raises ForbiddenError, InvalidParamError.
        """
        access = await self._visibility.check_readable(requester.user_id, room_id)
        if at is None:
            state = await self._state_ids(room_id, access)
        else:
            state = await self._state_ids_at(requester, room_id, access, at)
        ids = state.of_type(EventTypes.MEMBER)
        if membership == Membership.JOIN and not_membership is None and _is_current(access, at):
            joined = await self._memberships.get_users_in_room(room_id)
            ids = {user_id: event_id for user_id, event_id in ids.items() if user_id in joined}
        events = await self._current_state.get_events(list(ids.values()))
        wanted = [
            event for event in events.values() if _is_wanted(event, membership, not_membership)
        ]
        return await self._formatter.to_client(wanted, requester, with_previous=False)

    async def joined_members(self, requester: Requester, room_id: str) -> JsonDict:
        """Name and picture of each joined user, for those who are in the room themselves.

        Raises ForbiddenError.
        """
        membership, _ = await self._memberships.get_membership(requester.user_id, room_id)
        if membership != Membership.JOIN:
            raise ForbiddenError("You are not in this room")
        joined = await self._memberships.get_users_in_room(room_id)
        keys: list[StateKey] = [(EventTypes.MEMBER, user_id) for user_id in joined]
        events = await self._current_state.get_current_state_events(room_id, keys=keys)
        return {user_id: _shown(event.content) for (_, user_id), event in events.items()}

    async def joined_rooms(self, user_id: str) -> list[str]:
        """The rooms that a user has joined."""
        rooms = await self._memberships.get_rooms_for_user(user_id)
        return [room_id for room_id, room in rooms.items() if room.membership == Membership.JOIN]

    async def _state_ids(self, room_id: str, access: ReadAccess) -> StateMap:
        if access.left is None:
            return await self._current_state.get_current_state_ids(room_id)
        return await self._groups.get_state_ids_for_group(_group_of(access.left))

    async def _state_ids_at(
        self, requester: Requester, room_id: str, access: ReadAccess, at: str
    ) -> StateMap:
        """The state at a token, which the user must be able to see events at."""
        try:
            token = RoomToken.from_text(at)
        except InvalidTokenError as error:
            raise InvalidParamError(f"Query parameter at: {error}") from error
        position = token.stream_ordering
        if access.left is not None and position >= (access.left.metadata.stream_ordering or 0):
            return await self._state_ids(room_id, access)
        last, _ = await self._timeline.paginate(
            room_id, RoomToken(position), direction="b", limit=1
        )
        if not await self._visibility.filter_for_user(
            requester.user_id, last, peeking=access.is_peeking
        ):
            raise ForbiddenError("You may not see the room as it was then")
        return await self._current_state.get_state_ids_at(room_id, position)


def _group_of(left: Event) -> int:
    """The state group after the end of a stay."""
    if left.metadata.state_group is None:
        raise ForbiddenError("The room's state was not known when you left it")
    return left.metadata.state_group


def _is_current(access: ReadAccess, at: str | None) -> bool:
    return access.left is None and at is None


def _is_wanted(event: Event, membership: str | None, not_membership: str | None) -> bool:
    if membership is None and not_membership is None:
        return True
    if membership is not None and event.membership == membership:
        return True
    return not_membership is not None and event.membership != not_membership


def _shown(content: Mapping[str, Any]) -> JsonDict:
    fields = {
        "display_name": content.get("displayname"),
        "avatar_url": content.get("avatar_url"),
    }
    return {name: value for name, value in fields.items() if isinstance(value, str)}
