"""Keeps the index of messages up to date. A duty of the master, which alone writes."""

from __future__ import annotations

from ..server import Homeserver
from ..storage.background_updates import BackgroundUpdater
from ..storage.search_index import PAST_UPDATE, IndexPosition, SearchIndexStore
from ..util.clock import Repeating

INDEX_SECONDS = 2.0
"""How long a message waits at most before it is indexed; what comes meanwhile shares a commit."""

_MINIMUM_PAST_BATCH = 50


class SearchIndexer:
    """Indexes what the streams of events bring, and in the background what was there before.

    Goes on from the stored position at each start. With `enable_search` off it does nothing, and
    catches up once it is on again.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(SearchIndexStore)
        self._updates = hs.part(BackgroundUpdater)
        self._enabled = hs.config.rooms.enable_search
        self._clock = hs.clock
        self._position: IndexPosition | None = None
        self._timer: Repeating | None = None

    async def start(self) -> None:
        """Begin to index, from where it was left."""
        if not self._enabled:
            await self._store.pause_search_index()
            return
        self._position = await self._store.begin_search_index()
        if self._position.past is not None:
            self._updates.register(
                PAST_UPDATE, self._store.index_past_txn, minimum=_MINIMUM_PAST_BATCH
            )
            self._updates.start()
        self._timer = self._clock.every(INDEX_SECONDS, self.index_news, name="index_messages")

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    async def index_news(self) -> None:
        """Index all that is new. Costs nothing if that is nothing."""
        while self._timer is not None and self._position is not None:
            reached = await self._store.index_next(self._position)
            if reached == self._position:
                return
            self._position = reached
