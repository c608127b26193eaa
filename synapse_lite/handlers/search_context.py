"""What surrounds the results of a search."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs
import msgspec

from ..api.constants import EventTypes
from ..events.event import Event, StateKey
from ..server import Homeserver
from ..storage.search import SearchWorkerStore, Surroundings
from ..storage.state_groups import StateGroupsWorkerStore
from ..types.requester import Requester
from ..util.json import JsonDict
from .search_request import ContextRequest
from .visibility import EventVisibility, is_heard


@attrs.frozen
class Contexts:
    """The surroundings of some events.

    `events` are those that surround them and that the user may see. `profiles` are the profiles of
    all senders as they were at each event; None if nobody asked for them.
    """

    surroundings: Mapping[str, Surroundings] = attrs.field(factory=dict)
    events: Mapping[str, Event] = attrs.field(factory=dict)
    profiles: Mapping[str, JsonDict] | None = None

    def of(self, event_id: str, shown: Mapping[str, msgspec.Raw]) -> JsonDict:
        """The `context` of a result in client form, if it was asked for."""
        around = self.surroundings.get(event_id)
        if around is None:
            return {}
        context: JsonDict = {
            "events_before": [shown[each] for each in around.before if each in self.events],
            "events_after": [shown[each] for each in around.after if each in self.events],
            "start": around.start.to_text(),
            "end": around.end.to_text(),
        }
        if self.profiles is not None:
            context["profile_info"] = self.profiles[event_id]
        return {"context": context}


class ContextReader:
    """Reads the surroundings of many events at once."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(SearchWorkerStore)
        self._groups = hs.part(StateGroupsWorkerStore)
        self._visibility = hs.part(EventVisibility)

    async def read(
        self,
        requester: Requester,
        asked: ContextRequest | None,
        results: Mapping[str, Event],
        ends: Mapping[str, int],
        ignored: Collection[str],
    ) -> Contexts:
        """The surroundings of results, without what ignored users say.

        `ends` are where the user's stays in rooms have ended.
        """
        if asked is None or not results:
            return Contexts()
        positions = {
            event_id: (event.room_id, event.depth, event.metadata.stream_ordering or 0)
            for event_id, event in results.items()
        }
        around = await self._store.get_surroundings(positions, asked.before, asked.after)
        found = await self._store.get_events(
            [each for one in around.values() for each in (*one.before, *one.after)]
        )
        seen = await self._visibility.memberships_at(requester.user_id, found.values())
        events = {
            event_id: event
            for event_id, event in found.items()
            if event_id in seen
            and is_heard(event, ignored)
            and (event.metadata.stream_ordering or 0) <= ends.get(event.room_id, 2**62)
        }
        contexts = Contexts(around, events)
        if not asked.include_profile:
            return contexts
        return attrs.evolve(contexts, profiles=await self._profiles(results, contexts))

    async def _profiles(
        self, results: Mapping[str, Event], contexts: Contexts
    ) -> dict[str, JsonDict]:
        """For each result, the profiles of its sender and of those around it, as of then."""
        senders: dict[str, dict[str, None]] = {}
        for event_id, event in results.items():
            around = contexts.surroundings[event_id]
            beside = [contexts.events.get(each) for each in (*around.before, *around.after)]
            senders[event_id] = dict.fromkeys(
                [event.sender, *(each.sender for each in beside if each is not None)]
            )
        keys: list[StateKey] = [
            (EventTypes.MEMBER, user_id) for user_id in set().union(*senders.values())
        ]
        groups = {
            event.metadata.state_group
            for event in results.values()
            if event.metadata.state_group is not None
        }
        states = await self._groups.get_filtered_state_ids_for_groups(list(groups), keys)
        members = await self._store.get_events(
            {event_id for state in states.values() for event_id in state.values()}
        )
        return {
            event_id: {
                user_id: _profile(
                    members.get(
                        states.get(event.metadata.state_group or 0, {}).get(
                            (EventTypes.MEMBER, user_id), ""
                        )
                    )
                )
                for user_id in senders[event_id]
            }
            for event_id, event in results.items()
        }


def _profile(member: Event | None) -> JsonDict:
    """What a membership event says of its user."""
    content = {} if member is None else member.content
    return {
        key: content[key]
        for key in ("displayname", "avatar_url")
        if isinstance(content.get(key), str)
    }
