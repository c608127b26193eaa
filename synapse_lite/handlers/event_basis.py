"""What a new event is built upon: the heads of its room, and parts of the state after them."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

import attrs

from ..api.errors import ForbiddenError
from ..events.builder import EventReference
from ..events.context import EventContext
from ..events.event import Event, StateKey
from ..events.room_versions import RoomVersion
from ..server import Homeserver
from ..state.service import StateService
from ..storage.events import EventsWorkerStore, Head
from ..util.caches.lru import LruCache
from ..util.caches.missing import Missing

MAX_PREV_EVENTS = 10
"""Other servers take no event that names many more."""

_DEEPEST = 5
"""So many of the heads are the deepest; the rest are drawn, so that each gets its turn."""

_ENTRIES_KEPT = 50_000


@attrs.frozen
class EventBasis:
    """The place of a new event: what it follows, and the state before it.

    `state` holds the events with the keys that were asked for, as far as there are any.
    """

    prev_events: Sequence[Event | EventReference]
    depth: int
    context: EventContext
    state: Mapping[StateKey, Event]


class EventBasisReader:
    """Finds the basis of new events, in any process.

    State groups never change, so single entries of them are kept: the second message of a sender
    costs no query, even where the state as a whole is too large to be in memory.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(EventsWorkerStore)
        self._states = hs.part(StateService)
        self._entries: LruCache[tuple[int, StateKey], str | None] = LruCache(
            "state_entries_for_new_events",
            max_entries=_ENTRIES_KEPT,
            budget=self._store.caches.budget,
        )

    async def basis_of(
        self, room_id: str, room_version: RoomVersion, keys: Collection[StateKey]
    ) -> EventBasis:
        """The basis of an event that is built now, with the state under these keys.

        Raises ForbiddenError if this server is not in the room.
        """
        heads = (await self._store.get_room_heads(room_id)).heads
        if not heads:
            raise ForbiddenError("This server is not in the room")
        chosen = choose_heads(heads)
        context, ids = await self._state_after(room_id, room_version, chosen, keys)
        events = await self._store.get_events(list(ids.values()))
        return EventBasis(
            prev_events=await self._references(room_version, chosen),
            depth=max(head.depth for head in chosen) + 1,
            context=context,
            state={key: events[event_id] for key, event_id in ids.items() if event_id in events},
        )

    async def _state_after(
        self,
        room_id: str,
        room_version: RoomVersion,
        heads: Sequence[Head],
        keys: Collection[StateKey],
    ) -> tuple[EventContext, dict[StateKey, str]]:
        groups = {head.state_group for head in heads}
        if len(groups) > 1:
            return await self._states.context_and_state_for(room_id, room_version, groups, keys)
        (group,) = groups
        known = self._known_entries(group, keys)
        if known is not None:
            return EventContext(state_group_before=group), known
        context, found = await self._states.context_and_state_for(
            room_id, room_version, groups, keys
        )
        for key in keys:
            self._entries.set((group, key), found.get(key))
        return context, found

    def _known_entries(self, group: int, keys: Collection[StateKey]) -> dict[StateKey, str] | None:
        """The entries of a group, or None if not all are known."""
        found: dict[StateKey, str] = {}
        for key in keys:
            event_id = self._entries.get((group, key))
            if isinstance(event_id, Missing):
                return None
            if event_id is not None:
                found[key] = event_id
        return found

    async def _references(
        self, room_version: RoomVersion, heads: Sequence[Head]
    ) -> Sequence[Event | EventReference]:
        if room_version.event_id_is_hash:
            return [EventReference(head.event_id) for head in heads]
        events = await self._store.get_events([head.event_id for head in heads])
        return list(events.values())


def choose_heads(heads: Sequence[Head]) -> Sequence[Head]:
    """The heads that the next event follows: all, or the deepest and some others."""
    if len(heads) <= MAX_PREV_EVENTS:
        return heads
    by_depth = sorted(heads, key=lambda head: head.depth, reverse=True)
    others = random.sample(by_depth[_DEEPEST:], MAX_PREV_EVENTS - _DEEPEST)
    return [*by_depth[:_DEEPEST], *others]
