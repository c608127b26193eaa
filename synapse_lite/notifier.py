"""Wakes those who wait in a /sync when something for them can be read.

A waiting request is a `Listener`: its user, a Deferred, and a place among those who give up at
about the same time. Who is in a room is not kept here: the store knows the local members of each
active room, brought up to date before anybody is woken.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred

from .server import Homeserver
from .storage.memberships import MembershipsWorkerStore, RoomMembers
from .streams import Counter, Stream, Wakes
from .util.async_helpers import run_in_background
from .util.metrics import counter, gauge

__all__ = ["Listener", "Notifier"]

logger = logging.getLogger(__name__)

_WAKES_PER_TURN = 100
"""So many are woken before the reactor gets a turn."""

_TICKS_PER_SECOND = 10
"""How finely waiting ends: one timer for all who give up in the same tenth of a second."""

WAITING = gauge("sync_waiting", "Requests that wait for something new.")
WOKEN = counter("sync_woken", "Wake-ups of waiting requests.")


class Listener:
    """One request that looks, waits, and looks again.

    What happens after it was made, also between a look and `wait`, ends the next `wait`.
    """

    __slots__ = ("_notifier", "_tick", "_waiter", "_woken", "user_id")

    def __init__(self, notifier: Notifier, user_id: str) -> None:
        self.user_id = user_id
        self._notifier = notifier
        self._woken = False
        self._waiter: Deferred[bool] | None = None
        self._tick = 0

    def __enter__(self) -> Listener:
        self._notifier._add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._notifier._remove(self)

    async def wait(self, deadline: float) -> bool:
        """Wait for news, in seconds of the clock until when. False when the time was up first.

        News that came before is news. Cancelling the caller ends the wait.
        """
        if not self._woken:
            self._waiter = Deferred(self._cancelled)
            self._notifier._begin_wait(self, deadline)
            if not await self._waiter:
                return False
        self._woken = False
        return True

    def _cancelled(self, waiter: Deferred[bool]) -> None:
        self._waiter = None
        self._notifier._end_wait(self)

    def _finish(self, *, woken: bool) -> None:
        """End the wait, if there is one."""
        self._woken = self._woken or woken
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._notifier._end_wait(self)
            waiter.callback(woken)


class Notifier:
    """Turns rows of streams into wake-ups.

    Rows are held back until everything up to their position can be read here, because streams that
    share a counter arrive one after the other. What comes in a burst is one wake-up.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(MembershipsWorkerStore)
        self._clock = hs.clock
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._held: dict[str, list[tuple[int, Wakes]]] = defaultdict(list)
        self._due: deque[str] = deque()
        self._is_due: set[str] = set()
        self._flush_is_planned = False
        self._ticks: dict[int, dict[Listener, None]] = {}
        self._store.follow(self._rows)
        self._store.follow_restarts(self.wake_everybody)

    def listen(self, user_id: str) -> Listener:
        """A listener for everything that concerns a user; use it as a context manager."""
        return Listener(self, user_id)

    def listen_to_room(self, room_id: str) -> Listener:
        """A listener for what happens in a room, also for those who are not in it."""
        return Listener(self, room_id)

    def __len__(self) -> int:
        """How many listeners there are."""
        return sum(map(len, self._listeners.values()))

    def wake_everybody(self) -> None:
        """Wake all, when nobody can say who missed what."""
        self._wake_users(self._listeners)

    # From rows to users

    def _rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if rows:
            wakes = self._store.wakes(stream, rows)
            if wakes.rooms or wakes.users:
                self._held[stream.counter.name].append((token, wakes))
        if self._held.get(stream.counter.name):
            self._release(stream.counter)

    def _release(self, counter: Counter) -> None:
        """Pass on what can be read by now."""
        position = self._store.position(counter)
        held = self._held[counter.name]
        later = []
        for token, wakes in held:
            if token > position:
                later.append((token, wakes))
                continue
            self._wake_users(wakes.users)
            for room_id in wakes.rooms:
                self._wake_room(room_id)
        self._held[counter.name] = later

    def _wake_room(self, room_id: str) -> None:
        if not self._listeners:
            return
        self._wake_users((room_id,))  # those who listen to the room, whoever they are
        members = self._store.get_room_members.peek((room_id,))
        if isinstance(members, RoomMembers):
            self._wake_users(members.local & self._listeners.keys())
        else:
            run_in_background(self._read_and_wake_room, room_id)

    async def _read_and_wake_room(self, room_id: str) -> None:
        try:
            members = await self._store.get_room_members(room_id)
        except Exception:
            self.wake_everybody()
            raise
        self._wake_users(members.local & self._listeners.keys())

    # From users to listeners

    def _wake_users(self, user_ids: Iterable[str]) -> None:
        for user_id in user_ids:
            if user_id in self._listeners and user_id not in self._is_due:
                self._is_due.add(user_id)
                self._due.append(user_id)
        if self._due and not self._flush_is_planned:
            self._flush_is_planned = True
            self._clock.later(0, self._flush)

    def _flush(self) -> None:
        self._flush_is_planned = False
        for _ in range(min(len(self._due), _WAKES_PER_TURN)):
            user_id = self._due.popleft()
            self._is_due.discard(user_id)
            for listener in tuple(self._listeners.get(user_id, ())):
                WOKEN.inc()
                listener._finish(woken=True)
        self._wake_users(())

    # Listeners

    def _add(self, listener: Listener) -> None:
        self._listeners.setdefault(listener.user_id, {})[listener] = None

    def _remove(self, listener: Listener) -> None:
        listeners = self._listeners[listener.user_id]
        del listeners[listener]
        if not listeners:
            del self._listeners[listener.user_id]

    def _begin_wait(self, listener: Listener, deadline: float) -> None:
        WAITING.inc()
        tick = listener._tick = math.ceil(deadline * _TICKS_PER_SECOND)
        waiting = self._ticks.get(tick)
        if waiting is None:
            waiting = self._ticks[tick] = {}
            delay = tick / _TICKS_PER_SECOND - self._clock.time()
            self._clock.later(max(0.0, delay), self._time_is_up, tick)
        waiting[listener] = None

    def _end_wait(self, listener: Listener) -> None:
        WAITING.dec()
        waiting = self._ticks.get(listener._tick)
        if waiting is not None:
            waiting.pop(listener, None)

    def _time_is_up(self, tick: int) -> None:
        for listener in tuple(self._ticks.pop(tick)):
            listener._finish(woken=False)
