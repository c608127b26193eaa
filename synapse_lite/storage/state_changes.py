"""What /sync reads of the state of rooms, for many rooms at once.

Recent changes of current states stay in memory, so that telling a client of them needs no query.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import attrs

from ..api.constants import EventTypes, Membership
from ..events.event import StateKey
from ..server import Homeserver
from ..streams import CURRENT_STATE_DELTAS, EVENTS, CurrentStateDeltaRow, Stream
from ..types.state_map import StateMap
from ..util.caches.budget import BudgetedCache, MemoryBudget
from ..util.caches.cached import cached, cached_list
from ._event_rows import chunks
from .current_state import ROOMS_PER_STATEMENT, CurrentStateWorkerStore
from .database import DatabasePool
from .memberships import MembershipsWorkerStore, RoomMembers
from .transaction import Transaction

_ROOM_BYTES = 900
_CHANGE_BYTES = 490
_HEROES_READ = 6
_PRESENT = (Membership.JOIN, Membership.INVITE)


@attrs.frozen
class StateChange:
    """What a key of the current state was set to at a position; None: it went away."""

    stream_ordering: int
    key: StateKey
    event_id: str | None


@attrs.frozen
class Hero:
    """One of the users after whom a room without a name is called."""

    user_id: str
    is_present: bool


@attrs.frozen(eq=False)
class RoomState:
    """The current state of a room and who is in it; the members are live, see `RoomMembers`."""

    ids: StateMap
    members: RoomMembers


class _RecentChanges(BudgetedCache):
    """The last changes of all rooms; complete for positions above `floor`."""

    def __init__(self, budget: MemoryBudget) -> None:
        super().__init__("state_changes", budget)
        # The tick of the budget at each change, with its position.
        self._order: deque[tuple[int, int, str]] = deque()
        self._rooms: dict[str, deque[StateChange]] = {}
        self.floor = 0

    def reset(self, floor: int) -> None:
        self._order.clear()
        self._rooms.clear()
        self._resize(-self.size_bytes)
        self.floor = floor

    def add(self, room_id: str, change: StateChange) -> None:
        if change.stream_ordering <= self.floor:
            return
        self._order.append((self.budget.tick, change.stream_ordering, room_id))
        self.budget.tick += 1
        of_room = self._rooms.get(room_id)
        if of_room is None:
            of_room = self._rooms[room_id] = deque()
            self._resize(_ROOM_BYTES)
        of_room.append(change)
        self._resize(_CHANGE_BYTES)
        self.budget.shrink()

    def __len__(self) -> int:
        return len(self._order)

    def oldest_use(self) -> int | None:
        return self._order[0][0] if self._order else None

    def evict_oldest(self) -> None:
        _, position, room_id = self._order.popleft()
        changes = self._rooms[room_id]
        changes.popleft()
        self._resize(-_CHANGE_BYTES)
        if not changes:
            del self._rooms[room_id]
            self._resize(-_ROOM_BYTES)
        self.floor = max(self.floor, position)
        self.evictions += 1

    def of_room(self, room_id: str, low: int, high: int) -> list[StateChange]:
        found = []
        # Mostly one wants the last few of many.
        for change in reversed(self._rooms.get(room_id, ())):
            if change.stream_ordering <= low:
                break
            if change.stream_ordering <= high:
                found.append(change)
        found.reverse()
        return found


class StateChangesWorkerStore(MembershipsWorkerStore, CurrentStateWorkerStore):
    """Reads of states and their changes, in any process."""

    handles: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (CURRENT_STATE_DELTAS, "_state_change_applied"),
    )
    resets: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (CURRENT_STATE_DELTAS, "_state_changes_reset"),
    )

    def __init__(self, hs: Homeserver, db: DatabasePool) -> None:
        super().__init__(hs, db)
        self._recent_changes = _RecentChanges(self.caches.budget)

    def _state_changes_reset(self, token: int) -> None:
        self._recent_changes.reset(token)

    def _state_change_applied(self, token: int, row: CurrentStateDeltaRow) -> None:
        change = StateChange(token, (row.type, row.state_key), row.event_id)
        self._recent_changes.add(row.room_id, change)
        if row.type == EventTypes.MEMBER:
            self.get_room_heroes.invalidate((row.room_id,))

    async def get_state_changes_for_rooms(
        self, rooms: Mapping[str, int], high: int
    ) -> dict[str, list[StateChange]]:
        """Changes with low < position <= high of rooms with a lower bound each, in order.

        Recent ones, and rooms without a change, cost no query.
        """
        found: dict[str, list[StateChange]] = {}
        older: dict[str, int] = {}
        for room_id, low in rooms.items():
            if low >= self._recent_changes.floor:
                found[room_id] = self._recent_changes.of_room(room_id, low, high)
            else:
                older[room_id] = low
        self._recent_changes.hits += len(found)
        self._recent_changes.misses += len(older)
        if older:
            deltas = await self.get_current_state_deltas_for_rooms(older, high)
            for room_id, of_room in deltas.items():
                found[room_id] = [
                    StateChange(
                        delta.stream_ordering, (delta.type, delta.state_key), delta.event_id
                    )
                    for delta in of_room
                ]
        return found

    async def get_room_states(self, room_ids: Collection[str]) -> dict[str, RoomState]:
        """Current states and members of many rooms; both are kept for those who ask for one."""
        found: dict[str, RoomState] = {}
        unknown = []
        for room_id in room_ids:
            ids = self.get_current_state_ids.peek((room_id,))
            members = self.get_room_members.peek((room_id,))
            if isinstance(ids, StateMap) and isinstance(members, RoomMembers):
                found[room_id] = RoomState(ids, members)
            else:
                unknown.append(room_id)
        if unknown:
            position = self.current_token(EVENTS)
            read = await self.db.read("get_room_states", self._get_room_states_txn, unknown)
            changes = self.change_cache("current_state_changed")
            for room_id, state in read.items():
                found[room_id] = state
                # A change that came meanwhile may be missing in what was read.
                if not changes.has_changed(room_id, position):
                    self.get_current_state_ids.prefill((room_id,), state.ids)
                    self.get_room_members.prefill((room_id,), state.members)
        return found

    def _get_room_states_txn(
        self, txn: Transaction, room_ids: Collection[str]
    ) -> dict[str, RoomState]:
        states: dict[str, dict[StateKey, str]] = {room_id: {} for room_id in room_ids}
        members: dict[str, dict[str, str]] = {room_id: {} for room_id in room_ids}
        for piece in chunks(room_ids, ROOMS_PER_STATEMENT):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, type, state_key, event_id, membership FROM current_state_events"
                f" WHERE {condition}",
                args,
            )
            for room_id, kind, key, event_id, membership in rows:
                states[room_id][(kind, key)] = event_id
                if kind == EventTypes.MEMBER and membership in _PRESENT:
                    members[room_id][key] = membership
        return {
            room_id: RoomState(
                StateMap(states[room_id]), RoomMembers(self.server_name, members[room_id])
            )
            for room_id in room_ids
        }

    @cached(max_entries=20_000)
    async def get_room_heroes(self, room_id: str) -> tuple[Hero, ...]:
        """The first members of a room, present ones (joined, invited) before those who left.

        One more than is shown, because nobody is shown to oneself.
        """
        return (await self._read_heroes([room_id]))[room_id]

    @cached_list(cached_method_name="get_room_heroes", list_name="room_ids")
    async def get_heroes_for_rooms(self, room_ids: Collection[str]) -> dict[str, tuple[Hero, ...]]:
        """The list form of `get_room_heroes`."""
        return await self._read_heroes(room_ids)

    async def _read_heroes(self, room_ids: Collection[str]) -> dict[str, tuple[Hero, ...]]:
        return await self.db.read("get_room_heroes", self._get_heroes_txn, room_ids)

    @staticmethod
    def _get_heroes_txn(txn: Transaction, room_ids: Collection[str]) -> dict[str, tuple[Hero, ...]]:
        found: dict[str, tuple[Hero, ...]] = dict.fromkeys(room_ids, ())
        for piece in chunks(room_ids, ROOMS_PER_STATEMENT):
            condition, args = txn.in_clause("c.room_id", piece)
            rows: list[tuple[Any, ...]] = txn.query(
                "SELECT room_id, state_key, membership FROM ("
                " SELECT c.room_id, c.state_key, c.membership, ROW_NUMBER() OVER ("
                "  PARTITION BY c.room_id ORDER BY"
                "  CASE WHEN c.membership IN (?, ?) THEN 0 ELSE 1 END, e.stream_ordering) AS place"
                " FROM current_state_events c JOIN events e ON e.event_id = c.event_id"
                f" WHERE {condition} AND c.type = ?) AS ranked"
                " WHERE place <= ? ORDER BY room_id, place",
                [*_PRESENT, *args, EventTypes.MEMBER, _HEROES_READ],
            )
            for room_id, user_id, membership in rows:
                found[room_id] = (*found[room_id], Hero(user_id, membership in _PRESENT))
        return found
