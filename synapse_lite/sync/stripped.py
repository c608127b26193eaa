"""Invites and knocks: rooms of which the user is shown a few state events only.

Client-server API, "Stripped state".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..api.constants import EventTypes
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..util.json import JsonDict, JsonValue

_SHOWN: tuple[StateKey, ...] = tuple(
    (event_type, "")
    for event_type in (
        EventTypes.CREATE,
        EventTypes.NAME,
        EventTypes.AVATAR,
        EventTypes.TOPIC,
        EventTypes.JOIN_RULES,
        EventTypes.CANONICAL_ALIAS,
        EventTypes.ENCRYPTION,
    )
)

_MAX_FOREIGN_EVENTS = 50

_ROOMS_PER_READ = 100
"""So many rooms are read with the members who have invited to any of them."""


class StrippedRooms:
    """Stripped states for many rooms at once."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(CurrentStateWorkerStore)

    async def of_rooms(
        self, event_ids: Mapping[str, str], key_in_unsigned: str, ignored: Collection[str]
    ) -> dict[str, list[JsonDict]]:
        """The events to show, by room, of memberships whose event ids are given by room.

        What another server has told with its invite is under `key_in_unsigned`. Memberships that
        ignored users have set are left out.
        """
        events = await self._store.get_events(list(event_ids.values()))
        members = {
            room_id: events[event_id]
            for room_id, event_id in event_ids.items()
            if event_id in events and events[event_id].sender not in ignored
        }
        states = await self._known_states(members)
        found = {}
        for room_id, event in members.items():
            if event.metadata.outlier:
                shown = _told(event, key_in_unsigned)
            else:
                shown = [
                    state.stripped_state()
                    for state in (states[room_id].get(key) for key in _keys_for(event))
                    if state is not None
                ]
            found[room_id] = [*shown, _own(event)]
        return found

    async def _known_states(
        self, members: Mapping[str, Event]
    ) -> dict[str, Mapping[StateKey, Event]]:
        """What may be shown of the rooms that this server is in."""
        known = [room_id for room_id, event in members.items() if not event.metadata.outlier]
        states: dict[str, Mapping[StateKey, Event]] = {}
        for first in range(0, len(known), _ROOMS_PER_READ):
            room_ids = known[first : first + _ROOMS_PER_READ]
            keys = {key for room_id in room_ids for key in _keys_for(members[room_id])}
            states.update(await self._store.get_current_state_for_rooms(room_ids, keys))
        return states


def _keys_for(event: Event) -> tuple[StateKey, ...]:
    """What is shown with a membership: also its sender, so that a client can name who invites."""
    if event.sender == event.state_key:
        return _SHOWN
    return (*_SHOWN, (EventTypes.MEMBER, event.sender))


def _own(event: Event) -> JsonDict:
    return {**event.stripped_state(), "origin_server_ts": event.origin_server_ts}


def _told(event: Event, key: str) -> list[JsonDict]:
    """Stripped events as another server has sent them, as far as they are well-formed."""
    value = event.unsigned.get(key)
    if not isinstance(value, list):
        return []
    return [
        {name: item[name] for name in ("type", "state_key", "content", "sender")}
        for item in value[:_MAX_FOREIGN_EVENTS]
        if _is_stripped(item) and (item["type"], item["state_key"]) != event.state_tuple
    ]


def _is_stripped(item: JsonValue) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("type"), str)
        and isinstance(item.get("state_key"), str)
        and isinstance(item.get("sender"), str)
        and isinstance(item.get("content"), dict)
    )
