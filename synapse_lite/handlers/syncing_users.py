"""Who syncs at this process. Presence, on the master, is told of changes and of nothing else.

A client that syncs again and again is said to sync once. When its last sync has ended it has
`PATIENCE_SECONDS` to come back before that is said, too; one timer watches over all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs
from twisted.internet.interfaces import IDelayedCall

from ..api.constants import PresenceState
from ..replication.commands import UserSync
from ..replication.worker import ReplicationFollower
from ..server import Homeserver
from .presence import PresenceHandler, Syncing

PATIENCE_SECONDS = 10.0

_BY_SET_PRESENCE = {
    None: Syncing.PLAIN,
    PresenceState.ONLINE: Syncing.ACTIVE,
    PresenceState.UNAVAILABLE: Syncing.IDLE,
}

_WORDS = {
    Syncing.ACTIVE: PresenceState.ONLINE,
    Syncing.PLAIN: "",
    Syncing.IDLE: PresenceState.UNAVAILABLE,
}
"""How syncing is written in USER_SYNC."""

SYNCING_BY_WORD = {word: syncing for syncing, word in _WORDS.items()}


@attrs.define(eq=False)
class _Syncs:
    """The syncs of a user: how many run of each kind, and when the last of a kind has ended."""

    running: dict[Syncing, int] = attrs.field(factory=dict)
    ended_ms: dict[Syncing, int] = attrs.field(factory=dict)
    said: Syncing = Syncing.NO

    def strongest(self, since_ms: int) -> Syncing:
        """The strongest kind of those that run or have ended after a time."""
        kinds = [kind for kind, ended_ms in self.ended_ms.items() if ended_ms > since_ms]
        return max((*self.running, *kinds), default=Syncing.NO)


class SyncingUsers:
    """Counts syncs. `app` binds the class that tells the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._clock = hs.clock
        self._is_enabled = hs.config.presence.enabled
        self._users: dict[str, _Syncs] = {}
        self._ending: dict[str, None] = {}
        self._timer: IDelayedCall | None = None

    async def stop(self) -> None:
        """Let no timer outlive the process."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    @contextlib.contextmanager
    def syncing(self, user_id: str, set_presence: str | None) -> Iterator[None]:
        """The body of the `with` is a sync; `set_presence` is the parameter, None if not given."""
        if not self._is_enabled or set_presence == PresenceState.OFFLINE:
            yield
            return
        kind = _BY_SET_PRESENCE[set_presence]
        syncs = self._begun(user_id, kind)
        try:
            yield
        finally:
            self._ended(user_id, syncs, kind)

    def _begun(self, user_id: str, kind: Syncing) -> _Syncs:
        syncs = self._users.get(user_id)
        if syncs is None:
            syncs = self._users[user_id] = _Syncs()
        syncs.running[kind] = syncs.running.get(kind, 0) + 1
        if kind > syncs.said:
            syncs.said = kind
            self.tell(user_id, kind, self._clock.time_ms())
        return syncs

    def _ended(self, user_id: str, syncs: _Syncs, kind: Syncing) -> None:
        left = syncs.running[kind] - 1
        if left:
            syncs.running[kind] = left
            return
        del syncs.running[kind]
        syncs.ended_ms[kind] = self._clock.time_ms()
        self._ending[user_id] = None
        if self._timer is None:
            self._timer = self._clock.later(PATIENCE_SECONDS, self._look)

    def _look(self) -> None:
        """Say of those whose time is up that they do not sync any more, or in a weaker manner."""
        self._timer = None
        since_ms = self._clock.time_ms() - int(PATIENCE_SECONDS * 1000)
        for user_id in tuple(self._ending):
            syncs = self._users[user_id]
            kind = syncs.strongest(since_ms)
            if kind < syncs.said:
                # While a weaker kind runs, the stronger one was true until it ended.
                at_ms = syncs.ended_ms.get(syncs.said, since_ms)
                if not kind:
                    at_ms = max(syncs.ended_ms.values(), default=at_ms)
                syncs.said = kind
                self.tell(user_id, kind, at_ms)
            if not kind:
                del self._users[user_id]
            if all(ended_ms <= since_ms for ended_ms in syncs.ended_ms.values()):
                syncs.ended_ms.clear()
                del self._ending[user_id]
        if self._ending:
            self._timer = self._clock.later(PATIENCE_SECONDS, self._look)

    def said(self) -> Iterator[tuple[str, Syncing]]:
        """All users of whom the master believes that they sync here, and how."""
        for user_id, syncs in self._users.items():
            if syncs.said:
                yield user_id, syncs.said

    def tell(self, user_id: str, syncing: Syncing, at_ms: int) -> None:
        """Tell the master how the user syncs here since a time."""
        raise NotImplementedError


class MasterSyncingUsers(SyncingUsers):
    """In the master."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._presence = hs.part(PresenceHandler)

    def tell(self, user_id: str, syncing: Syncing, at_ms: int) -> None:
        """Tell presence."""
        self._presence.set_syncing("", user_id, syncing, at_ms)


class WorkerSyncingUsers(SyncingUsers):
    """In workers: says so to the master, and everything anew on each connection."""

    def __init__(self, hs: Homeserver) -> None:
        super().__init__(hs)
        self._follower = hs.part(ReplicationFollower)
        self._follower.announce(self._announced)

    def _announced(self) -> list[UserSync]:
        now_ms = self._clock.time_ms()
        return [UserSync(user_id, True, now_ms, _WORDS[kind]) for user_id, kind in self.said()]

    def tell(self, user_id: str, syncing: Syncing, at_ms: int) -> None:
        """Send USER_SYNC. Without a connection it is dropped: the next one begins with all."""
        self._follower.send(UserSync(user_id, bool(syncing), at_ms, _WORDS.get(syncing, "")))
