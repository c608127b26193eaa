"""Forgets transaction ids of clients: a request is not repeated after a day."""

from __future__ import annotations

from ..server import Homeserver
from ..storage.persist_events import PersistEventsStore
from ..util.clock import Repeating

KEPT_MS = 24 * 60 * 60 * 1000
"""How long a repeated request gets the first event."""

_EVERY_SECONDS = 15 * 60


class ClientTxnExpiry:
    """A duty of the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(PersistEventsStore)
        self._clock = hs.clock
        self._repeating: Repeating | None = None

    async def start(self) -> None:
        """Look every quarter of an hour."""
        self._repeating = self._clock.every(_EVERY_SECONDS, self._forget, name="client_txn_expiry")

    async def stop(self) -> None:
        """Look no more."""
        if self._repeating is not None:
            self._repeating.stop()
            self._repeating = None

    async def _forget(self) -> None:
        await self._store.delete_old_client_txns(self._clock.time_ms() - KEPT_MS)
