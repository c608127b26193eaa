"""The events that state resolution asks for, out of the store."""

from __future__ import annotations

from collections.abc import Collection

from ..events.event import Event
from ..events.resolution import EventLoader
from ..storage.events import EventsWorkerStore


class StoreEventLoader(EventLoader):
    """Events and auth chains that this server has stored."""

    def __init__(self, store: EventsWorkerStore) -> None:
        self._store = store

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """See the base."""
        return await self._store.get_events(event_ids, allow_rejected=True)

    async def auth_chain_ids(self, event_ids: Collection[str]) -> set[str]:
        """See the base."""
        return await self._store.get_auth_chain_ids(event_ids)
