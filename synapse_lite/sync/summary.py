"""The summary of a room: how many are in it, and after whom a nameless one is called."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from ..api.constants import EventTypes
from ..events.event import StateKey
from ..server import Homeserver
from ..storage.state_changes import Hero, RoomState, StateChangesWorkerStore
from ..util.json import JsonDict

_HEROES = 5

_NAME: StateKey = (EventTypes.NAME, "")
_ALIAS: StateKey = (EventTypes.CANONICAL_ALIAS, "")


def touches_summary(key: StateKey) -> bool:
    """Whether a change of this key may change the summary."""
    return key[0] == EventTypes.MEMBER or key in (_NAME, _ALIAS)


@attrs.frozen
class Summary:
    """A summary and the heroes that it names."""

    content: JsonDict
    heroes: tuple[str, ...] = ()


class Summaries:
    """Makes summaries for many rooms at once."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(StateChangesWorkerStore)

    async def of_rooms(self, user_id: str, rooms: Mapping[str, RoomState]) -> dict[str, Summary]:
        """Summaries for a reader, who is no hero to themselves."""
        nameless = await self._nameless(rooms)
        heroes = await self._store.get_heroes_for_rooms(nameless) if nameless else {}
        found = {}
        for room_id, state in rooms.items():
            content: JsonDict = {
                "m.joined_member_count": len(state.members.joined),
                "m.invited_member_count": len(state.members.invited),
            }
            names: tuple[str, ...] = ()
            if room_id in heroes:
                names = _heroes_for(user_id, heroes[room_id])
                content["m.heroes"] = names
            found[room_id] = Summary(content, names)
        return found

    async def _nameless(self, rooms: Mapping[str, RoomState]) -> Collection[str]:
        """Rooms without a name and a canonical alias."""
        keys = {room_id: state.ids.filtered((_NAME, _ALIAS)) for room_id, state in rooms.items()}
        wanted = [event_id for ids in keys.values() for event_id in ids.values()]
        events = await self._store.get_events(wanted)
        nameless = []
        for room_id, ids in keys.items():
            name = events.get(ids.get(_NAME, ""))
            alias = events.get(ids.get(_ALIAS, ""))
            if (name is None or not name.content.get("name")) and (
                alias is None or not alias.content.get("alias")
            ):
                nameless.append(room_id)
        return nameless


def _heroes_for(user_id: str, heroes: tuple[Hero, ...]) -> tuple[str, ...]:
    others = [hero for hero in heroes if hero.user_id != user_id]
    present = [hero.user_id for hero in others if hero.is_present]
    return tuple((present or [hero.user_id for hero in others])[:_HEROES])
