"""The relations of an event and the threads of a room, page by page."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..api.errors import ForbiddenError
from ..events.event import Event, pruned
from ..server import Homeserver
from ..storage.account_data import AccountDataWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.relations import RelationsQuery, RelationsWorkerStore
from ..types.requester import Requester
from ..types.tokens import RoomToken
from ..util.json import JsonDict
from .event_format import EventFormatter
from .messages import PageRequest
from .relation_bundles import RelationBundles
from .visibility import EventVisibility, ReadAccess, is_heard, no_event

_MAX_HIDDEN_PAGES = 5
"""How many pages without anything that the user may see are passed over in one request."""


class RelationsHandler:
    """Answers /relations and /threads (client-server API, "Relationships API", "Threading")."""

    def __init__(self, hs: Homeserver) -> None:
        self._visibility = hs.part(EventVisibility)
        self._formatter = hs.part(EventFormatter)
        self._bundles = hs.part(RelationBundles)
        self._relations = hs.part(RelationsWorkerStore)
        self._events = hs.part(EventsWorkerStore)
        self._account_data = hs.part(AccountDataWorkerStore)

    async def relations(
        self, requester: Requester, query: RelationsQuery, page: PageRequest
    ) -> JsonDict:
        """A page of the relations of an event.

        Raises NotFoundError, also for an event that the user may not see.
        """
        user_id = requester.user_id
        try:
            access = await self._visibility.check_readable(user_id, query.room_id)
        except ForbiddenError:
            raise no_event() from None
        await self._visibility.visible_event(user_id, query.room_id, query.event_id, access)
        events, memberships, end = await self._visible_page(user_id, query, page, access)
        answer: JsonDict = {
            "chunk": await self._formatter.to_client(
                events,
                requester,
                memberships=memberships,
                bundles=await self._bundles.of_events(events, requester),
            )
        }
        if end is not None:
            answer["next_batch"] = end.to_text()
        if page.start is not None:
            answer["prev_batch"] = page.start.to_text()
        return answer

    async def _visible_page(
        self, user_id: str, query: RelationsQuery, page: PageRequest, access: ReadAccess
    ) -> tuple[list[Event], Mapping[str, str], RoomToken | None]:
        """The next relations that the user may see, with the memberships at them."""
        page = _until_left(page, access)
        ignored = await self._account_data.get_ignored_users(user_id)
        position = page.start
        for _ in range(_MAX_HIDDEN_PAGES):
            ids, position = await self._relations.get_related_page(
                query, position, page.end, direction=page.direction, limit=page.limit
            )
            found = list((await self._events.get_events(ids)).values())
            memberships = await self._visibility.memberships_at(
                user_id, found, peeking=access.is_peeking
            )
            events = [
                event
                for event in found
                if event.event_id in memberships and is_heard(event, ignored)
            ]
            if events or position is None:
                return events, memberships, position
        return [], {}, position

    async def threads(
        self,
        requester: Requester,
        room_id: str,
        *,
        start: RoomToken | None,
        limit: int,
        participated: bool,
    ) -> JsonDict:
        """A page of the roots of a room's threads, those with the newest events first.

        With `participated` those that the user has sent something into. Raises ForbiddenError.
        """
        user_id = requester.user_id
        access = await self._visibility.check_readable(user_id, room_id)
        of_user = user_id if participated else None
        chunk: list[object] = []
        position = start
        for _ in range(_MAX_HIDDEN_PAGES):
            ids, position = await self._relations.get_threads_page(
                room_id, position, limit, of_user=of_user
            )
            chunk = await self._roots(requester, room_id, ids, access)
            if chunk or position is None:
                break
        answer: JsonDict = {"chunk": chunk}
        if position is not None:
            answer["next_batch"] = position.to_text()
        return answer

    async def _roots(
        self, requester: Requester, room_id: str, ids: list[str], access: ReadAccess
    ) -> list[object]:
        """The roots of threads in which there is something that the user may see."""
        found = await self._events.get_events(ids)
        memberships = await self._visibility.memberships_at(
            requester.user_id,
            [event for event in found.values() if event.room_id == room_id],
            peeking=access.is_peeking,
        )
        visible = [event for event in found.values() if event.event_id in memberships]
        bundles = await self._bundles.of_events(visible, requester)
        ignored = await self._account_data.get_ignored_users(requester.user_id)
        roots = []
        for event in visible:
            bundle = bundles.get(event.event_id)
            if event.is_state:  # they have no bundles
                roots.append(event)
            elif bundle is not None and bundle.thread is not None:
                roots.append(pruned(event) if event.sender in ignored else event)
        return [
            *await self._formatter.to_client(
                roots, requester, memberships=memberships, bundles=bundles
            )
        ]


def _until_left(page: PageRequest, access: ReadAccess) -> PageRequest:
    """Who has left sees nothing that came later."""
    if access.left is None:
        return page
    end = RoomToken(access.left.metadata.stream_ordering or 0)
    if page.direction == "b":
        return page if page.start is not None else attrs.evolve(page, start=end)
    return page if page.end is not None else attrs.evolve(page, end=end)
