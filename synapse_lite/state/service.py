"""The state before an event: that after the events which it follows, resolved where they differ.

Works in any process, because it only reads. What a resolution finds is stored by the master, with
the event that was built upon it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import attrs

from ..events.context import EventContext
from ..events.resolution import resolve_state
from ..events.room_versions import RoomVersion
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..storage.state_groups import StateGroupsWorkerStore
from ..types.state_map import EMPTY_STATE, StateKey, StateMap
from ..util.async_helpers import SharedCall
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing
from .loader import StoreEventLoader

logger = logging.getLogger(__name__)

_RESULTS_KEPT = 2_000
_RESULTS_BYTES = 32 * 1024 * 1024


@attrs.frozen
class ResolvedState:
    """A state, and how to store it.

    Either `state_group` is its group and `delta` is empty, or it is not stored: then it is
    `prev_group` (none: the empty state) changed by `delta`, where None takes a key away. The state
    before the first event of a room has neither.
    """

    state: StateMap
    state_group: int | None = None
    prev_group: int | None = None
    delta: Mapping[StateKey, str | None] = attrs.Factory(dict)

    @property
    def context(self) -> EventContext:
        """The context of an event with this state before it."""
        if self.state_group is not None:
            return EventContext(state_group_before=self.state_group)
        return EventContext(prev_group=self.prev_group, delta=self.delta)

    @property
    def size_bytes(self) -> int:
        """An estimate of the memory that this keeps."""
        return self.state.size_bytes + 200 * len(self.delta)


class StateService:
    """States before events, by the state groups after the events that they follow."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(StateGroupsWorkerStore)
        self._loader = StoreEventLoader(hs.part(EventsWorkerStore))
        self._results: LruCache[frozenset[int], ResolvedState] = LruCache(
            "resolved_states",
            max_entries=_RESULTS_KEPT,
            max_bytes=_RESULTS_BYTES,
            size_of=lambda resolved: resolved.size_bytes,
            budget=self._store.caches.budget,
        )
        self._resolving: SharedCall[frozenset[int], ResolvedState] = SharedCall()

    async def state_before(
        self, room_id: str, room_version: RoomVersion, groups: Collection[int]
    ) -> ResolvedState:
        """The state before an event that follows events with these groups after them.

        No group: the empty state. Raises UnknownStateGroupError.
        """
        distinct = frozenset(groups)
        if not distinct:
            return ResolvedState(EMPTY_STATE)
        if len(distinct) == 1:
            (group,) = distinct
            state = await self._store.get_state_ids_for_group(group)
            return ResolvedState(state, state_group=group)
        return await self.resolve_groups(room_id, room_version, distinct)

    async def context_for(
        self, room_id: str, room_version: RoomVersion, groups: Collection[int]
    ) -> EventContext:
        """The context of an event, as `state_before`; loads nothing if the groups are the same."""
        distinct = frozenset(groups)
        if len(distinct) == 1:
            (group,) = distinct
            return EventContext(state_group_before=group)
        return (await self.state_before(room_id, room_version, distinct)).context

    async def context_and_state_for(
        self,
        room_id: str,
        room_version: RoomVersion,
        groups: Collection[int],
        keys: Collection[StateKey],
    ) -> tuple[EventContext, dict[StateKey, str]]:
        """The context of an event, and some entries of the state before it.

        Does not load the whole state for them if the groups are the same: for auth events.
        """
        distinct = frozenset(groups)
        if len(distinct) == 1:
            (group,) = distinct
            entries = await self._store.get_filtered_state_ids(group, keys)
            return EventContext(state_group_before=group), entries
        resolved = await self.state_before(room_id, room_version, distinct)
        return resolved.context, resolved.state.filtered(keys)

    async def resolve_groups(
        self, room_id: str, room_version: RoomVersion, groups: Collection[int]
    ) -> ResolvedState:
        """The resolution of several groups; found once for each set of them, then kept.

        Raises UnknownStateGroupError.
        """
        key = frozenset(groups)
        known = self._results.get(key)
        if not isinstance(known, Missing):
            return known
        return await self._resolving.get(key, lambda: self._resolve(room_id, room_version, key))

    async def _resolve(
        self, room_id: str, room_version: RoomVersion, groups: frozenset[int]
    ) -> ResolvedState:
        logger.debug("Resolving %d states of %s", len(groups), room_id)
        states = await self._store.get_state_ids_for_groups(sorted(groups))
        found = await self.resolve_states(room_version, list(states.values()))
        resolved = _as_change_of_nearest(found, states)
        self._results.set(groups, resolved)
        return resolved

    async def resolve_states(
        self, room_version: RoomVersion, states: Sequence[Mapping[StateKey, str]]
    ) -> Mapping[StateKey, str]:
        """The resolution of states whose events, and their auth chains, are all stored."""
        return await resolve_state(room_version, states, self._loader)


def _as_change_of_nearest(
    found: Mapping[StateKey, str], states: Mapping[int, StateMap]
) -> ResolvedState:
    """A state in terms of the group that differs least from it, the oldest one if several do."""
    target = StateMap(found)
    changes = {group: target.changes_since(state) for group, state in states.items()}
    nearest = min(changes, key=lambda group: (len(changes[group]), group))
    delta = changes[nearest]
    if not delta:
        return ResolvedState(states[nearest], state_group=nearest)
    # Derived from the group's own state, so that both share their bulk.
    return ResolvedState(states[nearest].with_changes(delta), prev_group=nearest, delta=delta)
