"""The persist queue: events of all rooms, one transaction for all that wait.

A room's events are prepared one after the other while no other transaction of that room is under
way, so its order is kept. Prepared rooms wait for the transaction that runs and go into the next
one together (group commit). Who waits here is told after the commit.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

import attrs
from twisted.python.failure import Failure

from ..api.errors import LimitExceededError, MatrixError
from ..replication.send_event import PersistedEvent, SameEventError
from ..server import Homeserver
from ..storage.errors import DatabaseUnavailableError
from ..storage.persist_events import (
    ClientTxn,
    FirstEvent,
    PersistBatch,
    PersistEventsStore,
    PersistOutcome,
)
from ..util.async_helpers import Outcome, run_in_background
from .room_preparation import EventToPersist, RoomPreparation, RoomView

logger = logging.getLogger(__name__)

EVENTS_PER_COMMIT = 200
"""How many events one transaction takes, unless events that belong together are more."""

MAX_WAITING = 5_000
"""How many events may wait before more are refused; the last let in may be a whole room."""

_RETRY_AFTER_MS = 1_000


@attrs.define(eq=False)
class _Group:
    """Events of one room that are persisted together or not at all."""

    room_id: str
    items: list[EventToPersist]
    backfilled: bool
    first: dict[str, FirstEvent] = attrs.field(factory=dict)
    outcome: Outcome[list[PersistedEvent]] = attrs.field(factory=Outcome)
    event_ids: list[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.event_ids = [item.event.event_id for item in self.items]

    def identities(self) -> set[str | ClientTxn]:
        """What must not be twice in one transaction."""
        ids: set[str | ClientTxn] = {item.event.event_id for item in self.items}
        ids.update(item.txn for item in self.items if item.txn is not None)
        return ids

    def finish(self) -> None:
        """Tell the caller where the events are: those persisted now, or before."""
        positions = {
            item.event.event_id: item.event.metadata.stream_ordering or 0 for item in self.items
        }
        answers = []
        for event_id in self.event_ids:
            first = self.first.get(event_id)
            if first is None:
                answers.append(PersistedEvent(event_id, positions[event_id]))
            else:
                answers.append(PersistedEvent(first.event_id, first.stream_ordering))
        self.outcome.resolve(answers)


@attrs.frozen(eq=False)
class _ReadyRoom:
    """A room whose next events wait for a transaction."""

    view: RoomView
    groups: list[_Group]


class EventPersister:
    """Persists events, in the master."""

    def __init__(self, hs: Homeserver) -> None:
        self._store = hs.part(PersistEventsStore)
        self._preparation = hs.part(RoomPreparation)
        self._clock = hs.clock
        self._waiting: dict[str, deque[_Group]] = {}
        self._waiting_events = 0
        self._busy: set[str] = set()
        self._ready: deque[_ReadyRoom] = deque()
        self._committing = False

    async def persist(self, item: EventToPersist) -> PersistedEvent:
        """Persist one event; returns once it is committed.

        If the event is here already, or its transaction id has made another one, nothing is
        written and the answer is the first event. Raises ForbiddenError for a local event that is
        not allowed, SameEventError if it is here under another transaction id,
        LimitExceededError when too many events wait.
        """
        return (await self.persist_many([item]))[0]

    async def persist_many(
        self, items: Sequence[EventToPersist], *, backfilled: bool = False
    ) -> list[PersistedEvent]:
        """Persist events of one room in order, all or none; see `persist`.

        With `backfilled` they are history: they neither become heads nor change the current state.
        """
        if not items:
            return []
        room_id = items[0].event.room_id
        if any(item.event.room_id != room_id for item in items):
            raise ValueError("Events that are persisted together must be of one room")
        if self._waiting_events >= MAX_WAITING:
            raise LimitExceededError(
                "Too many events wait to be stored", retry_after_ms=_RETRY_AFTER_MS
            )
        group = _Group(room_id, list(items), backfilled)
        self._waiting_events += len(items)
        self._waiting.setdefault(room_id, deque()).append(group)
        self._attend_to(room_id)
        return await group.outcome

    # Preparing

    def _attend_to(self, room_id: str) -> None:
        if room_id not in self._busy and room_id in self._waiting:
            self._busy.add(room_id)
            run_in_background(self._prepare_room, room_id)

    async def _prepare_room(self, room_id: str) -> None:
        """Prepare what waits for a room and hand it to the next transaction."""
        groups = self._take_groups(room_id)
        kept: list[_Group] = []
        try:
            view = await self._preparation.view_of(room_id, backfilled=groups[0].backfilled)
        except Exception:
            self._fail_all(groups)
            self._release(room_id)
            return
        for group in groups:
            prepared = await self._prepare(view, group)
            if prepared is not None:
                view = prepared
                kept.append(group)
        if not kept:
            self._release(room_id)
            return
        self._ready.append(_ReadyRoom(view, kept))
        if not self._committing:
            self._committing = True
            run_in_background(self._commit_all)

    def _take_groups(self, room_id: str) -> list[_Group]:
        """The next groups of a room: of one kind, no event twice, not too many."""
        waiting = self._waiting[room_id]
        taken = [waiting.popleft()]
        seen, count = taken[0].identities(), len(taken[0].items)
        while waiting:
            group = waiting[0]
            count += len(group.items)
            same_kind = group.backfilled == taken[0].backfilled
            if count > EVENTS_PER_COMMIT or not same_kind or seen & group.identities():
                break
            seen |= group.identities()
            taken.append(waiting.popleft())
        if not waiting:
            del self._waiting[room_id]
        return taken

    async def _prepare(self, view: RoomView, group: _Group) -> RoomView | None:
        """The view with the events of a group; None if the group has been answered instead."""
        try:
            return await self._preparation.add(view, group.items)
        except MatrixError:
            failure = Failure()
            if await self._answer_repeated(group):
                return None
            self._fail(group, failure)
        except Exception:
            self._fail(group, Failure())
        return None

    async def _answer_repeated(self, group: _Group) -> bool:
        """Whether a group that is refused now was persisted before; then that is the answer."""
        try:
            found = await self._store.find_repeated(
                [(item.event.event_id, item.txn) for item in group.items]
            )
        except Exception:
            logger.exception("Cannot see whether refused events are there already")
            return False
        if len(found) < len(group.items):
            return False
        group.first.update(found)
        self._finish(group)
        return True

    # Committing

    async def _commit_all(self) -> None:
        try:
            while self._ready:
                await self._commit(self._take_ready())
        finally:
            self._committing = False

    def _take_ready(self) -> list[_ReadyRoom]:
        """Rooms for the next transaction: of one kind, as many as it takes."""
        taken = [self._ready.popleft()]
        count = len(taken[0].view.writes)
        passed: deque[_ReadyRoom] = deque()
        while self._ready:
            room = self._ready.popleft()
            count += len(room.view.writes)
            if count > EVENTS_PER_COMMIT:
                passed.append(room)
                break
            if room.view.backfilled == taken[0].view.backfilled:
                taken.append(room)
            else:
                passed.append(room)
                count -= len(room.view.writes)
        self._ready.extendleft(reversed(passed))
        return taken

    async def _commit(self, rooms: list[_ReadyRoom]) -> None:
        try:
            await self._commit_together(rooms)
        finally:
            for room in rooms:
                self._release(room.view.room_id)

    async def _commit_together(self, rooms: list[_ReadyRoom]) -> None:
        groups = [group for room in rooms for group in room.groups]
        try:
            outcome = await self._persist(rooms)
        except DatabaseUnavailableError:
            self._fail_all(groups)
        except Exception:
            if len(groups) == 1:
                self._fail(groups[0], Failure())
            else:
                logger.warning("A commit of %d rooms failed; trying one by one", len(rooms))
                await self._commit_apart(rooms)
        else:
            self._answer(rooms, outcome)

    async def _persist(self, rooms: Sequence[_ReadyRoom]) -> PersistOutcome:
        writes = [room.view.to_write() for room in rooms]
        return await self._store.persist_events(PersistBatch(writes, self._clock.time_ms()))

    async def _commit_apart(self, rooms: Sequence[_ReadyRoom]) -> None:
        """Persist each group in a transaction of its own: what is wrong with one stays with it."""
        for room in rooms:
            for group in room.groups:
                await self._commit_alone(group)

    async def _commit_alone(self, group: _Group) -> None:
        try:
            view = await self._preparation.view_of(group.room_id, backfilled=group.backfilled)
        except Exception:
            self._fail(group, Failure())
            return
        prepared = await self._prepare(view, group)
        if prepared is None:
            return
        ready = _ReadyRoom(prepared, [group])
        try:
            outcome = await self._persist([ready])
        except Exception:
            self._fail(group, Failure())
        else:
            self._answer([ready], outcome)

    def _answer(self, rooms: Sequence[_ReadyRoom], outcome: PersistOutcome) -> None:
        """Tell the callers; events of rooms with repeated ones are prepared once more."""
        for room in rooms:
            if room.view.room_id in outcome.persisted_rooms:
                for group in room.groups:
                    self._finish(group)
            else:
                self._put_back(room, outcome)

    def _put_back(self, room: _ReadyRoom, outcome: PersistOutcome) -> None:
        """What was not repeated waits again, before what came later."""
        again = []
        for group in room.groups:
            taken = [each for each in group.event_ids if each in outcome.taken]
            if taken:
                error = SameEventError(outcome.taken[taken[0]].stream_ordering)
                self._fail(group, Failure(error))
                continue
            repeated = [i for i in group.items if i.event.event_id in outcome.repeated]
            for item in repeated:
                group.first[item.event.event_id] = outcome.repeated[item.event.event_id]
                group.items.remove(item)
            if group.items:
                self._waiting_events -= len(repeated)
                again.append(group)
            else:
                group.items = repeated
                self._finish(group)
        if again:
            self._waiting.setdefault(room.view.room_id, deque()).extendleft(reversed(again))

    def _finish(self, group: _Group) -> None:
        self._waiting_events -= len(group.items)
        group.finish()

    def _fail(self, group: _Group, failure: Failure) -> None:
        self._waiting_events -= len(group.items)
        if failure.check(DatabaseUnavailableError):
            logger.warning("%d events were not stored: %s", len(group.items), failure.value)
        elif not failure.check(MatrixError):
            logger.error(
                "%d events of %s were not stored",
                len(group.items),
                group.room_id,
                exc_info=failure.value,
            )
        group.outcome.fail(failure)

    def _fail_all(self, groups: Sequence[_Group]) -> None:
        failure = Failure()
        for group in groups:
            self._fail(group, failure)

    def _release(self, room_id: str) -> None:
        """The room's next events may be prepared."""
        self._busy.discard(room_id)
        self._attend_to(room_id)
