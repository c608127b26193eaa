"""Who is typing, in the memory of the master (client-server API, "Typing Notifications")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from ..api.constants import EventTypes, Membership
from ..api.errors import ForbiddenError
from ..server import Homeserver
from ..storage.memberships import MembershipsWorkerStore
from ..storage.typing import TypingStore
from ..streams import CURRENT_STATE_DELTAS, Stream
from .presence import PresenceHandler

DEFAULT_TIMEOUT_MS = 30_000
MAX_TIMEOUT_MS = 120_000

_MAX_SHOWN = 200
"""So many users of a room are told to be typing at a time, those who began first."""


class TypingHandler:
    """Takes note of users of this server who type, until their time is up or they leave."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(TypingStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._presence = hs.part(PresenceHandler)
        self._clock = hs.clock
        self._rooms: dict[str, dict[str, IDelayedCall]] = {}
        self._store.follow(self._rows)

    async def stop(self) -> None:
        """Let no timer outlive the process."""
        for users in self._rooms.values():
            for timer in users.values():
                timer.cancel()
        self._rooms.clear()

    async def started(self, user_id: str, room_id: str, timeout_ms: int) -> None:
        """The user types, until told otherwise or for so long; at most MAX_TIMEOUT_MS.

        Raises ForbiddenError unless the user is in the room.
        """
        await self._check_joined(user_id, room_id)
        self._presence.active(user_id)
        seconds = min(timeout_ms, MAX_TIMEOUT_MS) / 1000
        users = self._rooms.setdefault(room_id, {})
        timer = users.get(user_id)
        if timer is not None:
            timer.cancel()
        users[user_id] = self._clock.later(seconds, self._time_is_up, user_id, room_id)
        self._tell(room_id)

    async def stopped(self, user_id: str, room_id: str) -> None:
        """The user does not type any more. Raises ForbiddenError unless in the room."""
        await self._check_joined(user_id, room_id)
        self._forget(user_id, room_id)

    async def _check_joined(self, user_id: str, room_id: str) -> None:
        membership, _ = await self._memberships.get_membership(user_id, room_id)
        if membership != Membership.JOIN:
            raise ForbiddenError(f"{user_id} is not in the room {room_id}")

    def _time_is_up(self, user_id: str, room_id: str) -> None:
        self._forget(user_id, room_id)

    def _forget(self, user_id: str, room_id: str) -> None:
        users = self._rooms.get(room_id)
        timer = None if users is None else users.pop(user_id, None)
        if users is None or timer is None:
            return
        if timer.active():
            timer.cancel()
        if not users:
            del self._rooms[room_id]
        self._tell(room_id)

    def _tell(self, room_id: str) -> None:
        now = tuple(self._rooms.get(room_id, ()))[:_MAX_SHOWN]
        if now != self._store.get_typing_users(room_id):
            self._store.set_typing(room_id, now)

    def _rows(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        """Whoever is not in a room any more does not type there."""
        if stream is not CURRENT_STATE_DELTAS or not self._rooms:
            return
        for row in rows:
            if row.type == EventTypes.MEMBER and row.membership != Membership.JOIN:
                self._forget(row.state_key, row.room_id)
