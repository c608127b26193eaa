"""The current state of rooms, kept up to date in place, and its changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import attrs

from ..events.event import Event, StateKey
from ..streams import CURRENT_STATE_DELTAS, CurrentStateDeltaRow, Stream
from ..types.state_map import StateMap, size_of
from ..util.caches.cached import cached, cached_list
from ._event_rows import chunks
from .events import EventsWorkerStore
from .transaction import Transaction

ROOMS_PER_STATEMENT = 100


@attrs.frozen
class StateDelta:
    """A change of the current state at a position; a null event id means that nothing is there."""

    stream_ordering: int
    room_id: str
    type: str
    state_key: str
    event_id: str | None
    prev_event_id: str | None


class CurrentStateWorkerStore(EventsWorkerStore):
    """Reads of the current state, in any process."""

    streams: ClassVar[tuple[Stream, ...]] = (CURRENT_STATE_DELTAS,)
    handles: ClassVar[tuple[tuple[Stream, str], ...]] = (
        (CURRENT_STATE_DELTAS, "_state_row_applied"),
    )

    def _state_row_applied(self, token: int, row: CurrentStateDeltaRow) -> None:
        change = {(row.type, row.state_key): row.event_id}
        self.get_current_state_ids.update((row.room_id,), lambda old: old.with_changes(change))

    @cached(max_entries=20_000, size_of=size_of)
    async def get_current_state_ids(self, room_id: str) -> StateMap:
        """The current state of a room: event ids by type and state key; empty if not known here."""
        found = await self.get_current_state_ids_for_rooms_uncached((room_id,))
        return found[room_id]

    @cached_list(cached_method_name="get_current_state_ids", list_name="room_ids")
    async def get_current_state_ids_for_rooms(
        self, room_ids: Collection[str]
    ) -> dict[str, StateMap]:
        """The current states of many rooms, in statements for a hundred rooms each."""
        return await self.get_current_state_ids_for_rooms_uncached(room_ids)

    async def get_current_state_ids_for_rooms_uncached(
        self, room_ids: Collection[str]
    ) -> dict[str, StateMap]:
        """What the two cached reads above have in common."""
        return await self.db.read("get_current_state_ids", self._get_state_ids_txn, room_ids)

    @staticmethod
    def _get_state_ids_txn(txn: Transaction, room_ids: Collection[str]) -> dict[str, StateMap]:
        states: dict[str, dict[StateKey, str]] = {room_id: {} for room_id in room_ids}
        for piece in chunks(room_ids, ROOMS_PER_STATEMENT):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, type, state_key, event_id FROM current_state_events"
                f" WHERE {condition}",
                args,
            )
            for room_id, kind, key, event_id in rows:
                states[room_id][(kind, key)] = event_id
        return {room_id: StateMap(state) for room_id, state in states.items()}

    async def get_current_state_event_id(
        self, room_id: str, event_type: str, state_key: str
    ) -> str | None:
        """The id of one event of the current state."""
        return (await self.get_current_state_ids(room_id)).get((event_type, state_key))

    async def get_current_state_event(
        self, room_id: str, event_type: str, state_key: str
    ) -> Event | None:
        """One event of the current state."""
        event_id = await self.get_current_state_event_id(room_id, event_type, state_key)
        return None if event_id is None else await self.get_event(event_id, allow_none=True)

    async def get_current_state_events(
        self,
        room_id: str,
        *,
        keys: Collection[StateKey] | None = None,
        types: Collection[str] | None = None,
    ) -> dict[StateKey, Event]:
        """Events of the current state: those with these keys, of these types, or all of them."""
        state = await self.get_current_state_ids(room_id)
        return await self.load_state(_selected(state, keys, types))

    async def load_state(self, state: Mapping[StateKey, str]) -> dict[StateKey, Event]:
        """The events of a state given by ids; those that are not here are left out."""
        events = await self.get_events(list(state.values()))
        return {key: events[event_id] for key, event_id in state.items() if event_id in events}

    async def get_current_state_for_rooms(
        self, room_ids: Collection[str], keys: Collection[StateKey]
    ) -> dict[str, dict[StateKey, Event]]:
        """These parts of the current state of many rooms, without reading all of it."""
        ids: dict[str, Mapping[StateKey, str]] = {}
        unknown = []
        for room_id in room_ids:
            state = self.get_current_state_ids.peek((room_id,))
            if isinstance(state, StateMap):
                ids[room_id] = state.filtered(keys)
            else:
                unknown.append(room_id)
        if unknown and keys:
            ids.update(
                await self.db.read("get_state_for_rooms", self._get_parts_txn, unknown, keys)
            )
        wanted = [event_id for state_ids in ids.values() for event_id in state_ids.values()]
        events = await self.get_events(wanted)
        return {
            room_id: {
                key: events[event_id]
                for key, event_id in ids.get(room_id, {}).items()
                if event_id in events
            }
            for room_id in room_ids
        }

    @staticmethod
    def _get_parts_txn(
        txn: Transaction, room_ids: Collection[str], keys: Collection[StateKey]
    ) -> dict[str, dict[StateKey, str]]:
        found: dict[str, dict[StateKey, str]] = {room_id: {} for room_id in room_ids}
        alternatives = " OR ".join("(type = ? AND state_key = ?)" for _ in keys)
        key_args = [part for key in keys for part in key]
        for piece in chunks(room_ids, ROOMS_PER_STATEMENT):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, type, state_key, event_id FROM current_state_events"
                f" WHERE {condition} AND ({alternatives})",
                [*args, *key_args],
            )
            for room_id, kind, key, event_id in rows:
                found[room_id][(kind, key)] = event_id
        return found

    async def get_current_state_of_type_for_rooms(
        self, room_ids: Collection[str], event_type: str, limit: int
    ) -> dict[str, list[Event]]:
        """The events of one type in the current state of many rooms, at most so many of each."""
        if not room_ids:
            return {}
        ids = await self.db.read("get_state_of_type", self._of_type_txn, room_ids, event_type)
        ids = {room_id: event_ids[:limit] for room_id, event_ids in ids.items()}
        events = await self.get_events([each for event_ids in ids.values() for each in event_ids])
        return {
            room_id: [events[event_id] for event_id in event_ids if event_id in events]
            for room_id, event_ids in ids.items()
        }

    @staticmethod
    def _of_type_txn(
        txn: Transaction, room_ids: Collection[str], event_type: str
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {room_id: [] for room_id in room_ids}
        for piece in chunks(room_ids, ROOMS_PER_STATEMENT):
            condition, args = txn.in_clause("room_id", piece)
            rows = txn.query(
                "SELECT room_id, event_id FROM current_state_events"
                f" WHERE {condition} AND type = ? ORDER BY room_id, state_key",
                [*args, event_type],
            )
            for room_id, event_id in rows:
                found[room_id].append(event_id)
        return found

    # Changes

    async def get_current_state_deltas(self, room_id: str, low: int, high: int) -> list[StateDelta]:
        """Changes of the current state of a room with low < position <= high, in order."""
        return (await self.get_current_state_deltas_for_rooms({room_id: low}, high))[room_id]

    async def get_current_state_deltas_for_rooms(
        self, rooms: Mapping[str, int], high: int
    ) -> dict[str, list[StateDelta]]:
        """As `get_current_state_deltas`, for many rooms with a lower bound each.

        Rooms without a change cost nothing.
        """
        changes = self.change_cache("current_state_changed")
        deltas: dict[str, list[StateDelta]] = {room_id: [] for room_id in rooms}
        changed = {
            room_id: low
            for room_id, low in rooms.items()
            if low < high and changes.has_changed(room_id, low)
        }
        if changed:
            rows = await self.db.read("get_state_deltas", self._get_deltas_txn, changed, high)
            for row in rows:
                deltas[row[1]].append(StateDelta(*row))
        return deltas

    @staticmethod
    def _get_deltas_txn(
        txn: Transaction, rooms: Mapping[str, int], high: int
    ) -> list[tuple[Any, ...]]:
        found = []
        for piece in chunks(rooms, ROOMS_PER_STATEMENT):
            alternatives = " OR ".join("(room_id = ? AND stream_id > ?)" for _ in piece)
            args = [part for room_id in piece for part in (room_id, rooms[room_id])]
            found += txn.query(
                "SELECT stream_id, room_id, type, state_key, event_id, prev_event_id"
                f" FROM current_state_delta_stream WHERE ({alternatives}) AND stream_id <= ?"
                " ORDER BY stream_id, type, state_key",
                [*args, high],
            )
        return found

    async def get_state_ids_at(self, room_id: str, position: int) -> StateMap:
        """What was the current state of a room at a position of the stream of events."""
        state = await self.get_current_state_ids(room_id)
        later = await self.get_current_state_deltas(room_id, position, 2**62)
        before: dict[StateKey, str | None] = {}
        for delta in later:
            before.setdefault((delta.type, delta.state_key), delta.prev_event_id)
        return state.with_changes(before) if before else state

    async def get_current_state_delta_rows(
        self, low: int, high: int, limit: int
    ) -> list[tuple[int, CurrentStateDeltaRow]]:
        """Rows of the stream `current_state_deltas` with low < token <= high."""
        rows = await self.db.read("get_state_delta_rows", self._get_rows_txn, low, high, limit)
        return [(token, CurrentStateDeltaRow(*columns)) for token, *columns in rows]

    @staticmethod
    def _get_rows_txn(txn: Transaction, low: int, high: int, limit: int) -> list[tuple[Any, ...]]:
        return txn.query(
            "SELECT d.stream_id, d.room_id, d.type, d.state_key, d.event_id, d.membership,"
            " CASE WHEN d.membership IS NULL THEN NULL ELSE e.sender END"
            " FROM current_state_delta_stream d LEFT JOIN events e ON e.event_id = d.event_id"
            " WHERE d.stream_id > ? AND d.stream_id <= ?"
            " ORDER BY d.stream_id, d.room_id, d.type, d.state_key LIMIT ?",
            (low, high, limit),
        )


def _selected(
    state: StateMap, keys: Collection[StateKey] | None, types: Collection[str] | None
) -> Mapping[StateKey, str]:
    if keys is not None:
        return state.filtered(keys)
    if types is not None:
        return {
            (kind, state_key): event_id
            for kind in types
            for state_key, event_id in state.of_type(kind).items()
        }
    return state
