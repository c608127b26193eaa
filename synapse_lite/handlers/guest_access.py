"""Puts guests out of rooms that do not let guests in any more (client-server API, "Guest Access").

Rooms are looked at when their `m.room.guest_access` changes, when a guest has joined (perhaps at
the same moment), and all of them when the master starts: so nothing is missed over a crash.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ..api.constants import EventTypes, Membership
from ..api.errors import LimitExceededError, MatrixError
from ..server import Homeserver
from ..storage.current_state import CurrentStateWorkerStore
from ..storage.events import EventsWorkerStore
from ..storage.guests import GuestsStore
from ..storage.registration import RegistrationWorkerStore
from ..streams import CURRENT_STATE_DELTAS, EVENTS, CurrentStateDeltaRow, EventRow, Stream
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.background import run_in_background
from .membership import LEAVE, MembershipHandler, lets_guests_in

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0

Condition = Callable[[], Awaitable[bool]]
"""Whether something that happened in a room concerns guests."""


async def _always() -> bool:
    return True


class GuestAccessDuty:
    """A duty of the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(GuestsStore)
        self._events = hs.part(EventsWorkerStore)
        self._state = hs.part(CurrentStateWorkerStore)
        self._users = hs.part(RegistrationWorkerStore)
        self._memberships = hs.part(MembershipHandler)
        self._clock = hs.clock
        self._is_mine = hs.is_mine
        self._rooms = Linearizer("guest_access", clock=hs.clock)
        self._running: set[Deferred[None]] = set()
        self._is_active = False

    async def start(self) -> None:
        """Look at all rooms with guests, and at others from when they change."""
        self._is_active = True
        self._store.follow(self._moved)
        for room_id in await self._store.get_rooms_with_guests():
            self._begin(room_id)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        self._is_active = False
        for running in list(self._running):
            running.cancel()

    def _moved(self, stream: Stream, token: int, rows: Sequence[Any]) -> None:
        if not self._is_active:
            return
        if stream is CURRENT_STATE_DELTAS:
            self._state_changed(rows)
        elif stream is EVENTS:
            self._redacted(rows)

    def _state_changed(self, rows: Sequence[CurrentStateDeltaRow]) -> None:
        for row in rows:
            if row.type == EventTypes.GUEST_ACCESS:
                self._begin(row.room_id)
            elif row.membership == Membership.JOIN and self._is_mine(row.state_key):
                self._begin(row.room_id, functools.partial(self._is_guest, row.state_key))

    def _redacted(self, rows: Sequence[EventRow]) -> None:
        """A redaction changes what a state event says, and not which one it is."""
        for row in rows:
            if row.type == EventTypes.REDACTION and row.redacts is not None:
                self._begin(row.room_id, functools.partial(self._is_guest_access, row.redacts))

    def _begin(self, room_id: str, concerns: Condition = _always) -> None:
        if not self._is_active:
            return
        running = run_in_background(self._run, room_id, concerns)
        if not running.called:
            self._running.add(running)
            running.addBoth(lambda _: self._running.discard(running))

    async def _run(self, room_id: str, concerns: Condition) -> None:
        try:
            if await concerns():
                await self._check(room_id)
        except CancelledError:
            raise  # the next start goes on with it
        except Exception:
            logger.exception("Cannot look for guests in %s; trying again later", room_id)
            self._clock.later(RETRY_SECONDS, self._begin, room_id)

    async def _is_guest(self, user_id: str) -> bool:
        user = await self._users.get_user(user_id)
        return user is not None and user.is_guest

    async def _is_guest_access(self, event_id: str) -> bool:
        events = await self._events.get_events([event_id])
        return event_id in events and events[event_id].type == EventTypes.GUEST_ACCESS

    async def _check(self, room_id: str) -> None:
        async with self._rooms.queue(room_id):
            for user_id in await self._store.get_guests_in_room(room_id):
                if await self._may_stay(room_id):
                    return
                await self._put_out(user_id, room_id)

    async def _may_stay(self, room_id: str) -> bool:
        event = await self._state.get_current_state_event(room_id, EventTypes.GUEST_ACCESS, "")
        return lets_guests_in(event)

    async def _put_out(self, user_id: str, room_id: str) -> None:
        requester = Requester(user_id)
        while True:
            try:
                await self._memberships.update_membership(requester, user_id, room_id, LEAVE)
                return
            except LimitExceededError as error:
                await self._clock.sleep(error.extra["retry_after_ms"] / 1000)
            except MatrixError as error:
                logger.info("Cannot put %s out of %s: %s", user_id, room_id, error.message)
                return
