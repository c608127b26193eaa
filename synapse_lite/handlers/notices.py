"""Whom a new event notifies by the rules that everybody has, decided once when it is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..api.constants import EventTypes, Membership
from ..events.auth.power_levels import PowerLevels
from ..events.event import Event, StateKey
from ..push.classes import DEFAULT_CLASS, NOTHING
from ..push.evaluator import EventView, Reader, mentioned_users
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore
from ..storage.persist_events import StateChange
from ..storage.unread import EVERYBODY, Notice
from ..types.unread import MAIN_THREAD
from .event_threads import Relative, thread_of


class EventNotices:
    """Makes the notices of events, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._memberships = hs.part(MembershipsWorkerStore)
        self._is_mine = hs.is_mine

    async def of_event(
        self,
        event: Event,
        auth_state: Mapping[StateKey, Event],
        changes: Sequence[StateChange],
        relative: Relative,
    ) -> Notice:
        """The notice of an event of a timeline.

        `auth_state` has the power levels before it, `changes` are those of the current state.
        """
        view = EventView.of(event, None)
        result = DEFAULT_CLASS.evaluator.evaluate(view)
        if view.lacks_levels:
            view = EventView.of(event, PowerLevels.of_state(auth_state, event.room_version))
            result = DEFAULT_CLASS.evaluator.evaluate(view)
        effect = result.otherwise or NOTHING
        highlights: list[str] = [EVERYBODY] if effect.highlight else []
        if result.for_some:
            for user_id in await self._members_among(event.room_id, mentioned_users(event)):
                if (result.for_reader(Reader(user_id)) or NOTHING).highlight:
                    highlights.append(user_id)
        return Notice(
            await thread_of(event, relative) if "m.relates_to" in event.content else MAIN_THREAD,
            effect.notify,
            tuple(highlights),
            await self._who_joins(changes, relative) if changes else (),
            # A new name or avatar is told to all rooms, which does not mean to have read them.
            is_read=event.type != EventTypes.MEMBER,
        )

    async def _members_among(self, room_id: str, user_ids: Collection[str]) -> list[str]:
        """Those of the users who are of this server and in the room."""
        if not user_ids:
            return []
        local = await self._memberships.get_local_users_in_room(room_id)
        return sorted(local & set(user_ids))

    async def _who_joins(
        self, changes: Sequence[StateChange], relative: Relative
    ) -> tuple[str, ...]:
        """Users of this server who were not in the room before these changes, and are now."""
        joined = []
        for change in changes:
            if change.membership == Membership.JOIN and self._is_mine(change.state_key):
                before = None
                if change.prev_event_id is not None:
                    before = await relative(change.prev_event_id)
                if before is None or before.membership != Membership.JOIN:
                    joined.append(change.state_key)
        return tuple(joined)
