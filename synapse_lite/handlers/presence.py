"""Who is online, on the master: collects what users do and tells of what becomes of it.

Everything happens in memory; the table is written behind. What may change with time is in one
timer wheel. A user's changes are told at once, but not more often than every `QUIET_MS`: what
happens in between is one change, or none if it comes to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from ..api.constants import PresenceState
from ..server import Homeserver
from ..storage.presence import PresenceStore, offline, with_changes
from ..streams import PresenceRow
from ..util.clock import Repeating
from ..util.metrics import counter
from ..util.timer_wheel import TimerWheel
from .presence_states import (
    OFFLINE_MS,
    Syncing,
    after_activity,
    after_status,
    after_sync_change,
    after_time,
    is_notable,
    next_change_at,
)

__all__ = ["PresenceHandler", "Syncing"]

logger = logging.getLogger(__name__)

QUIET_MS = 5_000
"""After a change of a user was told, further ones wait until so long after it."""

TICK_SECONDS = 5.0
WRITE_SECONDS = 10.0

CHANGES = counter("presence_changes", "Changes of presence that were told.")


@attrs.define(eq=False)
class _User:
    """A user who is not offline, syncs, or whose last change was not told yet."""

    state: PresenceRow
    told_at_ms: int = 0
    syncs: dict[str, Syncing] = attrs.field(factory=dict)
    """By process; the master's own syncs are under the empty name."""

    @property
    def syncing(self) -> Syncing:
        return max(self.syncs.values(), default=Syncing.NO)


class PresenceHandler:
    """The presence of this server's users. A duty: `start` lets time pass, `stop` writes the rest.

    Nothing is tracked where `presence.enabled` is false.
    """

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._store = hs.part(PresenceStore)
        self._is_mine = hs.is_mine
        self.is_enabled = hs.config.presence.enabled
        self._users: dict[str, _User] = {}
        self._users_of: dict[str, set[str]] = {}
        self._wheel: TimerWheel[str] = TimerWheel(int(TICK_SECONDS * 1000))
        self._unwritten: set[str] = set()
        self._timers: list[Repeating] = []
        self._take_over()

    def _take_over(self) -> None:
        """Go on with users who were online before this start: they have time to come back."""
        patience_ms = self._clock.time_ms() + OFFLINE_MS
        for user_id in self._store.present_users():
            state = self._store.known_presence(user_id)
            assert state is not None, "who is present is known"
            self._users[user_id] = _User(state)
            self._wheel.set(user_id, patience_ms)

    # What users do

    def active(self, user_id: str) -> None:
        """The user has done something. Next to free, as it is said of every event."""
        user = self._users.get(user_id)
        if user is None:
            return
        now_ms = self._clock.time_ms()
        state = after_activity(user.state, now_ms)
        if state is not user.state:
            self._change(user, state, now_ms)

    def set_status(self, user_id: str, presence: str, status_msg: str | None) -> None:
        """A client of the user has set the status."""
        if not self.is_enabled:
            return
        now_ms = self._clock.time_ms()
        user = self._user(user_id)
        self._change(user, after_status(user.state, presence, status_msg, now_ms), now_ms)

    def set_syncing(self, process: str, user_id: str, syncing: Syncing, at_ms: int) -> None:
        """How the user syncs at a process from a time on, by the clock of that process."""
        if not self.is_enabled or not self._is_mine(user_id):
            return
        now_ms = self._clock.time_ms()
        at_ms = min(at_ms, now_ms)
        user = self._user(user_id)
        before = user.syncing
        if syncing:
            user.syncs[process] = syncing
            self._users_of.setdefault(process, set()).add(user_id)
        else:
            user.syncs.pop(process, None)
            self._users_of.get(process, set()).discard(user_id)
        self._change(user, after_sync_change(user.state, before, user.syncing, at_ms), now_ms)

    def process_lost(self, process: str) -> None:
        """A process has gone. Its users have time to come back, there or elsewhere."""
        now_ms = self._clock.time_ms()
        for user_id in tuple(self._users_of.get(process, ())):
            self.set_syncing(process, user_id, Syncing.NO, now_ms)
        self._users_of.pop(process, None)

    # What becomes of it

    def _user(self, user_id: str) -> _User:
        user = self._users.get(user_id)
        if user is None:
            state = self._store.known_presence(user_id) or offline(user_id)
            user = self._users[user_id] = _User(state)
        return user

    def _change(self, user: _User, state: PresenceRow, now_ms: int) -> None:
        """The user has a new state: tell of it or not, and see when to look again."""
        user_id = state.user_id
        if state != user.state:
            user.state = state
            self._unwritten.add(user_id)
        told = self._store.known_presence(user_id) or offline(user_id)
        waits = is_notable(told, state)
        if waits and now_ms - user.told_at_ms >= QUIET_MS:
            self._tell(user, now_ms)
            waits = False
        if not (waits or user.syncs) and state.state == PresenceState.OFFLINE:
            self._wheel.discard(user_id)
            del self._users[user_id]
            return
        look_at = next_change_at(user.state, user.syncing)
        if waits:
            quiet_until = user.told_at_ms + QUIET_MS
            look_at = quiet_until if look_at is None else min(look_at, quiet_until)
        if look_at is None:
            self._wheel.discard(user_id)
        else:
            self._wheel.set(user_id, look_at)

    def _tell(self, user: _User, now_ms: int) -> None:
        user.told_at_ms = now_ms
        user.state = with_changes(user.state, last_federation_update_ts=now_ms)
        CHANGES.inc()
        self._store.tell_presence([user.state])

    def look(self) -> None:
        """See what time has changed."""
        now_ms = self._clock.time_ms()
        for user_id in self._wheel.take_due(now_ms):
            user = self._users[user_id]
            self._change(user, after_time(user.state, user.syncing, now_ms), now_ms)

    # The duty

    async def start(self) -> None:
        """Let time pass, and write behind."""
        if not self.is_enabled:
            return
        rounds: tuple[tuple[float, Callable[[], object], str], ...] = (
            (TICK_SECONDS, self.look, "presence_look"),
            (WRITE_SECONDS, self.write, "presence_write"),
        )
        self._timers = [self._clock.every(seconds, fn, name=name) for seconds, fn, name in rounds]

    async def stop(self) -> None:
        """Write what is left."""
        for timer in self._timers:
            timer.stop()
        self._timers = []
        await self.write()

    async def write(self) -> None:
        """Copy all that has changed into the table; it waits for the next round if that fails."""
        user_ids, self._unwritten = self._unwritten, set()
        if not user_ids:
            return
        try:
            await self._store.write_presence(self._state_of(user_id) for user_id in user_ids)
        except BaseException:
            self._unwritten |= user_ids
            raise

    def _state_of(self, user_id: str) -> PresenceRow:
        user = self._users.get(user_id)
        if user is not None:
            return user.state
        return self._store.known_presence(user_id) or offline(user_id)
