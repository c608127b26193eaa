"""Waiting until this process can read what the master has written for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..streams import EVENTS, Stream
from ..util.async_helpers import TimedOutError, Wakeup, with_timeout

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 1.0
"""Longer than rows take; a client need not wait for a process that is far behind."""


class EventsProgress:
    """Tells when the store has come to a position of the stream of events."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(EventsWorkerStore)
        self._clock = hs.clock
        self._waiting: dict[Wakeup, int] = {}
        self._store.follow(self._moved)

    def _moved(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if stream.counter is not EVENTS.counter or not self._waiting:
            return
        current = self._store.current_token(EVENTS)
        for wakeup, position in list(self._waiting.items()):
            if position <= current:
                wakeup.fire()

    async def reached(self, position: int) -> None:
        """Return once everything up to the position can be read here, or after a second.

        So that a client finds what it has just done, and its next event follows this one. In the
        master that is at once.
        """
        if self._store.current_token(EVENTS) >= position:
            return
        wakeup = Wakeup()
        self._waiting[wakeup] = position
        try:
            await with_timeout(wakeup.wait(), _PATIENCE_SECONDS, self._clock)
        except TimedOutError:
            logger.info("This process is behind the master: events up to %d are due", position)
        finally:
            del self._waiting[wakeup]
