"""Wakes those who wait in a /sync when something for them can be read.

A waiting request is a `Listener`: its user, a Deferred, and a place among those who give up at
about the same time. Who is in a room is not kept here: the store knows the local members of each
active room, brought up to date before anybody is woken.

What is of interest to all who share a room with somebody (presence) comes often and is seldom
urgent. Such wake-ups are collected, worked out together, and followed by a pause in proportion to
how many were woken. Who is woken for another reason meanwhile is told of them along with it.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred

from .server import Homeserver
from .storage.memberships import RoomMembers
from .storage.room_mates import RoomMatesWorkerStore
from .streams import Counter, Stream, Wakes
from .util.async_helpers import run_in_background
from .util.caches.missing import MISSING
from .util.metrics import counter, gauge

__all__ = ["Listener", "Notifier"]

logger = logging.getLogger(__name__)

_WAKES_PER_TURN = 100
"""So many are woken before the reactor gets a turn."""

_TICKS_PER_SECOND = 10
"""How finely waiting ends: one timer for all who give up in the same tenth of a second."""

_PAUSE_PER_WOKEN = 0.005
"""Seconds: about ten times what it costs to answer one client."""

_MIN_PAUSE = 0.5
_MAX_PAUSE = 60.0
_MAX_UNKNOWN = 1000
"""When the rooms of more users than this are not kept, everybody is woken instead."""

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
        self._store = hs.part(RoomMatesWorkerStore)
        self._clock = hs.clock
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._held: dict[str, list[tuple[int, Wakes]]] = defaultdict(list)
        self._due: deque[str] = deque()
        self._is_due: set[str] = set()
        self._flush_is_planned = False
        self._sharing: set[str] = set()
        self._sharing_is_planned = False
        self._sharing_not_before = 0.0
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
            if wakes.rooms or wakes.users or wakes.sharing:
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
            self._wake_sharing_soon(wakes.sharing)
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

    # From users to those who share a room with them

    def _wake_sharing_soon(self, user_ids: Sequence[str]) -> None:
        if not user_ids or not self._listeners:
            return
        self._sharing.update(user_ids)
        if not self._sharing_is_planned:
            self._sharing_is_planned = True
            delay = max(0.0, self._sharing_not_before - self._clock.time())
            self._clock.later(min(delay, _MAX_PAUSE), self._wake_sharing)

    async def _wake_sharing(self) -> None:
        self._sharing_is_planned = False
        user_ids, self._sharing = self._sharing, set()
        try:
            woken = await self._listening_mates(user_ids)
        except Exception:
            self.wake_everybody()
            raise
        pause = min(max(_PAUSE_PER_WOKEN * len(woken), _MIN_PAUSE), _MAX_PAUSE)
        self._sharing_not_before = self._clock.time() + pause
        self._wake_users(woken)

    async def _listening_mates(self, user_ids: Collection[str]) -> set[str]:
        """Those who listen and share a room with one of the users."""
        unknown = sum(
            self._store.get_rooms_for_user.peek((user_id,)) is MISSING for user_id in user_ids
        )
        if unknown > _MAX_UNKNOWN:
            return set(self._listeners)
        woken: set[str] = set()
        for room_id in await self._store.get_joined_rooms_of_users(user_ids):
            members = await self._store.get_room_members(room_id)
            woken |= members.local & self._listeners.keys()
            if len(woken) >= len(self._listeners):
                break
        return woken

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
