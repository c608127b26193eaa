"""Reads events for many callers at once: what is asked for while a read runs goes into the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted.internet.defer import Deferred

from ..events.event import Event
from ..util.async_helpers import run_in_background
from ._event_rows import read_events_txn
from .database import DatabasePool

_MAX_READS = 2
_MAX_IDS_PER_READ = 5000

_Waiting = tuple[Collection[str], "Deferred[Mapping[str, Event]]"]


class EventFetcher:
    """The queue in front of the table of events."""

    def __init__(self, db: DatabasePool) -> None:
        self._db = db
        self._waiting: list[_Waiting] = []
        self._reads = 0

    async def fetch(self, event_ids: Collection[str]) -> Mapping[str, Event]:
        """At least the wanted events that exist, by id."""
        answer: Deferred[Mapping[str, Event]] = Deferred()
        self._waiting.append((event_ids, answer))
        if self._reads < _MAX_READS:
            self._reads += 1
            run_in_background(self._read_all)
        return await answer

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                await self._read(self._take())
        finally:
            self._reads -= 1

    def _take(self) -> list[_Waiting]:
        """The next callers in line, as many as one read may serve; always at least one."""
        taken, count = 0, 0
        for event_ids, _ in self._waiting:
            count += len(event_ids)
            if taken and count > _MAX_IDS_PER_READ:
                break
            taken += 1
        callers, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return callers

    async def _read(self, callers: list[_Waiting]) -> None:
        wanted = dict.fromkeys(event_id for event_ids, _ in callers for event_id in event_ids)
        try:
            found = await self._db.read("get_events", read_events_txn, wanted)
        except Exception as error:
            # Goes to every caller; the reads of later callers go on.
            for _, answer in callers:
                answer.errback(error)
            return
        for _, answer in callers:
            answer.callback(found)
