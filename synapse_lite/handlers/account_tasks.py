"""Does for accounts what takes long: telling rooms a new name, joining and leaving many rooms.

What is to be done is in the database, so it goes on after a restart. Each step may be repeated
without harm: an event that says what is known already is not made.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred

from ..api.constants import Membership
from ..api.errors import LimitExceededError, MatrixError
from ..server import Homeserver
from ..storage.account_tasks import AccountTask, AccountTasksStore, TaskName
from ..storage.memberships import MembershipsWorkerStore
from ..types.requester import Requester
from ..util.async_helpers import Linearizer
from ..util.background import run_in_background
from .membership import JOIN, LEAVE, MembershipHandler

logger = logging.getLogger(__name__)

AT_ONCE = 3
"""Users whose tasks are worked on at a time."""

ROOMS_PER_NOTE = 20
"""Rooms between two notes of progress: so many are looked at again after a restart."""

RETRY_SECONDS = 60.0


class AccountTasks:
    """A duty of the master. `begin` is called once the task is in the database."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(AccountTasksStore)
        self._memberships = hs.part(MembershipsWorkerStore)
        self._handler = hs.part(MembershipHandler)
        self._auto_join_rooms = hs.config.registration.auto_join_rooms
        self._clock = hs.clock
        self._users = Linearizer("account_tasks_user", clock=hs.clock)
        self._slots = Linearizer("account_tasks", AT_ONCE, hs.clock)
        self._running: set[Deferred[None]] = set()
        self._is_stopped = False
        self._work: dict[str, Callable[[AccountTask], Awaitable[None]]] = {
            TaskName.PROFILE: self._tell_rooms,
            TaskName.AUTO_JOIN: self._auto_join,
            TaskName.LEAVE_ROOMS: self._leave_rooms,
        }

    async def start(self) -> None:
        """Go on with what was left unfinished."""
        for user_id, name in await self._store.get_account_tasks():
            self.begin(user_id, name)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        self._is_stopped = True
        for running in list(self._running):
            running.cancel()

    def begin(self, user_id: str, name: str) -> None:
        """Work on a task in the background."""
        if self._is_stopped:
            return
        running = run_in_background(self._run, user_id, name)
        if not running.called:
            self._running.add(running)
            running.addBoth(lambda _: self._running.discard(running))

    async def _run(self, user_id: str, name: str) -> None:
        async with self._users.queue(user_id), self._slots.queue(None):
            try:
                await self._finish(user_id, name)
            except CancelledError:
                raise  # the next start goes on with it
            except Exception:
                logger.exception("Task %s of %s failed; trying again later", name, user_id)
                self._clock.later(RETRY_SECONDS, self.begin, user_id, name)

    async def _finish(self, user_id: str, name: str) -> None:
        """Do the task until it is done and has not been asked for anew meanwhile."""
        task = await self._store.get_account_task(user_id, name)
        while task is not None:
            await self._work[name](task)
            if await self._store.finish_task(task):
                return
            task = await self._store.get_account_task(user_id, name)

    async def _tell_rooms(self, task: AccountTask) -> None:
        """Send the user's membership anew, which puts the present profile into it."""
        rooms = await self._rooms(task.user_id, Membership.JOIN)
        left = [room_id for room_id in rooms if room_id > task.progress]
        for done, room_id in enumerate(left, start=1):
            membership, _ = await self._memberships.get_membership(task.user_id, room_id)
            if membership == Membership.JOIN:
                await self._change(task.user_id, room_id, JOIN)
            if done % ROOMS_PER_NOTE == 0 and not await self._store.note_task_progress(
                task, room_id
            ):
                return  # the profile has changed again: begin anew with that

    async def _auto_join(self, task: AccountTask) -> None:
        requester = Requester(task.user_id)
        for alias in self._auto_join_rooms:
            await self._attempt(
                f"join {alias}", functools.partial(self._handler.join_room, requester, alias)
            )

    async def _leave_rooms(self, task: AccountTask) -> None:
        for room_id in await self._rooms(task.user_id):
            await self._change(task.user_id, room_id, LEAVE)

    async def _rooms(self, user_id: str, membership: str | None = None) -> list[str]:
        """Rooms of the user, in an order that stays the same."""
        rooms = await self._memberships.get_rooms_for_user(user_id)
        return sorted(
            room_id for room_id, room in rooms.items() if membership in (None, room.membership)
        )

    async def _change(self, user_id: str, room_id: str, action: str) -> None:
        requester = Requester(user_id)
        await self._attempt(
            f"{action} {room_id}",
            lambda: self._handler.update_membership(requester, user_id, room_id, action),
        )

    async def _attempt(self, what: str, change: Callable[[], Awaitable[object]]) -> None:
        """Change one room; wait where that is limited. A refusal concerns that room alone."""
        while True:
            try:
                await change()
                return
            except LimitExceededError as error:
                await self._clock.sleep(error.extra["retry_after_ms"] / 1000)
            except MatrixError as error:
                logger.info("Cannot %s: %s", what, error.message)
                return
