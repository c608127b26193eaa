"""Waiting until this process can read what the master has written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..api.errors import UnavailableError
from ..server import Homeserver
from ..storage.events import EventsWorkerStore
from ..streams import EVENTS, Stream
from ..util.async_helpers import TimedOutError, Wakeup, with_timeout

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 1.0
"""Longer than rows take; a client need not wait for a process that is far behind."""


_CATCH_UP_SECONDS = 10.0
"""Longer than a worker takes to find a master that was restarted."""


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
        try:
            await self._wait_for(position, _PATIENCE_SECONDS)
        except TimedOutError:
            logger.info("This process is behind the master: events up to %d are due", position)

    async def catch_up(self) -> bool:
        """Make sure that this process knows all that was acknowledged anywhere so far.

        Returns whether it did not before: then what was concluded from its state may be wrong.
        In the master it costs nothing, in a worker one statement. Raises UnavailableError when the
        master cannot be followed.
        """
        position = await self._store.newest_token(EVENTS)
        if self._store.current_token(EVENTS) >= position:
            return False
        try:
            await self._wait_for(position, _CATCH_UP_SECONDS)
        except TimedOutError:
            raise UnavailableError("This process cannot follow the master; try again") from None
        return True

    async def _wait_for(self, position: int, seconds: float) -> None:
        if self._store.current_token(EVENTS) >= position:
            return
        wakeup = Wakeup()
        self._waiting[wakeup] = position
        try:
            await with_timeout(wakeup.wait(), seconds, self._clock)
        finally:
            del self._waiting[wakeup]
