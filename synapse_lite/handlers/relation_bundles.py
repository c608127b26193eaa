"""Bundles of the relations of events (client-server API, "Aggregations of child events")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import attrs

from ..api.constants import Membership
from ..events.bundle import Bundle
from ..events.event import Event
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.memberships import MembershipsWorkerStore
from ..storage.relations import RelationsWorkerStore
from ..types.requester import Requester
from .relation_choice import Choice, choose, choose_among
from .visibility import EventVisibility

_LOOKED_THROUGH = 100
"""So many of the newest relations of an event are looked through for those that a reader may see
who does not see all of them; of each kind."""


class RelationBundles:
    """Aggregates relations for readers."""

    def __init__(self, hs: Homeserver) -> None:
        self._relations = hs.part(RelationsWorkerStore)
        self._events = hs.part(EventsWorkerStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)
        self._visibility = hs.part(EventVisibility)

    async def of_events(
        self, events: Iterable[Event], requester: Requester | None
    ) -> Mapping[str, Bundle]:
        """The bundles of those of the events that have one, by id; for `EventFormatter.to_client`.

        State events have none. Costs nothing for events that came lately and have no relations;
        otherwise one statement for all whose relations are not in memory, and one for what they
        quote. An application service (no requester) sees everything.
        """
        user_id = None if requester is None else requester.user_id
        bundles = await self._bundles(events, user_id)
        newest = [bundle.thread.newest for bundle in bundles.values() if bundle.thread is not None]
        if not newest:
            return bundles
        # An event of a thread starts none, so this ends here.
        inner = await self._bundles(newest, user_id)
        return {event_id: _with_inner(bundle, inner) for event_id, bundle in bundles.items()}

    async def _bundles(self, events: Iterable[Event], user_id: str | None) -> dict[str, Bundle]:
        parents = {
            event.event_id: event
            for event in events
            if not event.is_state and self._relations.may_have_relations(event)
        }
        known = await self._relations.get_relations_of_events(list(parents)) if parents else {}
        if not known:
            return {}
        ignored: frozenset[str] = frozenset()
        if user_id is not None:
            ignored = await self._account_data.get_ignored_users(user_id)
        choices = {
            event_id: choose(parents[event_id], relations, user_id, ignored)
            for event_id, relations in known.items()
        }
        quoted = await self._quoted(choices)
        if user_id is not None:
            unclear = await self._unclear(user_id, parents, choices, quoted)
            if unclear:
                choices.update(await self._choose_visible(user_id, unclear, choices, ignored))
                quoted = await self._quoted(choices)
        return {
            event_id: choice.to_bundle(quoted)
            for event_id, choice in choices.items()
            if not choice.is_empty
        }

    async def _quoted(self, choices: Mapping[str, Choice]) -> Mapping[str, Event]:
        return await self._events.get_events(
            [event_id for choice in choices.values() for event_id in choice.quoted]
        )

    # Readers who may not see everything

    async def _unclear(
        self,
        user_id: str,
        parents: Mapping[str, Event],
        choices: Mapping[str, Choice],
        quoted: Mapping[str, Event],
    ) -> list[Event]:
        """Events of whose relations the user may not see all: not in the room now, or not then.

        Costs no query where the user has been in the room since before the quoted events.
        """
        rooms = await self._memberships.get_rooms_for_user(user_id)
        seen = await self._visibility.memberships_at(user_id, quoted.values())
        unclear = []
        for event_id, choice in choices.items():
            room = rooms.get(parents[event_id].room_id)
            is_in = room is not None and room.membership == Membership.JOIN
            sees_all = is_in and all(quote in seen for quote in choice.quoted)
            if not (choice.is_empty or sees_all):
                unclear.append(parents[event_id])
        return unclear

    async def _choose_visible(
        self,
        user_id: str,
        parents: Sequence[Event],
        choices: Mapping[str, Choice],
        ignored: frozenset[str],
    ) -> dict[str, Choice]:
        """Choices among the newest relations, of which each is looked at."""
        related = await self._relations.get_newest_related(
            [event.event_id for event in parents], _LOOKED_THROUGH
        )
        events = await self._events.get_events([event_id for _, _, event_id in related])
        seen = await self._visibility.memberships_at(user_id, events.values())
        children: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for parent_id, kind, event_id in related:
            if event_id in seen and events[event_id].sender not in ignored:
                children[parent_id][kind].append(events[event_id])
        return {
            event.event_id: choose_among(
                event,
                children[event.event_id],
                ignored,
                participates=choices[event.event_id].participates,
            )
            for event in parents
        }


def _with_inner(bundle: Bundle, inner: Mapping[str, Bundle]) -> Bundle:
    """The bundle of an event with that of the newest event of its thread."""
    thread = bundle.thread
    if thread is None or thread.newest.event_id not in inner:
        return bundle
    return attrs.evolve(
        bundle, thread=attrs.evolve(thread, inner=inner[thread.newest.event_id].for_everybody)
    )
